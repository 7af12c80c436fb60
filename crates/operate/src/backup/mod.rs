//! Backups: the database by pgBackRest, everything else in a sealed bundle beside it, and a manifest with each ledger's
//! checkpoint, which a restore must come up to.

mod bundle;
mod config;
mod info;
mod keep;
mod lag;
pub(crate) mod pgbackrest;
mod said;
mod schedule;
mod site;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, Timestamp};
use hub_vault::Recipient;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::json;

use self::bundle::Bundle;
use self::pgbackrest::PgBackRest;
use crate::error::{Error, fault};
use crate::operation::{Operation, Record, Witness};

pub use bundle::{Held, Manifest};
pub(crate) use bundle::{RING, Take, unpack};
pub use config::{Config, Database, Repository, S3, Schedule};
pub use info::{Backup, Info, Kind, Stand};
pub use keep::Keep;
pub use lag::{Lag, measure};
pub use schedule::{Due, Standing};
pub(crate) use site::{ARCHIVE, Cluster, Unlocked};
pub use site::{Made, Site};
pub use verify::{Verified, verify};

/// The file with the repository's passphrase, sealed to the recipients.
pub(crate) const RECOVERY: &str = "recovery.age";

/// A backup that was made.
#[derive(Debug)]
pub struct Done {
    pub record: Record,
    pub manifest: Option<Manifest>,
    /// At the first backup only.
    pub made: Option<Made>,
}

