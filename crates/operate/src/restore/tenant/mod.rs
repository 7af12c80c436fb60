//! One tenant out of a backup: restored beside and proven, copied into a schema of its own in the live database, compared
//! row by row, and taken back by decision.
//!
//! Everything is done as the owner of the tables, on whom row-level security is forced: whatever is wrong here, another
//! tenant's rows are neither seen nor changed. A copy belongs to the owner alone; the hub cannot read it.

pub mod compare;
pub mod decide;
mod extract;
pub mod merge;
mod repo;
mod scratch;
mod shape;

use std::path::PathBuf;
use std::sync::Arc;

use hub_base::{Clock, OperationId, TenantId, Timestamp};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, PrivateCluster, Store, Tx, WriteTx, directory};
use hub_vault::RecoveryKey;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use self::compare::Comparison;
use self::decide::Decisions;
use self::merge::Report;
use self::repo::rules::{self, Rule};
use super::Point;
use crate::backup::Site;
use crate::error::Error;
use crate::operation::{Operation, Record, Witness};

pub use extract::extract;

const COMPONENT: &str = "hubctl restore tenant";
/// OCSF's `activity_id` of a deletion (class 3004).
const DELETE: u8 = 4;

/// A copy that is asked for.
#[derive(Debug)]
pub struct Wish<'a> {
    pub site: &'a Site,
    /// The tenant's slug at that point.
    pub tenant: String,
    pub point: Point,
    /// Where there is room for a second database for a while.
    pub scratch: PathBuf,
    /// The program to start on what was restored.
    pub server: PathBuf,
    pub key: Option<RecoveryKey>,
}

/// One tenant's rows as of a point, in a schema of the live database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The schema.
    #[serde(default)]
    pub name: String,
    /// The slug.
    pub tenant: String,
    pub id: TenantId,
    pub backup: String,
    pub point: String,
    pub at: Timestamp,
    pub operation: OperationId,
    pub rows: u64,
    /// Of the tenant's ledger, as it was proven.
    pub ledger_size: u64,
    pub ledger_root: String,
    /// What every migration that both databases had comes to.
    pub migrations: String,
    #[serde(default)]
    pub bytes: i64,
}

/// An operation that ended.
#[derive(Debug)]
pub struct Done<T> {
    pub record: Record,
    /// `None` if it failed.
    pub result: Option<T>,
}

/// A table's rule; what nobody has thought about yet is only compared.
fn rule(table: &str, is_lost: bool) -> Rule {
    let found = if is_lost {
        rules::of_a_lost_tenant(table)
    } else {
        rules::of(table)
    };
    found.unwrap_or(rules::UNKNOWN)
}

/// The live database, which is started if nobody has it running.
struct Live {
    store: Store,
    started: Option<PrivateCluster>,
}

impl Live {
    async fn open(site: &Site, clock: &Arc<dyn Clock>) -> Result<Self, Error> {
        let started = site.running().await?;
        let store = site.cluster.overseer()?.as_owner(Arc::clone(clock)).await?;
        Ok(Self { store, started })
    }

    async fn close(self) -> Result<(), Error> {
        drop(self.store);
        if let Some(cluster) = self.started {
            cluster.stop().await.map_err(hub_store::Error::from)?;
        }
        Ok(())
    }

    async fn find(&self, name: Option<&str>) -> Result<Copied, Error> {
        let mut tx = self.write(TenantId::SYSTEM).await?;
        find(&mut tx, name).await
    }

    /// In the tenant, whose ledger is told what is done with a copy of it; in the operators' if it is gone.
    async fn write_of(&self, tenant: TenantId) -> Result<WriteTx, Error> {
        let mut tx = self.write(tenant).await?;
        if !is_lost(&mut tx).await? {
            return Ok(tx);
        }
        drop(tx);
        self.write(TenantId::SYSTEM).await
    }

