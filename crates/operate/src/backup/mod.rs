//! Backups: the database by pgBackRest, everything else in a sealed bundle beside it, and a manifest with each ledger's
//! checkpoint, which a restore must come up to.

mod bundle;
mod config;
mod info;
mod keep;
pub(crate) mod pgbackrest;
mod schedule;
mod site;

use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, Timestamp};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Value, json};

use self::bundle::Bundle;
use self::pgbackrest::PgBackRest;
use crate::error::{Error, fault};
use crate::operation::{Operation, Record, Witness};

pub(crate) use bundle::unpack;
pub use bundle::{Held, Manifest};
pub use config::{Config, Database, Repository, S3, Schedule};
pub use info::{Backup, Info, Kind};
pub use keep::Keep;
pub use schedule::{Due, Standing};
pub(crate) use site::Cluster;
pub use site::{Made, Site};

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

/// Makes one backup into every repository. The record says how it went, also when it failed.
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
        Ok(manifest) => {
            let label = manifest.backup.clone();
            (Some(manifest), operation.end(label, None))
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
) -> Result<Manifest, Error> {
    operation.at("prepare", "the repositories");
    let _hold = site.hold()?;
    let (recipients, fresh) = site.recipients()?;
    *made = fresh;
    let started = site.running().await?;
    let done = async {
        let tool = site.tool()?;
        let newest = set_up(site, &tool, &recipients).await?;
        let kind = if newest { kind } else { Kind::Full };
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
        let mut took_ms = 0;
        for number in site.numbers() {
            let words = format!("{} backup into repository {number}", kind.name());
            operation.at("copy", &words);
            tool.backup(kind, number, operation.witness()).await?;
            let info = tool.info().await?;
            let backup = info.backups.iter().rfind(|one| one.repository == number);
            let figures = backup.map_or(Value::Null, |backup| json!(backup));
            took_ms = operation.did("copy", words, figures);
        }
        operation.at("seal", "keys, configuration, certificates");
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
            took_ms,
        };
        let manifest = seal(site, &tool, manifest, &recipients).await?;
        let said = format!(
            "{} files for {} keepers",
            manifest.files.len(),
            recipients.len()
        );
        operation.did("seal", said, json!({"files": manifest.files}));
        Ok(manifest)
    }
    .await;
    if let Some(cluster) = started {
        cluster.stop().await.map_err(hub_store::Error::from)?;
    }
    done
}

/// Stanza, archiving, the passphrase's way back. Whether there is a backup to build on in each repository.
async fn set_up(
    site: &Site,
    tool: &PgBackRest,
    recipients: &[hub_vault::Recipient],
) -> Result<bool, Error> {
    tool.ask("stanza-create", &[]).await?;
    site.archive(tool).await?;
    tool.ask("check", &[]).await?;
    for (number, (_, passphrase)) in (1..).zip(site.unlocked()?) {
        let sealed = hub_vault::sealed::seal(passphrase.expose_secret().as_bytes(), recipients)?;
        tool.put(number, RECOVERY, &sealed).await?;
    }
    let info = tool.info().await?;
    Ok(site.numbers().all(|number| {
        let mut good = info.backups.iter().filter(|backup| !backup.error);
        good.any(|backup| backup.repository == number && backup.kind == Kind::Full)
    }))
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

/// Puts bundle and manifest beside the newest backup of each repository.
async fn seal(
    site: &Site,
    tool: &PgBackRest,
    manifest: Manifest,
    recipients: &[hub_vault::Recipient],
) -> Result<Manifest, Error> {
    let bundle = Bundle::gather(site)?;
    let sealed = bundle.seal(recipients)?;
    let mut manifest = Manifest {
        files: bundle.files,
        sealed: bundle::hash(&sealed),
        ..manifest
    };
    let info = tool.info().await?;
    for number in site.numbers() {
        let newest = info.backups.iter().rfind(|one| one.repository == number);
        let Some(newest) = newest else {
            continue;
        };
        manifest.backup.clone_from(&newest.label);
        let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        tool.put(number, &format!("{}.age", newest.label), &sealed)
            .await?;
        tool.put(number, &format!("{}.json", newest.label), &text)
            .await?;
    }
    Ok(manifest)
}

/// What a look at everything that is kept found.
#[derive(Debug, Serialize)]
pub struct Verified {
    pub faults: Vec<String>,
    pub backups: usize,
    pub bundles: usize,
    pub took_ms: u64,
}

/// Reads every file of every repository and compares it with its checksum; bundles and manifests too.
///
/// # Errors
/// If the repositories cannot be asked.
pub async fn verify(site: &Site, witness: &dyn Witness) -> Result<Verified, Error> {
    let began = std::time::Instant::now();
    let tool = site.tool()?;
    let mut faults = Vec::new();
    let info = tool.info().await?;
    let mut bundles = 0;
    for number in site.numbers() {
        witness.begins("verify", &format!("repository {number}"));
        let said = tool
            .work("verify", &[&format!("--repo={number}")], witness)
            .await?;
        // pgBackRest 2.45 ends with 0 whatever it found.
        faults.extend(complaints(&said).map(|line| format!("repository {number}: {line}")));
        for backup in info.backups.iter().filter(|one| one.repository == number) {
            if backup.error {
                faults.push(format!(
                    "{} holds pages whose checksum was wrong when it was made",
                    backup.label
                ));
            }
            match whole(&tool, number, &backup.label).await {
                Ok(()) => bundles += 1,
                Err(error) => faults.push(hub_base::chain(&error)),
            }
        }
    }
    Ok(Verified {
        faults,
        backups: info.backups.len(),
        bundles,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The lines of `pgbackrest verify` that tell of something wrong.
fn complaints(said: &str) -> impl Iterator<Item = String> {
    said.lines()
        .map(str::trim)
        .filter(|line| {
            let nothing = [
                "missing: 0",
                "checksum invalid: 0",
                "size invalid: 0",
                "other: 0",
            ];
            let wrong = ["missing:", "checksum invalid:", "size invalid:", "other:"];
            let counts = wrong.iter().any(|word| line.contains(word))
                && !nothing.iter().all(|word| line.contains(word));
            counts || line.contains("ERROR:") || line.contains("status: error")
        })
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

async fn whole(tool: &PgBackRest, number: u8, label: &str) -> Result<(), Error> {
    let (manifest, sealed) = beside(tool, number, label).await?;
    bundle::intact(&manifest, &sealed)
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

/// What is kept.
///
/// # Errors
/// If there is nothing yet, or it cannot be asked.
pub async fn list(site: &Site) -> Result<Info, Error> {
    if !site.is_set_up() {
        return Err(Error::Backup(
            "nothing was ever backed up here: begin with `hubctl backup run`".to_owned(),
        ));
    }
    site.tool()?.info().await
}

/// What goes by the policy; with `do_it` it goes now. Each as `(repository, label)`.
///
/// # Errors
/// If the repositories cannot be asked; what went before the fault is gone.
pub async fn prune(site: &Site, do_it: bool) -> Result<Vec<(u8, String)>, Error> {
    let info = list(site).await?;
    let tool = site.tool()?;
    let mut gone = Vec::new();
    for number in site.numbers() {
        let mut here = info.backups.clone();
        here.retain(|backup| backup.repository == number);
        for label in site.config.keep.removable(&here) {
            if do_it {
                let set = format!("--set={label}");
                tool.ask("expire", &[&format!("--repo={number}"), &set])
                    .await?;
            }
            gone.push((number, label));
        }
    }
    Ok(gone)
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
