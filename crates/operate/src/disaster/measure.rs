//! What became of the writes: each that was acknowledged is looked for in its tenant's ledger.

use std::collections::HashSet;
use std::time::Duration;

use hub_base::{HumanDuration, Timestamp};

use super::Scene;
use super::ledgers::Export;
use super::prove;
use super::report::{Report, Writes};
use crate::error::Error;

pub(super) const fn exact(span: Duration) -> HumanDuration {
    HumanDuration(Duration::from_millis(span.as_millis() as u64))
}

pub(super) async fn writes(scene: &mut Scene, report: &mut Report) -> Result<(), Error> {
    let Some(load) = scene.load.take() else {
        return Ok(());
    };
    let (acknowledged, refused) = load.told();
    drop(load);
    // Behind the last of them: when this one has its place, each of them has, if it is there at all.
    prove::writes(scene).await?;
    let mut there: Vec<HashSet<String>> = Vec::new();
    for tenant in &scene.installation.tenants {
        let export = Export::of(&scene.installation.door, tenant).await;
        there.push(export.map_err(Error::NotProven)?.batches());
    }
    let damage = scene.before.at;
    let marks: Vec<(Timestamp, bool)> = acknowledged
        .iter()
        .map(|one| {
            let is_there = there
                .get(one.tenant)
                .is_some_and(|batches| batches.contains(&one.batch));
            (one.at, is_there)
        })
        .collect();
    let lost = |before: bool| {
        let gone = marks.iter().filter(|(_, is_there)| !is_there);
        gone.filter(|(at, _)| (*at <= damage) == before).count()
    };
    report.writes = Writes {
        acknowledged: marks.iter().filter(|(at, _)| *at <= damage).count(),
        lost: lost(true),
        left_behind: lost(false),
        refused,
    };
    report.rpo = Some(exact(gap(&marks)));
    Ok(())
}

/// From the last write that is there before anything is missing, to the last that is missing.
fn gap(marks: &[(Timestamp, bool)]) -> Duration {
    let Some(first) = marks.iter().position(|(_, is_there)| !is_there) else {
        return Duration::ZERO;
    };
    let last = marks.iter().rfind(|(_, is_there)| !is_there);
    let kept = marks.get(first.saturating_sub(1));
    match (kept, last) {
        (Some((kept, _)), Some((last, _))) => {
            Duration::from_secs_f64(last.since(*kept).as_secs_f64())
        }
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_counted_from_the_last_that_is_kept() {
        let marks = |all: &[(i64, bool)]| -> Vec<(Timestamp, bool)> {
            let mark = |(at, there): &(i64, bool)| (Timestamp::from_unix_seconds(*at), *there);
            all.iter().map(mark).collect()
        };
        let seconds = |all: &[(i64, bool)]| gap(&marks(all)).as_secs();
        assert_eq!(seconds(&[]), 0);
        assert_eq!(seconds(&[(1, true), (2, true)]), 0);
        assert_eq!(seconds(&[(1, true), (5, false), (9, false), (30, true)]), 8);
        // One tenant's is kept, another's of the same time is not.
        assert_eq!(seconds(&[(1, true), (2, false), (3, true), (4, false)]), 3);
        assert_eq!(seconds(&[(1, false), (4, false)]), 3);
    }
}
