//! Backups of the installation on this host.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use hub_base::SystemClock;
use hub_operate::backup::{self, Backup as Kept, Config, Info, Kind, Lag, Made, Pruned, Site};
use hub_operate::operation::Record;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::progress::Progress;
use super::standing;
use super::told::told;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Which installation.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The hub's data directory: its keys, its private database.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "./security-hub-data",
        env = "HUB_DATA_DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// backup.toml: repositories, keepers, schedule. Without it: the private database, into the data directory.
    #[arg(long, value_name = "FILE", env = "HUB_BACKUP_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

impl Where {
    pub(crate) fn site(&self) -> Result<Site, Failure> {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        Ok(Site::open(&self.data_dir, config)?)
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Type {
    Full,
    Diff,
    Incr,
}

impl From<Type> for Kind {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Full => Self::Full,
            Type::Diff => Self::Differential,
            Type::Incr => Self::Incremental,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Back up the database, the keys and the configuration, while the hub works. The first one sets everything up.
    Run {
        #[command(flatten)]
        place: Where,
        /// What to copy: all, what changed since the last full one, or since the last of any kind.
        #[arg(long = "type", value_enum, default_value = "incr")]
        kind: Type,
        /// Only what the schedule says is due now (for a timer); does nothing if nothing is.
        #[arg(long, conflicts_with = "kind")]
        due: bool,
        /// Where to write the recovery key that the first backup makes, instead of showing it.
        #[arg(long, value_name = "FILE")]
        recovery_key: Option<PathBuf>,
    },
    /// What is kept, oldest first.
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Read every file of every repository and compare it with its checksum.
    Verify {
        #[command(flatten)]
        place: Where,
    },
    /// What is due, what was missed, how far each repository lies behind; 1 if anything was missed or lags, and the hub is told
    /// (an incident).
    Schedule {
        #[command(flatten)]
        place: Where,
        /// Write the figures here too, for the textfile collector of Prometheus' node exporter.
        #[arg(long, value_name = "FILE")]
        metrics: Option<PathBuf>,
    },
    /// Remove what the retention policy no longer keeps; never what is under a legal hold.
    Prune {
        #[command(flatten)]
        place: Where,
        /// Show what would go, remove nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

impl Backup {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Run {
                place,
                kind,
                due,
                recovery_key,
            } => {
                let site = place.site()?;
                if backup::stands_by(&site).await? {
                    output.note("nothing is backed up here: this database is a standby, and its leader's host does it. Ready to archive if it leads");
                    return Ok(Exit::Done);
                }
                let kind = if due {
                    standing::due_now(&site).await?
                } else {
                    Some(kind.into())
                };
                let Some(kind) = kind else {
                    output.note("no backup is due");
                    return Ok(Exit::Done);
                };
                made(&site, kind, recovery_key.as_deref(), client, output).await
            }
            Self::List { place } => {
                let site = place.site()?;
                let info = backup::list(&site).await?;
                let lags = backup::measure(&site, &info).await?;
                listed(output, &info, &lags)
            }
            Self::Verify { place } => {
                let verified = backup::verify(&place.site()?, &Progress::new()).await?;
                let good = verified.faults.is_empty();
                if output.json {
                    output.document(&verified)?;
                } else {
                    for fault in &verified.faults {
                        output.line(&output.verdict(false, fault))?;
                    }
                    let word = if good { "whole" } else { "DAMAGED" };
                    output.line(&format!(
                        "{}: {} backups, {} sealed bundles, read in {:.1} s",
                        output.verdict(good, word),
                        verified.backups,
                        verified.bundles,
                        verified.took_ms as f64 / 1000.0
                    ))?;
                }
                Ok(if good { Exit::Done } else { Exit::No })
            }
            Self::Schedule { place, metrics } => {
                standing::scheduled(&place.site()?, metrics.as_deref(), client, output).await
            }
            Self::Prune { place, dry_run } => {
                let pruned = backup::prune(&place.site()?, !dry_run).await?;
                pruned_away(output, &pruned, dry_run)?;
                Ok(Exit::Done)
            }
        }
    }
}

async fn made(
    site: &Site,
    kind: Kind,
    key: Option<&Path>,
    client: &Client,
    output: &Output,
) -> Result<Exit, Failure> {
    let done = {
        let progress = Progress::new();
        backup::run(site, kind, Arc::new(SystemClock), &progress).await?
    };
    if let Some(made) = &done.made {
        hand_over(made, key, output)?;
    }
    tell(site, client, output).await?;
    let good = done.record.why.is_none();
    if output.json {
        output.document(&json!({"operation": done.record, "manifest": done.manifest}))?;
    } else {
        output.line(&words(output, &done.record))?;
    }
    Ok(if good { Exit::Done } else { Exit::Unreachable })
}

/// The outcome of an operation in a line.
pub(crate) fn words(output: &Output, record: &Record) -> String {
    let seconds = record.ended.since(record.began).as_secs_f64();
    match &record.why {
        None => format!(
            "{}: {} {} in {seconds:.1} s",
            output.verdict(true, "done"),
            record.kind,
            record.subject
        ),
        Some(why) => format!(
            "{}: {} after {seconds:.1} s: {why}",
            output.verdict(false, "failed"),
            record.kind
        ),
    }
}

/// The recovery key, once: to a file of its owner's, or on standard error.
fn hand_over(made: &Made, path: Option<&Path>, output: &Output) -> Result<(), Failure> {
    let key = made.recovery_key.expose_secret();
    if let Some(path) = path {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{key}")?;
        output.note(&format!(
            "the recovery key is in {}: keep it away from this machine",
            path.display()
        ));
    } else {
        output.note(&format!(
            "recovery key (shown once; without it and this machine no backup can be opened):\n  {key}"
        ));
    }
    Ok(())
}

/// Tells the hub's ledger what was done.
pub(crate) async fn tell(site: &Site, client: &Client, output: &Output) -> Result<(), Failure> {
    let log = site.log()?;
    told(client, log.untold()?, |id| log.tell(id), output).await
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

fn pruned_away(output: &Output, pruned: &Pruned, dry_run: bool) -> Result<(), Failure> {
    if output.json {
        let Pruned { gone, held, holds } = pruned;
        return output
            .document(&json!({"dry_run": dry_run, "gone": gone, "held": held, "holds": holds}));
    }
    let what = if dry_run { "would go" } else { "gone" };
    let row = |what: &str, (number, label): &(u8, String)| {
        vec![number.to_string(), label.clone(), what.to_owned()]
    };
    let gone = pruned.gone.iter().map(|one| row(what, one));
    let held = pruned.held.iter().map(|one| row("under legal hold", one));
    output.table(&["Repository", "Backup", ""], gone.chain(held).collect())?;
    for reason in pruned.holds.iter().filter(|_| !pruned.held.is_empty()) {
        output.line(&format!("A legal hold is in force: {reason}"))?;
    }
    Ok(())
}

fn listed(output: &Output, info: &Info, lags: &[Lag]) -> Result<Exit, Failure> {
    if output.json {
        output.document(&json!({
            "backups": info.backups,
            "status": info.status,
            "newest_wal": info.newest_wal,
            "repositories": lags,
        }))?;
        return Ok(Exit::Done);
    }
    let row = |backup: &Kept| {
        vec![
            backup.label.clone(),
            backup.kind.name().to_owned(),
            backup.stop.to_string(),
            size(backup.size),
            size(backup.stored),
            backup.repository.to_string(),
            output.verdict(!backup.error, if backup.error { "DAMAGED" } else { "good" }),
        ]
    };
    output.table(
        &[
            "Backup",
            "Type",
            "Ended",
            "Database",
            "Stored",
            "Repository",
            "Pages",
        ],
        info.backups.iter().map(row).collect(),
    )?;
    standing::lag_table(output, lags)?;
    Ok(Exit::Done)
}
