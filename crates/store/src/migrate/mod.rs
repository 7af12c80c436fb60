//! Migrations: numbered SQL, each with its way back, applied once under an advisory lock.

pub(crate) mod repo;
mod snapshot;

use std::path::Path;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use sqlx::{Connection, PgConnection};

use crate::connect::{Endpoints, app_pool, owner_pool};
use crate::error::Error;

/// What a migration's way back does to what people put in since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayBack {
    KeepsData,
    /// Tables or columns go, and what is in them.
    LosesData,
}

/// Whether a way back may lose data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss<'a> {
    Refused,
    /// Once everything is in this file.
    AfterSnapshot(&'a Path),
    /// For a database that nobody misses.
    Accepted,
}

/// One migration as it was built in.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    pub number: i32,
    pub name: &'static str,
    pub way_back: WayBack,
    up: &'static str,
    down: &'static str,
}

impl Migration {
    fn checksum(&self) -> Vec<u8> {
        Sha256::digest(self.up.as_bytes()).to_vec()
    }

    /// Whether it takes away what older releases use: the oldest release that can live with it, by its newest migration.
    pub fn contracts(&self) -> Option<i32> {
        contracts(self.up)
    }
}

/// The number in a migration's first line, if that is `-- contract: NNNN`.
pub fn contracts(up: &str) -> Option<i32> {
    let rest = up.lines().next()?.strip_prefix("-- contract: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

macro_rules! migrations {
    ($($number:literal $name:literal $way_back:ident;)*) => {
        &[$(Migration {
            number: $number,
            name: $name,
            way_back: WayBack::$way_back,
            up: include_str!(concat!("../../../../migrations/", $name, ".up.sql")),
            down: include_str!(concat!("../../../../migrations/", $name, ".down.sql")),
        }),*]
    };
}

/// Every migration of this release, in order, and what its way back does.
pub const MIGRATIONS: &[Migration] = migrations! {
    1 "0001_foundation" LosesData;
    2 "0002_ledger" LosesData;
    3 "0003_identity" LosesData;
    4 "0004_access" LosesData;
    5 "0005_detect" LosesData;
    6 "0006_respond" LosesData;
    7 "0007_operations" LosesData;
    8 "0008_operation_kinds" KeepsData;
    9 "0009_legal_hold" LosesData;
    10 "0010_runbook_runs" LosesData;
};

/// Applies what is missing; returns the names applied. Safe to call from many replicas at once.
///
/// # Errors
/// [`Error::Migration`] names the file; [`Error::Unavailable`] if the database does not answer.
pub async fn run(endpoints: &Endpoints) -> Result<Vec<&'static str>, Error> {
    let pool = owner_pool(endpoints);
    let mut connection = pool.acquire().await?;
    repo::lock(&mut connection).await?;
    let result = apply(&mut connection).await;
    repo::unlock(&mut connection).await?;
    // Closing waits for every connection to come back.
    drop(connection);
    pool.close().await;
    result
}

/// A database that is newer than this program is not this program's to change.
fn is_known(applied: &[(i32, String, Vec<u8>)]) -> Result<(), Error> {
    let known = MIGRATIONS.last().map_or(0, |newest| newest.number);
    match applied.iter().find(|(number, ..)| *number > known) {
        Some((found, ..)) => Err(Error::Ahead {
            found: *found,
            known,
        }),
        None => Ok(()),
    }
}

async fn apply(connection: &mut PgConnection) -> Result<Vec<&'static str>, Error> {
    repo::prepare(connection).await?;
    let applied = repo::applied(connection).await?;
    is_known(&applied)?;
    // A snapshot that was cut off left them down.
    repo::raise_walls(connection).await?;
    let mut done = Vec::new();
    for migration in MIGRATIONS {
        match applied
            .iter()
            .find(|(number, ..)| *number == migration.number)
        {
            Some((.., checksum)) if *checksum == migration.checksum() => {}
            Some(_) => {
                return Err(Error::MigrationChanged {
                    file: migration.name.to_owned(),
                });
            }
            None => {
                step(connection, migration, migration.up, true).await?;
                done.push(migration.name);
            }
        }
    }
    repo::publish(connection).await?;
    Ok(done)
}

/// Whether this program can live with what newer releases have taken away from the schema.
///
/// # Errors
/// [`Error::TooOld`] if it cannot; [`Error::Unavailable`] if the database does not answer.
pub async fn fits(endpoints: &Endpoints) -> Result<(), Error> {
    let pool = app_pool(endpoints);
    let mut connection = pool.acquire().await?;
    let needs = repo::needs(&mut connection).await;
    drop(connection);
    pool.close().await;
    let needs = needs?;
    let known = MIGRATIONS.last().map_or(0, |newest| newest.number);
    match needs {
        Some(needs) if needs > known => Err(Error::TooOld { needs, known }),
        _ => Ok(()),
    }
}

