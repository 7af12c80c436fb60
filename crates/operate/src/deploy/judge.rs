//! Whether a release is worse than the one it replaces, from what both answered at the same time.
//!
//! Three verdicts: no data is not the same as good data, and never the same as bad.

use std::collections::VecDeque;

use super::policy::{Objective, Tolerance};
use super::{Colour, Counts};

/// What an operator's own request to the new colour found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Answered,
    Failed(String),
    /// Its process is not there any more.
    Gone(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// Too little to tell.
    Inconclusive,
    /// Worse; why, with figures.
    Bad(String),
}

/// Watches one step: from the counts at its beginning on.
#[derive(Debug)]
pub struct Judge {
    new: Colour,
    tolerance: Tolerance,
    objective: Option<Objective>,
    since: [Counts; 2],
    now: [Counts; 2],
    latencies: [Recent; 2],
    /// Looks in a row that found it slow.
    slow: u32,
    /// Looks in a row that found more in progress than the old release would have.
    full: u32,
    /// Looks in a row that found it away from the objective.
    away: u32,
    /// Looks so far, and what was in progress at each, added up.
    looks: u32,
    in_progress: [Option<u64>; 2],
    failed_probes: u32,
    probes: u32,
    /// What the old release did while it last had traffic.
    before: Option<Figures>,
}

impl Judge {
    pub fn new(new: Colour, tolerance: Tolerance, at: [Counts; 2]) -> Self {
        Self {
            new,
            tolerance,
            objective: None,
            now: at.clone(),
            since: at,
            latencies: [Recent::default(), Recent::default()],
            slow: 0,
            full: 0,
            away: 0,
            looks: 0,
            in_progress: [Some(0); 2],
            failed_probes: 0,
            probes: 0,
            before: None,
        }
    }

    /// Compares with these figures of the old release while it has too few of its own.
    pub fn beside(mut self, before: Option<Figures>) -> Self {
        self.before = before;
        self
    }

    /// Holds it to the objective too, whatever the old release does.
    pub fn against(mut self, objective: Option<Objective>) -> Self {
        self.objective = objective;
        self
    }

    /// Takes another look into account.
    pub fn see(&mut self, counts: [Counts; 2], probe: &Probe) -> Verdict {
        for (kept, fresh) in self.latencies.iter_mut().zip(&counts) {
            kept.take(&fresh.latencies, self.tolerance.fewest_requests);
        }
        self.looks += 1;
        for (sum, fresh) in self.in_progress.iter_mut().zip(&counts) {
            *sum = sum.zip(fresh.in_progress).map(|(sum, one)| sum + one);
        }
        self.now = counts;
        match probe {
            Probe::Answered => {
                self.probes += 1;
                self.failed_probes = 0;
            }
            Probe::Failed(why) => {
                self.failed_probes += 1;
                if self.failed_probes >= self.tolerance.lost {
                    return Verdict::Bad(format!(
                        "{} requests of our own in a row failed: {why}",
                        self.failed_probes
                    ));
                }
            }
            Probe::Gone(why) => return Verdict::Bad(why.clone()),
        }
        self.verdict()
    }

    fn verdict(&mut self) -> Verdict {
        let new = self.figures(self.new);
        let mut old = self.figures(self.new.other());
        if let Some(before) = &self.before
            && old.timed < self.tolerance.fewest_requests
        {
            old = before.clone();
        }
        let worse = new.error_rate() - old.error_rate();
        if new.errors >= self.tolerance.fewest_errors && worse > self.tolerance.errors {
            return Verdict::Bad(format!(
                "{} of {} requests failed ({:.2} %), {:.2} % at the old release",
                new.errors,
                new.requests,
                100.0 * new.error_rate(),
                100.0 * old.error_rate()
            ));
        }
        if let Some(why) = self.is_away(&new).or_else(|| self.is_fuller(&new, &old)) {
            return Verdict::Bad(why);
        }
        if new.timed < self.tolerance.fewest_requests {
            return Verdict::Inconclusive;
        }
        if old.timed >= self.tolerance.fewest_requests {
            let slack = u32::try_from(self.tolerance.slack.as_millis()).unwrap_or(u32::MAX);
            let bound = (f64::from(old.p95) * self.tolerance.slower)
                .max(f64::from(old.p95.saturating_add(slack)));
            self.slow = if f64::from(new.p95) > bound {
                self.slow + 1
            } else {
                0
            };
            if self.slow >= self.tolerance.patience {
                return Verdict::Bad(format!(
                    "the 95th percentile of its answers is {} ms, {} ms at the old release",
                    new.p95, old.p95
                ));
            }
        }
        Verdict::Good
    }

