//! One tenant out of a backup: copied aside, compared, taken back by decision.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use hub_base::{SystemClock, plain};
use hub_operate::restore::tenant::compare::{Comparison, Row};
use hub_operate::restore::tenant::decide::{self, What};
use hub_operate::restore::tenant::merge::Report;
use hub_operate::restore::tenant::{self, Choice, Copied, Wish};
use hub_operate::restore::{Point, server};
use hub_vault::RecoveryKey;
use serde_json::{Value, json};

use super::backup::{Where, tell, words};
use super::progress::Progress;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Restored {
    /// One tenant out of a backup, into a schema of its own in the live database; the hub goes on meanwhile.
    #[command(subcommand)]
    Tenant(Box<Tenant>),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The copy, as `list` names it; not needed while there is only one.
    #[arg(value_name = "COPY")]
    name: Option<String>,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Take {
    Missing,
    Backup,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Restore a backup into a scratch place, prove it, copy the tenant's rows aside, and tear the scratch place down.
    Extract {
        #[command(flatten)]
        place: Where,
        /// The tenant, as it was called at that point.
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// `latest`, a time (2026-11-24T03:00:00Z), or a ledger entry (entry:TENANT/NUMBER).
        #[arg(long, value_name = "POINT")]
        to: Point,
        /// Where there is room for a second database.
        #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
        scratch: PathBuf,
        /// File with the recovery key (AGE-SECRET-KEY-1…): proves the sealed bundle as well.
        #[arg(long, value_name = "FILE")]
        recovery_key: Option<PathBuf>,
        /// The server to start on it; without it the one beside this program.
        #[arg(long, value_name = "PROGRAM")]
        server: Option<PathBuf>,
    },
    /// The copies that there are.
    List {
        #[command(flatten)]
        place: Where,
    },
    /// What differs between a copy and what is live, by primary key; secrets are never shown.
    Compare {
        #[command(flatten)]
        which: Which,
        /// How many rows of each table and side are named.
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rows: u32,
        /// Write the decisions to be made, for an editor and for `merge --decide`.
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Take what was decided: all of it with its ledger entry, or nothing. Revocations win: nothing that was ended, locked or
    /// taken away since comes back to life but by a decision of its own; a session never.
    #[command(group = clap::ArgGroup::new("choice").required(true))]
    Merge {
        #[command(flatten)]
        which: Which,
        /// The file that `compare --write` made and a person edited.
        #[arg(long, value_name = "FILE", group = "choice")]
        decide: Option<PathBuf>,
        /// Of every table: rows that are missing; or also rows that differ, as the backup has them.
        #[arg(long, value_enum, group = "choice")]
        take: Option<Take>,
        /// Show what would be taken; change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove a copy: it holds what the tenant's tables hold.
    Drop {
        #[command(flatten)]
        which: Which,
    },
}

impl Tenant {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Extract {
                place,
                tenant,
                to,
                scratch,
                recovery_key,
                server: program,
            } => {
                let site = place.site()?;
                let key = recovery_key.as_deref().map(RecoveryKey::read).transpose();
                let wish = Wish {
                    site: &site,
                    tenant,
                    point: to,
                    scratch,
                    server: server(program.as_deref()),
                    key: key.map_err(hub_operate::Error::from)?,
                };
                let done = {
                    let progress = Progress::new();
                    tenant::extract(wish, Arc::new(SystemClock), &progress).await?
                };
                tell(&site, client, output).await?;
                said(
                    output,
                    done,
                    |copy| json!({ "copy": copy }),
                    |copy| {
                        format!(
                            "look at it with `hubctl restore tenant compare {}`",
                            copy.name
                        )
                    },
                )
            }
            Self::List { place } => {
                let copies = tenant::list(&place.site()?, Arc::new(SystemClock)).await?;
                listed(output, &copies)
            }
            Self::Compare { which, rows, write } => {
                let site = which.place.site()?;
                let clock = Arc::new(SystemClock);
                let compared =
                    tenant::compare(&site, which.name.as_deref(), i64::from(rows), clock).await?;
                shown(output, &compared)?;
                if let Some(path) = write {
                    written(&path, &compared)?;
                    output.note(&format!(
                        "edit {0}, then `hubctl restore tenant merge {1} --decide {0} --dry-run`",
                        path.display(),
                        compared.copy.name
                    ));
                }
                Ok(Exit::Done)
            }
            Self::Merge {
                which,
                decide,
                take,
                dry_run,
            } => merged(&which, decide.as_deref(), take, dry_run, client, output).await,
            Self::Drop { which } => {
                let site = which.place.site()?;
                let done = {
                    let progress = Progress::new();
                    let clock = Arc::new(SystemClock);
                    tenant::discard(&site, which.name.as_deref(), clock, &progress).await?
                };
                tell(&site, client, output).await?;
                said(
                    output,
                    done,
                    |copy| json!({ "dropped": copy }),
                    |copy| format!("{} is gone", copy.name),
                )
            }
        }
    }
}

/// The outcome, and a word on how to go on.
fn said<T>(
    output: &Output,
    done: tenant::Done<T>,
    document: impl FnOnce(Option<&T>) -> Value,
    next: impl FnOnce(&T) -> String,
) -> Result<Exit, Failure> {
    if output.json {
        let mut document = document(done.result.as_ref());
        if let Value::Object(fields) = &mut document {
            fields.insert("operation".to_owned(), json!(done.record));
        }
        output.document(&document)?;
    } else {
        output.line(&words(output, &done.record))?;
        if let Some(result) = &done.result {
            output.line(&next(result))?;
        }
    }
    Ok(if done.result.is_some() {
        Exit::Done
    } else {
        Exit::Unreachable
    })
}

async fn merged(
    which: &Which,
    file: Option<&Path>,
    take: Option<Take>,
    dry_run: bool,
    client: &Client,
    output: &Output,
) -> Result<Exit, Failure> {
    let site = which.place.site()?;
    let name = which.name.as_deref();
    let choice = match (file, take) {
        (Some(path), _) => Choice::File(path),
        (None, Some(Take::Backup)) => Choice::All(What::Backup),
        (None, _) => Choice::All(What::Missing),
    };
    let clock = Arc::new(SystemClock);
    if dry_run {
        let report = tenant::plan(&site, name, &choice, clock).await?;
        if output.json {
            output.document(&json!({"dry_run": true, "report": report}))?;
        } else {
            told(output, &report, "Would be added")?;
        }
        return Ok(Exit::Done);
    }
    let done = {
        let progress = Progress::new();
        tenant::merge(&site, name, &choice, clock, &progress).await?
    };
    tell(&site, client, output).await?;
    if !output.json
        && let Some(report) = &done.result
    {
        told(output, report, "Added")?;
    }
    said(
        output,
        done,
        |report| json!({ "report": report }),
        |_| {
            "servers see it within a minute; `hubctl restore tenant drop` removes the copy"
                .to_owned()
        },
    )
}

fn told(output: &Output, report: &Report, added: &str) -> Result<(), Failure> {
    let rows = report.tables.iter().map(|(table, counts)| {
        let counts = [counts.added, counts.changed, counts.left].map(|count| count.to_string());
        [vec![table.clone()], counts.to_vec()].concat()
    });
    output.table(&["Table", added, "Put back", "Left out"], rows.collect())?;
    for out in &report.left_out {
        let label = out.label.as_deref().map(plain).unwrap_or_default();
        output.line(&format!(
            "left out: {} {} {label}: {}",
            out.table,
            plain(&out.key),
            out.why
        ))?;
    }
    for name in &report.revived {
        output.line(&format!(
            "back to life, because it was decided: {}",
            plain(name)
        ))?;
    }
    if let Some(entries) = report.ledger_entries {
        output.line(&format!(
            "the tenant's ledger is back: {entries} entries, computed anew"
        ))?;
    }
    Ok(())
}

fn listed(output: &Output, copies: &[Copied]) -> Result<Exit, Failure> {
    if output.json {
        output.document(&json!({ "copies": copies }))?;
        return Ok(Exit::Done);
    }
    let rows = copies.iter().map(|copy| {
        vec![
            copy.name.clone(),
            copy.tenant.clone(),
            copy.point.clone(),
            copy.backup.clone(),
            copy.rows.to_string(),
            copy.at.to_string(),
        ]
    });
    let head = ["Copy", "Tenant", "As of", "Backup", "Rows", "Taken"];
    output.table(&head, rows.collect())?;
    Ok(Exit::Done)
}

fn shown(output: &Output, compared: &Comparison) -> Result<(), Failure> {
    if output.json {
        return output.document(compared);
    }
    if compared.tenant_is_lost {
        output.line(&format!(
            "The tenant `{}` is not there any more: taking what is missing brings it back, with its ledger.",
            compared.copy.tenant
        ))?;
    }
    let different = compared.tables.iter().filter(|table| table.is_different());
    let rows = different.clone().map(|table| {
        let counts =
            [table.only_backup, table.differ, table.only_live].map(|count| count.to_string());
        let why = if table.only_compared { table.why } else { "" };
        [
            vec![table.name.clone()],
            counts.to_vec(),
            vec![why.to_owned()],
        ]
        .concat()
    });
    let head = [
        "Table",
        "Only in the backup",
        "Differ",
        "Only live",
        "Only compared, for",
    ];
    output.table(&head, rows.collect())?;
    let rows = different
        .filter(|table| !table.only_compared)
        .flat_map(|table| {
            table.rows.iter().map(|row| {
                vec![
                    table.name.clone(),
                    plain(&row.key),
                    row.label.as_deref().map(plain).unwrap_or_default(),
                    row.side.name().to_owned(),
                    changes(row),
                    row.own.clone().unwrap_or_default(),
                ]
            })
        });
    let head = [
        "Table",
        "Row",
        "Name",
        "Where",
        "Backup → live",
        "Needs a decision of its own",
    ];
    output.table(&head, rows.collect())
}

/// Each column that differs.
fn changes(row: &Row) -> String {
    let value = |value: Option<&Value>| match value {
        Some(Value::String(text)) => plain(text),
        _ => "nothing".to_owned(),
    };
    let columns = row
        .changed
        .iter()
        .map(|(column, both)| match both.as_array() {
            Some(both) => format!("{column}: {} → {}", value(both.first()), value(both.get(1))),
            None => format!("{column} differs"),
        });
    columns.collect::<Vec<_>>().join("; ")
}

/// For its owner's eyes: it names people. A file that is there may hold decisions.
fn written(path: &Path, compared: &Comparison) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| Failure::file("write", path, error))?;
    let text = decide::template(compared);
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::file("write", path, error))
}
