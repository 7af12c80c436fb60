//! Restores and drills.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use hub_base::SystemClock;
use hub_operate::backup::{Config, Repository};
use hub_operate::drill::{self, Objective};
use hub_operate::restore::{self, Plan, Point, Request, Source, server};
use hub_vault::RecoveryKey;
use serde_json::json;

use super::backup::{Where, tell, words};
use super::disaster::Rehearsal;
use super::progress::Progress;
use super::restore_tenant::Restored;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Restore to a point in time, and prove it: ledgers computed anew, keys tried, a hub started on it.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(crate) struct Restore {
    #[command(subcommand)]
    part: Option<Restored>,
    #[command(flatten)]
    place: Where,
    /// Restore from this repository alone (another host; the data directory is lost): its folder, or a backup.toml that says
    /// where it is. Needs the recovery key.
    #[arg(long, value_name = "PATH", requires = "recovery_key")]
    repository: Option<PathBuf>,
    /// Which repository of that backup.toml, if it has several.
    #[arg(long, value_name = "N", requires = "repository")]
    repository_number: Option<usize>,
    /// `latest`, a time (2026-11-24T03:00:00Z), or a ledger entry (entry:TENANT/NUMBER).
    #[arg(long, value_name = "POINT", default_value = "latest")]
    to: Point,
    /// The data directory to make; must hold no database.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["in_place", "keys_only"])]
    into: Option<PathBuf>,
    /// Put back the key ring alone, from the sealed bundle: the database stays as it is. The hub must be stopped.
    #[arg(long, conflicts_with_all = ["into", "in_place", "to", "dry_run"], requires = "recovery_key")]
    keys_only: bool,
    /// Put the database of the data directory aside and restore in its place. The hub must be stopped.
    #[arg(long, conflicts_with_all = ["into", "repository"], requires = "confirm")]
    in_place: bool,
    /// The data directory's name once more, so that nobody does it by mistake.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// File with the recovery key (AGE-SECRET-KEY-1…).
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// The server to start on it; without it the one beside this program.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Show what would be done and how long it would take; restore nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Restore {
    pub(crate) async fn run(mut self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        if let Some(Restored::Tenant(tenant)) = self.part.take() {
            return tenant.run(client, output).await;
        }
        if self.keys_only {
            return self.keys(client, output).await;
        }
        let request = self.request()?;
        if self.dry_run {
            let plan = restore::plan(&request, &SystemClock).await?;
            shown(output, &plan)?;
            return Ok(Exit::Done);
        }
        let done = {
            let progress = Progress::new();
            restore::run(&request, Arc::new(SystemClock), &progress).await?
        };
        if let Source::Site(site) = &request.source {
            tell(site, client, output).await?;
        }
        let good = done.proof.is_some();
        if output.json {
            output.document(
                &json!({"operation": done.record, "plan": done.plan, "proof": done.proof}),
            )?;
        } else {
            output.line(&words(output, &done.record))?;
            if good && self.in_place {
                output.line(
                    "start the hub, then `hubctl backup run --type full`: a new timeline has begun",
                )?;
            } else if good {
                output.line(&format!(
                    "start it with `security-hub serve --data-dir {}`",
                    request.into.display()
                ))?;
            }
        }
        Ok(if good { Exit::Done } else { Exit::Unreachable })
    }

    async fn keys(&self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let Some(key) = self.key()? else {
            let why = anyhow::anyhow!("the bundle is opened with --recovery-key");
            return Err(Failure::new(Exit::Usage, why));
        };
        let place = std::fs::canonicalize(&self.place.data_dir)?;
        let record = {
            let progress = Progress::new();
            let clock = Arc::new(SystemClock);
            restore::keys(self.source()?, &place, &key, clock, &progress).await?
        };
        // Told from where it is kept: with a repository alone, in the data directory.
        if self.repository.is_none() {
            tell(&self.place.site()?, client, output).await?;
        }
        let good = record.why.is_none();
        if output.json {
            output.document(&json!({"operation": record}))?;
        } else {
            output.line(&words(output, &record))?;
        }
        Ok(if good { Exit::Done } else { Exit::Unreachable })
    }

    fn key(&self) -> Result<Option<RecoveryKey>, Failure> {
        let key = self.recovery_key.as_deref();
        let key = key.map(RecoveryKey::read).transpose();
        Ok(key.map_err(hub_operate::Error::from)?)
    }

    fn source(&self) -> Result<Source, Failure> {
        Ok(match &self.repository {
            Some(path) => {
                Source::Repository(Box::new(one_repository(path, self.repository_number)?))
            }
            None => Source::Site(Box::new(self.place.site()?)),
        })
    }

    fn request(&self) -> Result<Request, Failure> {
        let (key, source) = (self.key()?, self.source()?);
        let into = match &self.into {
            Some(into) => into.clone(),
            None => std::fs::canonicalize(&self.place.data_dir)?,
        };
        if self.in_place {
            let name = into.file_name().unwrap_or_default().to_string_lossy();
            if self.confirm.as_deref() != Some(&*name) {
                let what = anyhow::anyhow!(
                    "this puts the database in {} aside: confirm it with `--confirm {name}`",
                    into.display()
                );
                return Err(Failure::new(Exit::Usage, what));
            }
        }
        Ok(Request {
            source,
            point: self.to.clone(),
            into,
            in_place: self.in_place,
            key,
            server: server(self.server.as_deref()),
            processes: Config::default().processes,
        })
    }
}