/// Makes one backup into every repository. The record says how it went, also when it failed; it has failed if it did in one
/// of them.
///
/// # Errors
/// What keeps it from beginning.
pub async fn run(
    site: &Site,
    kind: Kind,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Done, Error> {
    let mut operation = Operation::begin("backup", clock, witness);
    let mut made = None;
    let done = attempt(site, kind, &mut operation, &mut made).await;
    let (manifest, record) = match done {
        Ok(outcome) => {
            let why = outcome.why();
            let made = outcome.made.as_ref();
            let subject = made.map_or_else(|| kind.name().to_owned(), |made| made.backup.clone());
            (outcome.made, operation.end(subject, why))
        }
        Err(error) => {
            let why = hub_base::chain(&error);
            (None, operation.end(kind.name(), Some(why)))
        }
    };
    site.log()?.keep(&record)?;
    Ok(Done {
        record,
        manifest,
        made,
    })
}

async fn attempt(
    site: &Site,
    kind: Kind,
    operation: &mut Operation<'_>,
    made: &mut Option<Made>,
) -> Result<Outcome, Error> {
    operation.at("prepare", "the repositories");
    let _hold = site.hold()?;
    let (recipients, fresh) = site.recipients()?;
    *made = fresh;
    let started = site.running().await?;
    let done = into_each(site, kind, operation, &recipients).await;
    if let Some(cluster) = started {
        cluster.stop().await.map_err(hub_store::Error::from)?;
    }
    done
}

/// A backup into each repository; what is the matter with one does not keep it from the others.
async fn into_each(
    site: &Site,
    kind: Kind,
    operation: &mut Operation<'_>,
    recipients: &[Recipient],
) -> Result<Outcome, Error> {
    // What the archiver reads: with every repository, whether it answers or not.
    let tool = site.tool()?;
    let overseer = site.cluster.overseer()?;
    let (trees, size) = (overseer.trees().await?, overseer.size().await?);
    let entries: u64 = trees.iter().map(|tree| tree.size).sum();
    operation.did(
        "prepare",
        format!(
            "{} ledgers with {entries} entries; {} MiB of database",
            trees.len(),
            size >> 20
        ),
        json!({"checkpoints": trees}),
    );
    let manifest = Manifest {
        version: 1,
        backup: String::new(),
        kind,
        at: operation.now(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        size,
        trees,
        tables: Vec::new(),
        files: Vec::new(),
        references: site.config.references.clone(),
        sealed: String::new(),
        took_ms: 0,
    };
    let mut outcome = Outcome::default();
    for unlocked in site.unlocked()? {
        let one = One {
            site,
            archiver: &tool,
            tool: site.alone(unlocked.number)?,
            unlocked,
        };
        match one.back_up(&manifest, recipients, operation).await {
            Ok(made) => outcome.made = Some(made),
            Err(error) => outcome.failed.push((one.unlocked.number, error)),
        }
    }
    Ok(outcome)
}

/// What became of it in the repositories.
#[derive(Debug, Default)]
struct Outcome {
    /// The manifest in the last repository that has it.
    made: Option<Manifest>,
    failed: Vec<(u8, Error)>,
}

impl Outcome {
    fn why(&self) -> Option<String> {
        let each = self.failed.iter();
        let each =
            each.map(|(number, error)| format!("repository {number}: {}", hub_base::chain(error)));
        let mut whys: Vec<String> = each.collect();
        if !whys.is_empty() && self.made.is_some() {
            whys.push("the backup is in the other one".to_owned());
        }
        (!whys.is_empty()).then(|| whys.join("; "))
    }
}

/// One repository's part of a backup.
struct One<'a> {
    site: &'a Site,
    archiver: &'a PgBackRest,
    tool: PgBackRest,
    unlocked: Unlocked,
}

impl One<'_> {
    async fn back_up(
        &self,
        manifest: &Manifest,
        recipients: &[Recipient],
        operation: &mut Operation<'_>,
    ) -> Result<Manifest, Error> {
        let number = self.unlocked.number;
        operation.at("prepare", &format!("repository {number}"));
        let kind = if self.set_up(recipients).await? {
            manifest.kind
        } else {
            Kind::Full
        };
        let words = format!("{} backup into repository {number}", kind.name());
        operation.at("copy", &words);
        self.tool.backup(kind, number, operation.witness()).await?;
        let info = self.tool.info().await?;
        let newest = info.backups.last().ok_or_else(|| {
            Error::Backup("the backup that was just made is not in the repository".to_owned())
        })?;
        let took_ms = operation.did("copy", words, json!(newest));
        operation.at("seal", "keys, configuration, certificates");
        // After the copy: a key that was exchanged meanwhile is in it.
        let bundle = Bundle::gather(self.site)?;
        let sealed = bundle.seal(recipients)?;
        let manifest = Manifest {
            backup: newest.label.clone(),
            kind,
            files: bundle.files,
            sealed: bundle::hash(&sealed),
            took_ms,
            ..manifest.clone()
        };
        let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        let name = |end: &str| format!("{}.{end}", newest.label);
        self.tool.put(number, &name("age"), &sealed).await?;
        self.tool.put(number, &name("json"), &text).await?;
        let said = format!(
            "{} files for {} keepers",
            manifest.files.len(),
            recipients.len()
        );
        operation.did("seal", said, json!({"files": manifest.files}));
        Ok(manifest)
    }

    /// Stanza, archiving, the passphrase's way back. Whether there is a backup to build on.
    async fn set_up(&self, recipients: &[Recipient]) -> Result<bool, Error> {
        let number = self.unlocked.number;
        // Asked first: of what is the matter with a repository this tells the most.
        if let Some(away) = self.tool.info().await?.away() {
            return Err(Error::Backup(away));
        }
        self.tool.ask("stanza-create", &[]).await?;
        self.site.archive(self.archiver).await?;
        self.tool.ask("check", &[]).await?;
        let passphrase = self.unlocked.passphrase.expose_secret().as_bytes();
        let sealed = hub_vault::sealed::seal(passphrase, recipients)?;
        self.tool.put(number, RECOVERY, &sealed).await?;
        let backups = self.tool.info().await?.backups;
        Ok(backups
            .iter()
            .any(|backup| !backup.error && backup.kind == Kind::Full))
    }
}