/// Takes back the newest migrations down to and without `target` (0 takes all back); returns their names.
///
/// # Errors
/// [`Error::LosesData`] names what may not be taken back, [`Error::Snapshot`]; nothing was taken back then. As [`run`].
pub async fn revert(
    endpoints: &Endpoints,
    target: i32,
    loss: Loss<'_>,
) -> Result<Vec<&'static str>, Error> {
    let pool = owner_pool(endpoints);
    let mut connection = pool.acquire().await?;
    repo::lock(&mut connection).await?;
    let result = take_back(&mut connection, endpoints, target, loss).await;
    repo::unlock(&mut connection).await?;
    // Closing waits for every connection to come back.
    drop(connection);
    pool.close().await;
    result
}

async fn take_back(
    connection: &mut PgConnection,
    endpoints: &Endpoints,
    target: i32,
    loss: Loss<'_>,
) -> Result<Vec<&'static str>, Error> {
    let applied = repo::applied_if_any(connection).await?;
    is_known(&applied)?;
    let is_applied = |migration: &&Migration| {
        let mut numbers = applied.iter().map(|(number, ..)| *number);
        migration.number > target && numbers.any(|number| number == migration.number)
    };
    let back: Vec<&Migration> = MIGRATIONS.iter().rev().filter(is_applied).collect();
    let losing = back
        .iter()
        .filter(|migration| migration.way_back == WayBack::LosesData);
    let losing: Vec<&str> = losing.map(|migration| migration.name).collect();
    match loss {
        Loss::Refused if !losing.is_empty() => return Err(Error::LosesData(losing.join(", "))),
        Loss::AfterSnapshot(path) if !back.is_empty() => {
            snapshot::write(connection, &endpoints.owner, path).await?;
        }
        _ => {}
    }
    let mut done = Vec::new();
    for migration in back {
        step(connection, migration, migration.down, false).await?;
        done.push(migration.name);
    }
    Ok(done)
}

/// PostgreSQL's `query_canceled`: by `statement_timeout`, or by somebody.
const CANCELLED: &str = "57014";

async fn step(
    connection: &mut PgConnection,
    migration: &Migration,
    text: &'static str,
    up: bool,
) -> Result<(), Error> {
    let mut tx = connection.begin().await?;
    let result = async {
        repo::run_script(&mut tx, text).await?;
        if up {
            repo::record(
                &mut tx,
                migration.number,
                migration.name,
                &migration.checksum(),
                migration.contracts(),
            )
            .await
        } else {
            repo::forget(&mut tx, migration.number).await
        }
    }
    .await;
    result.map_err(|source| {
        // Trouble with the database itself (disk, shutdown, connection) is not the file's fault; that it took too long is.
        let trouble = source.as_database_error().is_none_or(|database| {
            let code = database.code().unwrap_or_default();
            code != CANCELLED && matches!(code.get(..2), Some("53" | "57" | "08"))
        });
        if trouble {
            return source.into();
        }
        let (line, message) = describe(&source, text);
        Error::Migration {
            file: migration.name,
            line,
            message,
            source,
        }
    })?;
    tx.commit().await?;
    Ok(())
}

/// What every migration's text, both ways, comes to: SHA-256, as hex. Equal exactly if the schema is.
pub fn checksum() -> String {
    let mut hash = Sha256::new();
    for text in MIGRATIONS
        .iter()
        .flat_map(|migration| [migration.up, migration.down])
    {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

/// One known migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub number: i32,
    pub name: &'static str,
    pub applied: bool,
    /// The text that was applied differs from this release's.
    pub changed: bool,
}

/// Every migration of this release, in order, and whether the database has it. Changes nothing.
///
/// # Errors
/// [`Error::Unavailable`] if the database does not answer.
pub async fn status(endpoints: &Endpoints) -> Result<Vec<Status>, Error> {
    let pool = owner_pool(endpoints);
    let mut connection = pool.acquire().await?;
    let applied = repo::applied_if_any(&mut connection).await?;
    drop(connection);
    pool.close().await;
    let status = |migration: &Migration| {
        let found = applied
            .iter()
            .find(|(number, ..)| *number == migration.number);
        Status {
            number: migration.number,
            name: migration.name,
            applied: found.is_some(),
            changed: found.is_some_and(|(.., checksum)| *checksum != migration.checksum()),
        }
    };
    Ok(MIGRATIONS.iter().map(status).collect())
}

/// The line of the text at which PostgreSQL stopped (0 if it does not say), and its words.
fn describe(error: &sqlx::Error, text: &str) -> (usize, String) {
    let sqlx::Error::Database(database) = error else {
        return (0, "the database did not take it".to_owned());
    };
    let mut message = database.message().to_owned();
    let Some(database) = database.try_downcast_ref::<PgDatabaseError>() else {
        return (0, message);
    };
    let line = match database.position() {
        Some(PgErrorPosition::Original(at)) => {
            text.chars()
                .take(at.saturating_sub(1))
                .filter(|c| *c == '\n')
                .count()
                + 1
        }
        _ => 0,
    };
    for more in [database.detail(), database.hint(), database.r#where()]
        .into_iter()
        .flatten()
    {
        message.push_str("; ");
        message.push_str(more);
    }
    (line, message)
}
