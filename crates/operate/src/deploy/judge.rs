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
    /// Looks in a row that found it away from the objective.
    away: u32,
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
            away: 0,
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
        if let Some(why) = self.is_away(&new) {
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
            Figures {
                // A request whose answer a retry hid is counted with the one that answered it.
                requests: now.requests.saturating_sub(since.requests).max(errors),
                errors,
                in_progress: now.in_progress,
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
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    pub requests: u64,
    pub errors: u64,
    /// At the last look.
    #[serde(default)]
    pub in_progress: u64,
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(requests: u64, errors: u64, latency: u32, timed: usize) -> Counts {
        Counts {
            requests,
            errors,
            latencies: vec![latency; timed],
            in_progress: 0,
        }
    }

    fn judged(old: Counts, new: Counts) -> Verdict {
        let nothing = || [Counts::default(), Counts::default()];
        let mut judge = Judge::new(Colour::Green, Tolerance::default(), nothing());
        let patience = Tolerance::default().patience;
        let looks = (0..patience).map(|_| judge.see([old.clone(), new.clone()], &Probe::Answered));
        looks.last().unwrap()
    }

    #[test]
    fn who_has_just_started_may_be_cold() {
        let nothing = || [Counts::default(), Counts::default()];
        let mut judge = Judge::new(Colour::Green, Tolerance::default(), nothing());
        let mut look = |latency| {
            let both = [counts(1000, 0, 10, 100), counts(100, 0, latency, 60)];
            judge.see(both, &Probe::Answered)
        };
        for _ in 0..4 {
            assert_eq!(look(200), Verdict::Good);
        }
        assert_eq!(look(10), Verdict::Good);
        for _ in 0..4 {
            assert_eq!(look(200), Verdict::Good);
        }
        assert!(matches!(look(200), Verdict::Bad(_)));
    }

    #[test]
    fn a_release_is_judged_beside_the_old_one() {
        let old = || counts(1000, 0, 10, 1000);
        assert_eq!(judged(old(), counts(100, 0, 12, 100)), Verdict::Good);
        assert_eq!(judged(old(), counts(9, 0, 900, 9)), Verdict::Inconclusive);
        assert_eq!(judged(old(), counts(0, 0, 0, 0)), Verdict::Inconclusive);
        for (new, why) in [
            (
                counts(100, 3, 10, 97),
                "3 of 100 requests failed (3.00 %), 0.00 %",
            ),
            (counts(100, 0, 200, 100), "is 200 ms, 10 ms"),
        ] {
            match judged(old(), new) {
                Verdict::Bad(said) => assert!(said.contains(why), "{said}"),
                other => panic!("{other:?}"),
            }
        }
        // Two errors are bad luck, and what is as bad as the old one is no worse.
        assert_eq!(judged(old(), counts(100, 2, 10, 98)), Verdict::Good);
        assert_eq!(
            judged(counts(1000, 40, 10, 960), counts(100, 4, 10, 96)),
            Verdict::Good
        );
    }

    #[test]
    fn the_objective_holds_whatever_the_old_release_does() {
        let against = |new: Counts| {
            let nothing = [Counts::default(), Counts::default()];
            let mut judge = Judge::new(Colour::Green, Tolerance::default(), nothing)
                .against(Some(Objective::default()));
            // The old one is as bad.
            let looks = (0..Tolerance::default().patience)
                .map(|_| judge.see([new.clone(), new.clone()], &Probe::Answered));
            looks.last().unwrap()
        };
        let busy = |in_progress| Counts {
            in_progress,
            ..counts(1000, 0, 10, 1000)
        };
        for (new, why) in [
            (counts(1000, 20, 10, 980), "20 times as fast as it lasts"),
            (
                counts(1000, 0, 900, 1000),
                "is 900 ms, the objective is 500 ms",
            ),
            (busy(1001), "it is saturated: 1001 requests"),
        ] {
            match against(new) {
                Verdict::Bad(said) => assert!(said.contains(why), "{said}"),
                other => panic!("{why}: {other:?}"),
            }
        }
        assert_eq!(against(counts(1000, 10, 400, 990)), Verdict::Good);
        assert_eq!(against(busy(1000)), Verdict::Good);
    }

    #[test]
    fn lost_contact_is_bad_and_one_hiccup_is_not() {
        let nothing = || [Counts::default(), Counts::default()];
        let mut judge = Judge::new(Colour::Green, Tolerance::default(), nothing());
        let failed = Probe::Failed("it refused the connection".to_owned());
        for probe in [&failed, &failed, &Probe::Answered, &failed, &failed] {
            assert_eq!(judge.see(nothing(), probe), Verdict::Inconclusive);
        }
        assert!(matches!(judge.see(nothing(), &failed), Verdict::Bad(_)));
        let gone = Probe::Gone("its process ended".to_owned());
        assert!(matches!(judge.see(nothing(), &gone), Verdict::Bad(_)));
    }

    proptest! {
        #[test]
        fn equal_releases_are_never_told_apart(requests in 0u64..100_000, share in 0u64..50, latency in 0u32..5000) {
            let errors = requests * share / 100;
            let both = || counts(requests, errors, latency, usize::try_from(requests.min(500)).unwrap());
            prop_assert!(!matches!(judged(both(), both()), Verdict::Bad(_)));
        }

        #[test]
        fn a_percentile_is_one_of_the_values(values in proptest::collection::vec(any::<u32>(), 1..200)) {
            let found = percentile(values.clone(), 0.95);
            let not_above = values.iter().filter(|value| **value <= found).count();
            prop_assert!(values.contains(&found));
            prop_assert!(not_above as f64 >= 0.95 * values.len() as f64);
        }
    }
}
