//! The drill: the newest backup restored into a scratch place, proven, timed, and thrown away. What it measures is what a
//! disaster would cost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, HumanDuration, Timestamp};
use hub_vault::RecoveryKey;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::backup::{Config, Site};
use crate::error::{Error, fault};
use crate::operation::{Operation, Record, Witness};
use crate::restore::{Plan, Point, Proof, Request, Restore, Source};

/// What a drill found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub backup: String,
    /// From the decision to restore until a hub answered on it.
    pub rto: HumanDuration,
    /// How much time's worth of acts would have been lost; nothing if nothing would.
    pub rpo: HumanDuration,
    /// Ledger entries that stood in the live database when the drill began and were not restored.
    pub entries_lost: Option<u64>,
    pub bytes: u64,
    pub proof: Proof,
}

/// A drill that ended.
#[derive(Debug)]
pub struct Done {
    pub record: Record,
    pub report: Option<Report>,
}

/// What a drill may cost, from `backup.toml`'s point of view the objectives: RTO under 4 hours, RPO under 15 minutes.
#[derive(Debug, Clone, Copy)]
pub struct Objective {
    pub rto: Duration,
    pub rpo: Duration,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            rto: Duration::from_hours(4),
            rpo: Duration::from_mins(15),
        }
    }
}

/// Restores the newest backup beside everything, under `scratch`, proves and removes it.
///
/// # Errors
/// What keeps it from beginning.
pub async fn run(
    site: &Site,
    scratch: &Path,
    server: PathBuf,
    key: Option<RecoveryKey>,
    objective: Objective,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Done, Error> {
    std::fs::create_dir_all(scratch).map_err(fault(scratch, "made"))?;
    let place = tempfile::Builder::new()
        .prefix("drill-")
        .tempdir_in(scratch)
        .map_err(fault(scratch, "made"))?;
    let mut operation = Operation::begin("drill", clock, witness);
    step_back().await;
    let source = Site::open(&site.data_dir, site.config.clone())?;
    let request = Request {
        source: Source::Site(Box::new(source)),
        point: Point::Latest,
        into: place.path().to_owned(),
        in_place: false,
        key,
        server,
        processes: Config::default().processes,
    };
    let done = attempt(site, &request, objective, &mut operation).await;
    // What a failed drill leaves is the evidence of why.
    let (report, record) = match done {
        Ok(report) => {
            let label = report.backup.clone();
            (Some(report), operation.end(label, None))
        }
        Err(error) => {
            let kept = place.keep();
            let why = format!("{} (left in {})", hub_base::chain(&error), kept.display());
            (None, operation.end("latest", Some(why)))
        }
    };
    site.log()?.keep(&record)?;
    Ok(Done { record, report })
}

/// Production comes first: this process, and with it all that it starts, works only where nothing else wants to. Each
/// thread for itself, since it is the thread that starts a program whose priority the program has.
async fn step_back() {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return;
    };
    let threads: Vec<_> = threads.flatten().map(|entry| entry.file_name()).collect();
    for (program, arguments) in [
        ("renice", ["-n", "10", "-p"].as_slice()),
        ("ionice", &["-c", "3", "-p"]),
    ] {
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).args(&threads);
        // Where there is no such program the drill is as good, only less polite.
        let _asked = crate::program::run(command, Duration::from_secs(5)).await;
    }
}

async fn attempt(
    site: &Site,
    request: &Request,
    objective: Objective,
    operation: &mut Operation<'_>,
) -> Result<Report, Error> {
    operation.at("begin", "what the live database holds");
    // It may be gone: then there is nothing to compare with, and all the more reason.
    let live = match site.cluster.overseer() {
        Ok(overseer) => overseer.trees().await.ok(),
        Err(_) => None,
    };
    let (began, at) = (Instant::now(), operation.now());
    let restore = Restore::open(request).await?;
    let plan: Plan = restore.plan(&hub_base::SystemClock).await?;
    if let Some(gap) = plan.gaps.first() {
        return Err(Error::Backup(format!(
            "the WAL segment {} is missing: nothing after {} can be reached",
            gap.missing, gap.after
        )));
    }
    operation.did(
        "plan",
        format!("{} of {}", plan.point, plan.backup.label),
        json!(plan),
    );
    let proof = restore.carry_out(&plan, operation).await?;
    let rto = began.elapsed();
    let lost = live.map(|live| {
        live.iter()
            .map(|tree| {
                let there = proof.ledgers.iter().find(|one| one.tenant == tree.slug);
                tree.size.saturating_sub(there.map_or(0, |one| one.size))
            })
            .sum::<u64>()
    });
    let rpo = loss(lost, proof.newest, at);
    let report = Report {
        backup: plan.backup.label.clone(),
        rto: exact(rto),
        rpo: exact(rpo),
        entries_lost: lost,
        bytes: plan.size,
        proof,
    };
    let said = format!(
        "RTO {} (objective {}), RPO {} (objective {})",
        report.rto,
        HumanDuration(objective.rto),
        report.rpo,
        HumanDuration(objective.rpo)
    );
    if rto > objective.rto || rpo > objective.rpo {
        return Err(Error::NotProven(format!("the objective is missed: {said}")));
    }
    operation.did(
        "objective",
        said,
        json!({"rto_ms": millis(rto), "rpo_ms": millis(rpo), "entries_lost": lost}),
    );
    Ok(report)
}

/// Nothing is lost if every entry is there; else what is missing began after the newest that is.
fn loss(lost: Option<u64>, newest: Option<Timestamp>, now: Timestamp) -> Duration {
    match (lost, newest) {
        (Some(0), _) => Duration::ZERO,
        (_, Some(newest)) => Duration::from_secs_f64(now.since(newest).as_secs_f64()),
        (_, None) => Duration::MAX,
    }
}

fn exact(span: Duration) -> HumanDuration {
    HumanDuration(Duration::from_millis(millis(span)))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_counted_from_the_newest_that_is_there() {
        let at = Timestamp::from_unix_seconds;
        assert_eq!(loss(Some(0), Some(at(0)), at(900)), Duration::ZERO);
        assert_eq!(
            loss(Some(3), Some(at(880)), at(900)),
            Duration::from_secs(20)
        );
        // Nobody to ask how much: the worst is assumed.
        assert_eq!(loss(None, Some(at(0)), at(900)), Duration::from_mins(15));
        assert_eq!(loss(None, None, at(900)), Duration::MAX);
    }
}
