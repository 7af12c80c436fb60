//! Backups of the installation on this host.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use hub_base::{Clock as _, HumanDuration, SystemClock, Timestamp};
use hub_operate::backup::{self, Backup as Kept, Config, Due, Info, Kind, Made, Schedule, Site};
use hub_operate::operation::{Operation, Record};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::progress::Progress;
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
    /// What is due, what was missed; 1 if anything was, and the hub is told (an incident).
    Schedule {
        #[command(flatten)]
        place: Where,
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
                    due_now(&site).await?
                } else {
                    Some(kind.into())
                };
                let Some(kind) = kind else {
                    output.note("no backup is due");
                    return Ok(Exit::Done);
                };
                made(&site, kind, recovery_key.as_deref(), client, output).await
            }
            Self::List { place } => listed(output, &backup::list(&place.site()?).await?),
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
            Self::Schedule { place } => scheduled(&place.site()?, client, output).await,
            Self::Prune { place, dry_run } => {
                let gone = backup::prune(&place.site()?, !dry_run).await?;
                if output.json {
                    output.document(&json!({"dry_run": dry_run, "gone": gone}))?;
                } else {
                    let rows = gone.iter();
                    let rows = rows.map(|(number, label)| vec![number.to_string(), label.clone()]);
                    let what = if dry_run { "Would go" } else { "Gone" };
                    output.table(&["Repository", what], rows.collect())?;
                }
                Ok(Exit::Done)
            }
        }
    }
}

/// The backup that the schedule asks for now.
async fn due_now(site: &Site) -> Result<Option<Kind>, Failure> {
    let standing = standing(site).await?;
    let backups: Vec<_> = standing
        .into_iter()
        .filter(|one| one.kind != "drill")
        .collect();
    Ok(match Schedule::due(&backups) {
        Some(Due::Backup(kind)) => Some(kind),
        _ => None,
    })
}

async fn standing(site: &Site) -> Result<Vec<backup::Standing>, Failure> {
    let info = if site.is_set_up() {
        backup::list(site).await?
    } else {
        Info::default()
    };
    let drill = site.log()?.all()?.into_iter().rev();
    let drill = drill
        .filter(|record| record.kind == "drill" && record.outcome == "done")
        .map(|record| record.ended);
    let now = SystemClock.now();
    Ok(site
        .config
        .schedule
        .standing(&info, drill.into_iter().next(), now))
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
    let good = done.manifest.is_some();
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

fn listed(output: &Output, info: &Info) -> Result<Exit, Failure> {
    if output.json {
        output.document(info)?;
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
    Ok(Exit::Done)
}

async fn scheduled(site: &Site, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let standing = standing(site).await?;
    let missed: Vec<&str> = standing
        .iter()
        .filter(|one| one.is_missed)
        .map(|one| one.kind)
        .collect();
    if !missed.is_empty() {
        // Whoever is missing is told as what failed: the hub opens an incident for it.
        let progress = Progress::new();
        let operation = Operation::begin("backup", Arc::new(SystemClock), &progress);
        let why = format!("missed: no {} backup in time", missed.join(", no "));
        site.log()?.keep(&operation.end("schedule", Some(why)))?;
        tell(site, client, output).await?;
    }
    if output.json {
        output.document(&json!({"standing": standing}))?;
    } else {
        let since = |last: Option<Timestamp>| {
            last.map_or_else(
                || "never".to_owned(),
                |last| {
                    let old = SystemClock.now().since(last).as_secs();
                    let old = HumanDuration(std::time::Duration::from_secs(old));
                    format!("{old} ago")
                },
            )
        };
        let rows = standing.iter().map(|one| {
            let word = match (one.is_missed, one.is_due) {
                (true, _) => "MISSED",
                (_, true) => "due",
                _ => "in time",
            };
            vec![
                one.kind.to_owned(),
                one.every.to_string(),
                since(one.last),
                output.verdict(!one.is_missed, word),
            ]
        });
        output.table(&["What", "Every", "Last", ""], rows.collect())?;
    }
    Ok(if missed.is_empty() {
        Exit::Done
    } else {
        Exit::No
    })
}