    /// What is wrong by the objective, if it is: errors at once, slowness and saturation after some looks in a row.
    fn is_away(&mut self, new: &Figures) -> Option<String> {
        let objective = self.objective.as_ref()?;
        let burn = new.error_rate() / objective.errors;
        if new.errors >= self.tolerance.fewest_errors && burn > objective.burn {
            return Some(format!(
                "{} of {} requests failed: the error budget is spent {burn:.0} times as fast as it lasts, {} is allowed",
                new.errors, new.requests, objective.burn
            ));
        }
        let slow = new.timed >= self.tolerance.fewest_requests
            && u128::from(new.p95) > objective.latency.as_millis();
        let full = new.in_progress > objective.in_progress;
        self.away = if slow || full { self.away + 1 } else { 0 };
        if self.away < self.tolerance.patience {
            return None;
        }
        Some(if full {
            let most = objective.in_progress;
            format!(
                "it is saturated: {} requests in progress, {most} are allowed",
                new.in_progress
            )
        } else {
            let most = objective.latency.as_millis();
            format!(
                "the 95th percentile of its answers is {} ms, the objective is {most} ms",
                new.p95
            )
        })
    }

    /// What is wrong if requests pile up at it as they did not at the old release. What hangs is never timed: only this
    /// sees it. By Little's law, what is in progress for each request that comes is how long one takes, in looks.
    fn is_fuller(&mut self, new: &Figures, old: &Figures) -> Option<String> {
        let (now, usual) = (self.piled(new)?, old.piled?);
        let many = new.in_progress >= self.tolerance.fewest_in_progress;
        let full = many && now > usual * self.tolerance.fuller;
        self.full = if full { self.full + 1 } else { 0 };
        (self.full >= self.tolerance.patience).then(|| {
            format!(
                "it is saturated: {} requests in progress, {now:.2} for each that comes between two looks, {usual:.2} at the \
                 old release",
                new.in_progress
            )
        })
    }

    /// In progress at this look, for each request that comes between two looks.
    fn piled(&self, new: &Figures) -> Option<f64> {
        let at = usize::from(self.new == Colour::Green);
        self.in_progress.get(at).copied().flatten()?;
        // Those that hang were not answered, but they came.
        let came = new.requests.max(new.in_progress).max(1) as f64;
        Some(new.in_progress as f64 * f64::from(self.looks) / came)
    }

    /// What one colour did in this step.
    pub fn figures(&self, colour: Colour) -> Figures {
        let [blue, green] = [0, 1].map(|at| {
            let (since, now) = (self.since.get(at), self.now.get(at));
            let (since, now) = (
                since.cloned().unwrap_or_default(),
                now.cloned().unwrap_or_default(),
            );
            let latencies = self.latencies.get(at).cloned().unwrap_or_default();
            let errors = now.errors.saturating_sub(since.errors);
            // A request whose answer a retry hid is counted with the one that answered it.
            let requests = now.requests.saturating_sub(since.requests).max(errors);
            let sum = self.in_progress.get(at).copied().flatten();
            Figures {
                requests,
                errors,
                in_progress: now.in_progress.unwrap_or(0),
                piled: sum
                    .filter(|_| self.looks > 0 && requests >= self.tolerance.fewest_requests)
                    .map(|sum| sum as f64 / requests as f64),
                timed: latencies.seen,
                p95: percentile(latencies.values(), 0.95),
            }
        });
        match colour {
            Colour::Blue => blue,
            Colour::Green => green,
        }
    }

    /// Own requests that were answered in this step.
    pub const fn probes(&self) -> u32 {
        self.probes
    }
}

/// A step's figures of one colour.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    pub requests: u64,
    pub errors: u64,
    /// At the last look.
    #[serde(default)]
    pub in_progress: u64,
    /// In progress at a look, for each request that came between two looks; the mean of the step, if enough came and somebody
    /// counts.
    #[serde(default)]
    pub piled: Option<f64>,
    /// Requests whose time is known.
    pub timed: u64,
    /// Milliseconds.
    pub p95: u32,
}

impl Figures {
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 {
            return 0.0;
        }
        self.errors as f64 / self.requests as f64
    }
}

/// The newest answers' times: enough looks of them for a percentile, so that what was slow at first is forgotten.
#[derive(Debug, Clone, Default)]
struct Recent {
    looks: VecDeque<Vec<u32>>,
    seen: u64,
}

impl Recent {
    fn take(&mut self, fresh: &[u32], enough: u64) {
        self.seen += fresh.len() as u64;
        self.looks.push_back(fresh.to_vec());
        let mut kept: u64 = self.looks.iter().map(|look| look.len() as u64).sum();
        while let Some(oldest) = self.looks.front()
            && kept - oldest.len() as u64 >= enough
        {
            kept -= oldest.len() as u64;
            self.looks.pop_front();
        }
    }

    fn values(&self) -> Vec<u32> {
        self.looks.iter().flatten().copied().collect()
    }
}

/// The nearest-rank percentile; 0 of nothing.
fn percentile(mut values: Vec<u32>, share: f64) -> u32 {
    if values.is_empty() {
        return 0;
    }
    let rank = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1;
    *values.select_nth_unstable(rank).1
}

#[cfg(test)]
mod tests;
