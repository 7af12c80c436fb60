//! The four DORA figures, from what the ledger has of deploys: how often, how quickly, how often badly, how quickly mended.

use std::fmt;

use hub_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::operation::Record;

/// The last step of each deploy, with the figures of the whole.
pub const END: &str = "end";

/// Figures of the last 30 days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dora {
    /// Deploys that were begun.
    pub deploys: usize,
    /// Of them, those that were taken back, by themselves or later by a rollback.
    pub failed: usize,
    /// Deploys a day.
    pub frequency: f64,
    /// Fraction.
    pub change_failure_rate: f64,
    /// Median seconds from the commit (or the build, whichever the manifest tells) to the end of its deploy.
    pub lead_time_s: Option<u64>,
    /// Median seconds from the first request that a bad release could get until another one had all of them again.
    pub time_to_restore_s: Option<u64>,
}

/// What the figures are of.
pub const DAYS: u64 = 30;

/// When the figures' time begins.
pub fn since(now: Timestamp) -> Timestamp {
    now.minus(std::time::Duration::from_hours(24 * DAYS))
}

/// The figures as of `now`, of operations in any order.
pub fn figures(history: &[Record], now: Timestamp) -> Dora {
    let since = since(now);
    let mut recent: Vec<&Record> = history.iter().filter(|one| one.began >= since).collect();
    recent.sort_by_key(|one| one.began);
    let (mut deploys, mut failed) = (0, 0);
    let (mut led, mut restored) = (Vec::new(), Vec::new());
    // The deploy that brought in what runs.
    let mut running: Option<&Record> = None;
    for one in recent {
        match (one.kind.as_str(), one.outcome.as_str()) {
            ("deploy", "deployed") => {
                deploys += 1;
                led.extend(built(one).and_then(|built| seconds(built, one.ended)));
                running = Some(one);
            }
            ("deploy", _) => {
                deploys += 1;
                failed += 1;
                restored.extend(first_request(one).and_then(|at| seconds(at, given_back(one))));
            }
            // The same again: it had ended, and nothing was wrong with it.
            ("rollback", "deployed") if running.is_some_and(|it| it.subject == one.subject) => {}
            ("rollback", "deployed") => {
                if let Some(bad) = running.take() {
                    failed += 1;
                    restored.extend(first_request(bad).and_then(|at| seconds(at, one.ended)));
                }
            }
            _ => {}
        }
    }
    Dora {
        deploys,
        failed,
        frequency: deploys as f64 / DAYS as f64,
        change_failure_rate: if deploys == 0 {
            0.0
        } else {
            failed as f64 / deploys as f64
        },
        lead_time_s: median(led),
        time_to_restore_s: median(restored),
    }
}

fn built(record: &Record) -> Option<Timestamp> {
    let end = record.steps.iter().rfind(|step| step.step == END)?;
    end.figures.get("built")?.as_str()?.parse().ok()
}

/// When it got its first share of the traffic; nobody was hurt by one that never did.
fn first_request(record: &Record) -> Option<Timestamp> {
    let shifted = record.steps.iter().find(|step| step.step == "share");
    if let Some(step) = shifted {
        return Some(
            step.at
                .minus(std::time::Duration::from_millis(step.took_ms)),
        );
    }
    // Taken back within its first share: that step never ended, the one before it did.
    let smoked = record.steps.iter().find(|step| step.step == "smoke")?;
    Some(smoked.at)
}

/// When the old release had all of them again; what is stopped after that hurts nobody.
fn given_back(record: &Record) -> Timestamp {
    let back = record.steps.iter().rfind(|step| step.step == "roll_back");
    let at = back.and_then(|step| {
        let after = step.figures.get("back_ms")?.as_u64()?;
        let rest = step.took_ms.saturating_sub(after);
        Some(step.at.minus(std::time::Duration::from_millis(rest)))
    });
    at.unwrap_or(record.ended)
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

#[cfg(test)]
mod tests {
    use hub_base::{OperationId, SystemClock};
    use serde_json::json;

    use super::*;
    use crate::operation::Entry;

    const NOW: i64 = 1_763_892_000;

    /// Its steps as `(name, seconds after it began)`; each took 5 s.
    fn record(kind: &str, outcome: &str, began: i64, steps: &[(&str, i64)]) -> Record {
        let at = |seconds| Timestamp::from_unix_seconds(NOW + began + seconds);
        let built = at(-600);
        let step = |&(step, after): &(&str, i64)| Entry {
            at: at(after),
            step: step.to_owned(),
            said: String::new(),
            took_ms: 5000,
            figures: if step == END {
                json!({ "built": built })
            } else {
                json!(null)
            },
        };
        Record {
            id: OperationId::new(&SystemClock),
            kind: kind.to_owned(),
            subject: "1.0.0".to_owned(),
            outcome: outcome.to_owned(),
            why: None,
            began: at(0),
            ended: at(steps.last().map_or(0, |last| last.1)),
            steps: steps.iter().map(step).collect(),
        }
    }

    fn gone_back(began: i64) -> Record {
        Record {
            subject: "0.9.0".to_owned(),
            ..record("rollback", "deployed", began, &[("share", 5), (END, 10)])
        }
    }

    #[test]
    fn each_figure_is_of_what_was_done() {
        let whole = [("smoke", 10), ("share", 20), ("bake", 90), (END, 100)];
        let history = [
            // In any order. Too long ago:
            record("deploy", "rolled_back", -31 * 86400, &whole),
            record("deploy", "deployed", -5000, &whole),
            // Taken back 30 s after its first request; one that never got any hurt nobody.
            record(
                "deploy",
                "rolled_back",
                -4000,
                &[("smoke", 10), ("roll_back", 40), (END, 40)],
            ),
            record("deploy", "rolled_back", -3900, &[("start", 10), (END, 12)]),
            // Bad, found out by people: gone back 1,000 s after it began, which was 985 s after its first request.
            gone_back(-1000),
            record("deploy", "deployed", -2000, &whole),
            // The machine was started again, and what had run with it.
            record("rollback", "deployed", -1500, &[("share", 5), (END, 10)]),
            // What is no deploy is none.
            record("backup", "failed", -100, &[]),
            record("rollback", "rolled_back", -90, &[(END, 1)]),
        ];
        let now = Timestamp::from_unix_seconds(NOW);
        let dora = figures(&history, now);
        assert_eq!((dora.deploys, dora.failed), (4, 3));
        assert!((dora.change_failure_rate - 0.75).abs() < 1e-9);
        assert_eq!(dora.lead_time_s, Some(700));
        assert_eq!(dora.time_to_restore_s, Some(995));
        assert_eq!(figures(&[], now).time_to_restore_s, None);
    }

    #[test]
    fn who_is_served_again_is_restored_however_long_the_bad_one_takes_to_end() {
        let mut bad = record(
            "deploy",
            "rolled_back",
            -4000,
            &[("smoke", 10), ("roll_back", 60), (END, 60)],
        );
        // The way back began at 55; half a second later the old release had all the traffic.
        bad.steps[1].figures = json!({"back_ms": 500});
        let now = Timestamp::from_unix_seconds(NOW);
        assert_eq!(figures(&[bad], now).time_to_restore_s, Some(45));
    }
}