/// Whether the database here is a standby, whose leader is what is backed up. What it needs to archive with once it leads itself
/// is in place then.
///
/// # Errors
/// If it does not answer, or the configuration cannot be written.
pub async fn stands_by(site: &Site) -> Result<bool, Error> {
    // The hub's own cluster has no standby, and may not run now.
    if site.cluster.server.is_some() || !site.cluster.overseer()?.recovery().await?.replays {
        return Ok(false);
    }
    site.tool()?;
    Ok(true)
}

/// Manifest and bundle of a backup.
pub(crate) async fn beside(
    tool: &PgBackRest,
    number: u8,
    label: &str,
) -> Result<(Manifest, Vec<u8>), Error> {
    let missing = |what: &str| Error::Backup(format!("{label} has no {what}: it was interrupted"));
    let text = tool.get(number, &format!("{label}.json")).await?;
    let text = text.ok_or_else(|| missing("manifest"))?;
    let manifest = serde_json::from_slice(&text)
        .map_err(|error| Error::Backup(format!("the manifest of {label}: {error}")))?;
    let sealed = tool.get(number, &format!("{label}.age")).await?;
    Ok((manifest, sealed.ok_or_else(|| missing("bundle"))?))
}

/// What is kept, and why a repository does not say.
///
/// # Errors
/// If there is nothing yet, or it cannot be asked.
pub async fn list(site: &Site) -> Result<Info, Error> {
    if !site.is_set_up() {
        return Err(Error::Backup(
            "nothing was ever backed up here: begin with `hubctl backup run`".to_owned(),
        ));
    }
    site.info().await
}

/// What goes by the policy.
#[derive(Debug, Default, Serialize)]
pub struct Pruned {
    /// Each as `(repository, label)`.
    pub gone: Vec<(u8, String)>,
    /// What would go, were it not for a legal hold.
    pub held: Vec<(u8, String)>,
    /// The reasons of the holds.
    pub holds: Vec<String>,
}

/// What goes by the policy; with `do_it` it goes now. What was made before a legal hold in force was placed stays: it has
/// what the live database may have lost since.
///
/// # Errors
/// If the database cannot be asked for its holds, or the repositories cannot be asked; what went before the fault is gone.
pub async fn prune(site: &Site, do_it: bool) -> Result<Pruned, Error> {
    let info = list(site).await?;
    let started = site.running().await?;
    let holds = match site.cluster.overseer() {
        Ok(overseer) => overseer.holds().await.map_err(Error::from),
        Err(error) => Err(error),
    };
    if let Some(cluster) = started {
        cluster.stop().await.map_err(hub_store::Error::from)?;
    }
    let holds = holds?;
    let until = holds.iter().map(|(_, placed_at)| *placed_at).max();
    let mut pruned = Pruned {
        holds: holds.into_iter().map(|(reason, _)| reason).collect(),
        ..Pruned::default()
    };
    for stand in &info.repositories {
        let number = stand.repository;
        if let Some(away) = &stand.away {
            return Err(Error::Backup(format!("repository {number}: {away}")));
        }
        let tool = site.alone(number)?;
        let mut here = info.backups.clone();
        here.retain(|backup| backup.repository == number);
        for label in site.config.keep.removable(&here) {
            let made = here.iter().find(|one| one.label == label);
            if made.is_some_and(|made| until.is_some_and(|until| made.start <= until)) {
                pruned.held.push((number, label));
                continue;
            }
            if do_it {
                let set = format!("--set={label}");
                tool.ask("expire", &[&format!("--repo={number}"), &set])
                    .await?;
            }
            pruned.gone.push((number, label));
        }
    }
    Ok(pruned)
}

impl Site {
    /// One backup at a time: pgBackRest would refuse the second one, but the bundle is ours.
    fn hold(&self) -> Result<std::fs::File, Error> {
        let path = self.dir.join("backup.lock");
        let lock = std::fs::File::create(&path).map_err(fault(&path, "written"))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::Held(path)),
            Err(std::fs::TryLockError::Error(source)) => Err(fault(&path, "locked")(source)),
        }
    }
}

/// How long ago.
pub(crate) fn age(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_secs(now.since(at).as_secs())
}
