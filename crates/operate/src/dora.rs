//! The four DORA figures, from what was done: how often, how quickly, how often badly, how quickly mended.

use std::fmt;

use hub_base::Timestamp;
use serde::Serialize;

use crate::deploy::Journey;

/// Figures of the last 30 days.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dora {
    /// Deploys that were begun.
    pub deploys: usize,
    /// Of them, those that were taken back, or that a rollback followed.
    pub failed: usize,
    /// Deploys a day.
    pub frequency: f64,
    /// Fraction.
    pub change_failure_rate: f64,
    /// Median seconds from the build to the end of its deploy; `None` if no manifest said when it was built.
    pub lead_time_s: Option<u64>,
    /// Median seconds from the beginning of a failed deploy to its end.
    pub time_to_restore_s: Option<u64>,
}

const DAYS: u64 = 30;

/// The figures as of `now`.
pub fn figures(history: &[Journey], now: Timestamp) -> Dora {
    let since = now.minus(std::time::Duration::from_hours(24 * DAYS));
    let recent: Vec<&Journey> = history.iter().filter(|one| one.began >= since).collect();
    let deploys = recent.iter().filter(|one| one.kind == "deploy").count();
    let is_bad = |one: &&&Journey| one.back.is_some() || one.kind == "rollback";
    let failed = recent.iter().filter(is_bad).count();
    let restored = recent
        .iter()
        .filter(is_bad)
        .filter_map(|one| seconds(one.began, one.ended?));
    let led = recent
        .iter()
        .filter(|one| one.kind == "deploy" && one.back.is_none())
        .filter_map(|one| seconds(one.built?, one.ended?));
    Dora {
        deploys,
        failed,
        frequency: deploys as f64 / DAYS as f64,
        change_failure_rate: if deploys == 0 {
            0.0
        } else {
            failed as f64 / deploys as f64
        },
        lead_time_s: median(led.collect()),
        time_to_restore_s: median(restored.collect()),
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> Option<u64> {
    u64::try_from((to.to_offset() - from.to_offset()).whole_seconds()).ok()
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

impl fmt::Display for Dora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |seconds: Option<u64>| {
            seconds.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds} s"))
        };
        write!(
            f,
            "DORA, {DAYS} days: {} deploys ({:.2} a day), lead time {}, {:.0} % failed, restored within {}",
            self.deploys,
            self.frequency,
            span(self.lead_time_s),
            100.0 * self.change_failure_rate,
            span(self.time_to_restore_s)
        )
    }
}
