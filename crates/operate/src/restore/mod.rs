//! Restores that prove themselves: the database to a point in time, the keys, and then the ledgers computed anew, the
//! signatures checked, a hub started on it.

mod copy;
mod keys;
mod prove;
mod recover;
pub mod tenant;
mod wal;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use hub_base::{Clock, HumanDuration, Timestamp};
use hub_vault::RecoveryKey;
use serde::Serialize;
use serde_json::json;

use crate::backup::pgbackrest::PgBackRest;
use crate::backup::{Backup, Cluster, Manifest, Repository, Site};
use crate::error::Error;
use crate::operation::{Operation, OperationLog, Record, Witness};

pub use keys::keys;
pub use prove::Proof;
pub use wal::Gap;

/// The point that is gone back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Point {
    /// The last transaction that was archived.
    Latest,
    /// The last transaction committed before or at it.
    Time(Timestamp),
    /// The transaction that gave an entry of a tenant's ledger its place.
    Entry { tenant: String, index: i64 },
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Some(entry) = text.strip_prefix("entry:") {
            let parts = entry.split_once('/');
            let parts = parts.and_then(|(tenant, index)| Some((tenant, index.parse().ok()?)));
            return match parts {
                Some((tenant, index)) if !tenant.is_empty() && index >= 0 => Ok(Self::Entry {
                    tenant: tenant.to_owned(),
                    index,
                }),
                _ => Err(format!(
                    "`{text}` names no entry (expected `entry:TENANT/NUMBER`)"
                )),
            };
        }
        text.parse().map(Self::Time).map_err(|_| {
            format!(
                "`{text}` is no point in time (expected `latest`, `2026-11-24T03:00:00Z` or `entry:TENANT/NUMBER`)"
            )
        })
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Time(at) => at.fmt(f),
            Self::Entry { tenant, index } => write!(f, "entry:{tenant}/{index}"),
        }
    }
}

/// Where backups come from.
#[derive(Debug)]
pub enum Source {
    /// The installation that was backed up, on this host.
    Site(Box<Site>),
    /// Its repository alone: another host, or this one after its disk was lost.
    Repository(Box<Repository>),
}

/// A restore that is asked for.
#[derive(Debug)]
pub struct Request {
    pub source: Source,
    pub point: Point,
    /// The data directory that is made, or gone back in.
    pub into: PathBuf,
    /// Put what is there aside and restore in its place.
    pub in_place: bool,
    /// Opens the bundle; without it the keys come from the installation on this host.
    pub key: Option<RecoveryKey>,
    /// The program to start on what was restored.
    pub server: PathBuf,
    /// Processes that read, decompress and write.
    pub processes: u8,
}

/// What would be done.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    pub point: String,
    pub into: PathBuf,
    pub backup: Backup,
    /// Bytes that are written.
    pub size: u64,
    /// What was measured before tells how long.
    pub expected: HumanDuration,
    pub newest_wal: Option<String>,
    /// WAL that is missing: nothing behind it can be reached.
    pub gaps: Vec<Gap>,
    /// What stands in the place now and is put aside.
    pub aside: Option<PathBuf>,
    #[serde(skip)]
    manifest: Manifest,
    #[serde(skip)]
    sealed: Vec<u8>,
}

/// A restore that ended.
#[derive(Debug)]
pub struct Done {
    pub record: Record,
    pub plan: Option<Plan>,
    pub proof: Option<Proof>,
}

/// One restore on its way.
pub(crate) struct Restore<'a> {
    request: &'a Request,
    tool: PgBackRest,
    cluster: Cluster,
}

/// What it would do; nothing is changed but the folder that is made.
///
/// # Errors
/// If it could not be done.
pub async fn plan(request: &Request, clock: &dyn Clock) -> Result<Plan, Error> {
    Restore::open(request).await?.plan(clock).await
}

/// Restores and proves. The record says how it went, also when it failed.
///
/// # Errors
/// What keeps it from beginning.
pub async fn run(
    request: &Request,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Done, Error> {
    let restore = Restore::open(request).await?;
    let mut operation = Operation::begin("restore", Arc::clone(&clock), witness);
    operation.at("plan", "what is kept");
    let plan = restore.plan(&*clock).await?;
    operation.did(
        "plan",
        format!(
            "{} from {}, {} MiB, about {}",
            plan.point,
            plan.backup.label,
            plan.size >> 20,
            plan.expected
        ),
        json!(plan),
    );
    let done = restore.carry_out(&plan, &mut operation).await;
    let subject = plan.backup.label.clone();
    let (proof, record) = match done {
        Ok(proof) => (Some(proof), operation.end(subject, None)),
        Err(error) => (None, operation.end(subject, Some(hub_base::chain(&error)))),
    };
    restore.log()?.keep(&record)?;
    Ok(Done {
        record,
        plan: Some(plan),
        proof,
    })
}

impl Restore<'_> {
    /// What is done is kept where the backups come from, so that it can be told from there.
    fn log(&self) -> Result<OperationLog, Error> {
        match &self.request.source {
            Source::Site(site) => site.log(),
            Source::Repository(_) => {
                OperationLog::open(&self.request.into.join("backup/operations"))
            }
        }
    }

    pub(crate) async fn carry_out(
        &self,
        plan: &Plan,
        operation: &mut Operation<'_>,
    ) -> Result<Proof, Error> {
        let hold = self.hold(plan)?;
        let aside = self.put_aside(plan)?;
        let done = async {
            self.copy(plan, operation).await?;
            self.keys(plan, operation)?;
            self.recover(plan, operation).await?;
            let proof = self.prove(plan, operation).await?;
            // The hub that is started takes it.
            drop(hold);
            self.hub_answers(operation).await?;
            Ok(proof)
        }
        .await;
        match (done, aside) {
            (Ok(proof), aside) => {
                if let Some(aside) = aside {
                    let said = format!("what was there before is in {}", aside.display());
                    operation.did("aside", said, json!(aside));
                }
                Ok(proof)
            }
            (Err(error), aside) => {
                self.undo(aside.as_deref())?;
                Err(error)
            }
        }
    }
}

/// The program to start: as given, beside this one, or wherever the system finds it.
pub fn server(given: Option<&Path>) -> PathBuf {
    const NAME: &str = "security-hub";
    if let Some(given) = given {
        return given.to_owned();
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.join(NAME)));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| NAME.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_what_people_write() {
        let text = "2026-11-24T03:00:00Z";
        assert_eq!("latest".parse(), Ok(Point::Latest));
        assert_eq!(text.parse(), Ok(Point::Time(text.parse().unwrap())));
        let entry = Point::Entry {
            tenant: "acme".to_owned(),
            index: 7,
        };
        assert_eq!("entry:acme/7".parse(), Ok(entry.clone()));
        assert_eq!(entry.to_string(), "entry:acme/7");
        for text in ["yesterday", "entry:acme", "entry:/7", "entry:acme/-1", ""] {
            assert!(text.parse::<Point>().is_err(), "{text}");
        }
    }
}