/// A folder is one; a file names them.
fn one_repository(path: &Path, number: Option<usize>) -> Result<Repository, Failure> {
    let whole = std::fs::canonicalize(path)
        .with_context(|| format!("{}: the repository cannot be found", path.display()))
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    if whole.is_dir() {
        return Ok(Repository::folder(whole));
    }
    let mut all = Config::read(&whole)?.repositories;
    let count = all.len();
    let wanted = match number {
        None if count == 1 => 1,
        None => 0,
        Some(number) => number,
    };
    if (1..=count).contains(&wanted) {
        return Ok(all.swap_remove(wanted - 1));
    }
    let what = anyhow::anyhow!(
        "{} has {count} repositories: say which with --repository-number",
        path.display()
    );
    Err(Failure::new(Exit::Usage, what))
}

fn shown(output: &Output, plan: &Plan) -> Result<(), Failure> {
    if output.json {
        return output.document(plan);
    }
    output.line(&format!(
        "1. restore {} ({} MiB) into {}\n\
         2. replay the WAL to {} (archived up to {})\n\
         3. compute every ledger anew and hold it against the checkpoints of then; count and sum every table\n\
         4. start a hub on it and ask it\n\
         Expected: about {}.",
        plan.backup.label,
        plan.size >> 20,
        plan.into.display(),
        plan.point,
        plan.newest_wal.as_deref().unwrap_or("nothing"),
        plan.expected
    ))?;
    if let Some(aside) = &plan.aside {
        output.line(&format!(
            "What is there now is kept as {}.",
            aside.display()
        ))?;
    }
    for gap in &plan.gaps {
        output.line(&output.verdict(
            false,
            &format!(
                "The WAL segment {} is missing: nothing after {} can be reached from this backup.",
                gap.missing, gap.after
            ),
        ))?;
    }
    Ok(())
}

/// Rehearse a disaster: restore the newest backup into a scratch place, prove it, time it, throw it away. Or rehearse the
/// scenarios of what could happen.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    rehearsal: Rehearsal,
    /// Where there is room for a second database.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// File with the recovery key: proves the sealed bundle as well.
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// How long a recovery may take.
    #[arg(long, value_name = "DURATION", default_value = "4h")]
    rto: hub_base::HumanDuration,
    /// How much time's worth of acts may be lost.
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    rpo: hub_base::HumanDuration,
    /// The server to start on it; without it the one beside this program.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

impl Drill {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        if self.rehearsal.is_asked_for() {
            let place = (
                &*self.place.data_dir,
                &*self.scratch,
                self.server.as_deref(),
            );
            return self.rehearsal.run(place, client, output).await;
        }
        let site = self.place.site()?;
        let key = self.recovery_key.as_deref();
        let key = key.map(RecoveryKey::read).transpose();
        let key = key.map_err(hub_operate::Error::from)?;
        let objective = Objective {
            rto: self.rto.0,
            rpo: self.rpo.0,
        };
        let server = server(self.server.as_deref());
        let done = {
            let progress = Progress::new();
            let clock = Arc::new(SystemClock);
            drill::run(
                &site,
                &self.scratch,
                server,
                key,
                objective,
                clock,
                &progress,
            )
            .await?
        };
        tell(&site, client, output).await?;
        if output.json {
            output.document(&json!({"operation": done.record, "report": done.report}))?;
        } else {
            if let Some(report) = &done.report {
                let rows = report.proof.ledgers.iter().map(|ledger| {
                    vec![
                        ledger.tenant.clone(),
                        ledger.size.to_string(),
                        ledger.proven_to.to_string(),
                        ledger.root.clone(),
                    ]
                });
                output.table(
                    &["Ledger", "Entries", "Checkpoint at", "Root, computed anew"],
                    rows.collect(),
                )?;
                let lost = report.entries_lost.map_or_else(
                    || "the live database cannot be asked".to_owned(),
                    |lost| format!("{lost} entries lost"),
                );
                output.line(&format!("RTO {}, RPO {} ({lost})", report.rto, report.rpo))?;
            }
            output.line(&words(output, &done.record))?;
        }
        Ok(if done.report.is_some() {
            Exit::Done
        } else {
            Exit::No
        })
    }
}