    async fn write(&self, tenant: TenantId) -> Result<WriteTx, Error> {
        let cx = Cx::system(self.store.clone(), tenant, COMPONENT);
        Ok(cx.write().await?)
    }
}

/// Whether a tenant is not in the directory any more.
async fn is_lost(tx: &mut Tx) -> Result<bool, Error> {
    let tenant = tx.tenant();
    Ok(directory::by_id(tx, tenant).await?.is_none())
}

/// What a database's migrations come to.
async fn migrations(tx: &mut Tx) -> Result<(i32, String), Error> {
    let applied = repo::migrations(tx).await?;
    let mut hash = Sha256::new();
    for (number, text) in &applied {
        hash.update(format!("{number} {text}\n"));
    }
    let newest = applied.last().map_or(0, |(number, _)| *number);
    Ok((newest, hex::encode(hash.finalize())))
}

/// Every copy that there is.
///
/// # Errors
/// If the database cannot be asked.
pub async fn list(site: &Site, clock: Arc<dyn Clock>) -> Result<Vec<Copied>, Error> {
    scratch::sweep(site)?;
    let live = Live::open(site, &clock).await?;
    let found = async {
        let mut tx = live.write(TenantId::SYSTEM).await?;
        copies(&mut tx).await
    }
    .await;
    live.close().await?;
    found
}

async fn copies(tx: &mut Tx) -> Result<Vec<Copied>, Error> {
    let schemas = repo::schemas(tx).await?.into_iter();
    let copies = schemas.filter_map(|(name, about, bytes)| {
        let about: Copied = serde_json::from_str(&about).ok()?;
        Some(Copied {
            name,
            bytes,
            ..about
        })
    });
    Ok(copies.collect())
}

