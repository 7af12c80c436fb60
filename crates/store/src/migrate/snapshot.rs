//! The whole database in one file, before a way back loses some of it: `pg_dump`, custom format; `pg_restore` reads it.
//!
//! The owner's own walls are lifted meanwhile: row-level security is forced on it too, and `pg_dump` refuses to leave rows
//! out. For everybody else they stand.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::ConnectOptions as _;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;

use super::repo;
use crate::cluster::binaries;
use crate::error::Error;

/// Writes the snapshot; the file is there exactly if it is whole.
pub(super) async fn write(
    connection: &mut PgConnection,
    owner: &PgConnectOptions,
    path: &Path,
) -> Result<(), Error> {
    if path.exists() {
        return Err(fault(path, "it is there already"));
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    repo::lift_walls(connection).await?;
    let dumped = dump(owner, &partial).await;
    repo::raise_walls(connection).await?;
    let kept = dumped.and_then(|()| {
        // No other one is overwritten that came meanwhile.
        std::fs::hard_link(&partial, path).map_err(|error| error.to_string())
    });
    let _absent = std::fs::remove_file(&partial);
    kept.map_err(|what| fault(path, &what))
}

fn fault(path: &Path, what: &str) -> Error {
    Error::Snapshot {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

async fn dump(owner: &PgConnectOptions, to: &Path) -> Result<(), String> {
    // Of one that was cut off.
    let _absent = std::fs::remove_file(to);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| format!("{}: {error}", to.display()))?;
    let copy = file.try_clone().map_err(|error| error.to_string())?;
    let (address, password) = address(owner);
    let program = binaries::client("pg_dump");
    let mut command = Command::new(&program);
    command
        .args(["--format=custom", "--no-password", "--dbname", &address])
        .env("LC_ALL", "C")
        .env_remove("PGOPTIONS")
        .envs(password.map(|password| ("PGPASSWORD", password)))
        .stdin(Stdio::null())
        .stdout(file)
        .kill_on_drop(true);
    let output = command
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} could not be started: {error}", program.display()))?
        .wait_with_output()
        .await
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "pg_dump ended with {}: {}",
            output.status,
            said.trim()
        ));
    }
    copy.sync_all().map_err(|error| error.to_string())
}

/// As libpq takes it, and the password apart: others can read a program's arguments.
fn address(owner: &PgConnectOptions) -> (String, Option<String>) {
    let mut url = owner.to_url_lossy();
    let password = url.password().map(decoded);
    let _can_have_one = url.set_password(None);
    let known = |name: &str| name.starts_with("ssl");
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| known(name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    (url.to_string(), password)
}

/// Without its percent signs (RFC 3986 section 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_no_argument() {
        let owner = "postgres://hub_owner:p%40ss%20w%25rd@db.example.org:5433/hub?sslmode=require";
        let (address, password) = address(&owner.parse().unwrap());
        assert_eq!(password.as_deref(), Some("p@ss w%rd"));
        assert_eq!(
            address,
            "postgres://hub_owner@db.example.org:5433/hub?sslmode=require"
        );
        let socket = "postgres://hub_owner@%2Frun%2Fdb:5432/hub".parse().unwrap();
        let (address, password) = super::address(&socket);
        assert_eq!(password, None);
        assert!(
            address.starts_with("postgres://hub_owner@%2Frun%2Fdb:5432/hub"),
            "{address}"
        );
    }
}