/// The copy of that name; the only one if none is named.
async fn find(tx: &mut Tx, name: Option<&str>) -> Result<Copied, Error> {
    let mut all = copies(tx).await?;
    let names: Vec<String> = all.iter().map(|copy| copy.name.clone()).collect();
    let there = match &*names {
        [] => "there is none".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    match (name, all.pop()) {
        (None, Some(copy)) if all.is_empty() => Ok(copy),
        (None, _) => Err(Error::Decided(format!("which copy? {there}"))),
        (Some(name), last) => {
            let mut found = all.into_iter().chain(last);
            let found = found.find(|copy| copy.name == name);
            found.ok_or_else(|| Error::Decided(format!("there is no copy `{name}`: {there}")))
        }
    }
}

/// The copy, and a transaction in its tenant. It still has the tables that the live database has.
async fn enter(live: &Live, name: Option<&str>) -> Result<(Copied, WriteTx), Error> {
    let copy = live.find(name).await?;
    let mut tx = live.write(copy.id).await?;
    let (newest, digest) = migrations(&mut tx).await?;
    if digest != copy.migrations {
        return Err(Error::Decided(format!(
            "the database was migrated to {newest:04} since {} was taken: drop it and extract again",
            copy.name
        )));
    }
    Ok((copy, tx))
}

/// Holds a copy against what is live; at most `limit` rows of each table and side are named.
///
/// # Errors
/// [`Error::Decided`] if there is no such copy.
pub async fn compare(
    site: &Site,
    name: Option<&str>,
    limit: i64,
    clock: Arc<dyn Clock>,
) -> Result<Comparison, Error> {
    scratch::sweep(site)?;
    let live = Live::open(site, &clock).await?;
    let compared = async {
        let (copy, mut tx) = enter(&live, name).await?;
        compare::all(&mut tx, &copy, limit).await
    }
    .await;
    live.close().await?;
    compared
}

/// What is to be taken.
#[derive(Debug)]
pub enum Choice<'a> {
    File(&'a std::path::Path),
    All(decide::What),
}

/// What a merge would do; nothing is changed.
///
/// # Errors
/// [`Error::Decided`] and [`Error::Configuration`] with every fault.
pub async fn plan(
    site: &Site,
    name: Option<&str>,
    choice: &Choice<'_>,
    clock: Arc<dyn Clock>,
) -> Result<Report, Error> {
    scratch::sweep(site)?;
    let live = Live::open(site, &clock).await?;
    let report = async {
        let (copy, mut tx) = enter(&live, name).await?;
        let decisions = decisions(choice, &copy)?;
        merge::take(&mut tx, &copy, &decisions).await
    }
    .await;
    live.close().await?;
    report
}

fn decisions(choice: &Choice<'_>, copy: &Copied) -> Result<Decisions, Error> {
    match choice {
        Choice::File(path) => Decisions::read(path, &copy.name),
        Choice::All(what) => Ok(Decisions::all(*what)),
    }
}

/// Takes what was decided: all of it with its act, or nothing.
///
/// # Errors
/// What keeps it from beginning.
pub async fn merge(
    site: &Site,
    name: Option<&str>,
    choice: &Choice<'_>,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Done<Report>, Error> {
    scratch::sweep(site)?;
    let live = Live::open(site, &clock).await?;
    let mut operation = Operation::begin("restore", clock, witness);
    let merged = async {
        let (copy, mut tx) = enter(&live, name).await?;
        operation.at("merge", &copy.name);
        let decisions = decisions(choice, &copy)?;
        let report = merge::take(&mut tx, &copy, &decisions).await?;
        if report
            .tables
            .values()
            .all(|counts| counts.added + counts.changed == 0)
        {
            operation.did("merge", "there was nothing to take", json!(report.tables));
            return Ok((copy, report));
        }
        tx.commit(merge::act(&copy, operation.id(), &report))
            .await?;
        let (added, changed) = report
            .tables
            .values()
            .fold((0, 0), |(added, changed), counts| {
                (added + counts.added, changed + counts.changed)
            });
        let said = format!(
            "{added} rows added, {changed} put back, {} left out",
            report.left_out.len()
        );
        operation.did(
            "merge",
            said,
            json!({"tables": report.tables, "revived": report.revived}),
        );
        Ok((copy, report))
    }
    .await;
    finish(site, live, operation, name, merged).await
}

/// Removes a copy.
///
/// # Errors
/// What keeps it from beginning.
pub async fn discard(
    site: &Site,
    name: Option<&str>,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Done<Copied>, Error> {
    scratch::sweep(site)?;
    let live = Live::open(site, &clock).await?;
    let mut operation = Operation::begin("restore", clock, witness);
    let dropped = async {
        let copy = live.find(name).await?;
        operation.at("drop", &copy.name);
        let mut tx = live.write_of(copy.id).await?;
        repo::drop(&mut tx, &copy.name).await?;
        let act = Act::new(
            "tenant.forget_copy",
            Class::EntityManagement,
            DELETE,
            "admin",
        )
        .on(Subject::new("tenant", copy.id).named(copy.tenant.clone()))
        .with("unmapped.restore.operation", operation.id().to_string())
        .with("unmapped.restore.copy", copy.name.as_str());
        tx.commit(act).await?;
        operation.did("drop", format!("{} is gone", copy.name), json!(copy));
        Ok((copy.clone(), copy))
    }
    .await;
    finish(site, live, operation, name, dropped).await
}

async fn finish<T>(
    site: &Site,
    live: Live,
    operation: Operation<'_>,
    name: Option<&str>,
    done: Result<(Copied, T), Error>,
) -> Result<Done<T>, Error> {
    live.close().await?;
    let (result, record) = match done {
        Ok((copy, result)) => (Some(result), operation.end(copy.name, None)),
        // Nothing was begun: that is the caller's mistake and no failed restore.
        Err(error @ (Error::Decided(_) | Error::Configuration { .. })) => return Err(error),
        Err(error) => {
            let why = hub_base::chain(&error);
            (None, operation.end(name.unwrap_or("tenant"), Some(why)))
        }
    };
    site.log()?.keep(&record)?;
    Ok(Done { record, result })
}

#[cfg(test)]
mod tests;
