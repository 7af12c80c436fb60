//! Whether a release is worse than the one it replaces, from what both answered at the same time.
//!
//! Three verdicts: no data is not the same as good data, and never the same as bad.

mod recent;

use std::time::Duration;

use self::recent::{Answers, Latencies, Window, beyond_chance};
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

/// How far back errors are counted apart from the whole step.
const LATELY: Duration = Duration::from_secs(10);

/// So many times as many requests as are needed, and none of them timed: their times are told to somebody else.
const UNTIMED: u64 = 4;

/// Watches one step: from the counts at its beginning on.
#[derive(Debug)]
pub struct Judge {
    new: Colour,
    tolerance: Tolerance,
    objective: Option<Objective>,
    since: [Counts; 2],
    now: [Counts; 2],
    latencies: [Latencies; 2],
    lately: [Window; 2],
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
    /// Looks in a row at which nobody could tell.
    blind: u32,
    probes: u32,
    /// What the old release did while it last had traffic.
    before: Option<Figures>,
    trusts: bool,
}

impl Judge {
    /// From these counts on, with a look every so often.
    pub fn new(new: Colour, tolerance: Tolerance, look: Duration, at: [Counts; 2]) -> Self {
        let looks = LATELY.div_duration_f64(look).ceil() as usize;
        let [blue, green] = &at;
        Self {
            lately: [blue, green].map(|counts| Window::new(looks, counts.into())),
            new,
            tolerance,
            objective: None,
            now: at.clone(),
            since: at,
            latencies: [Latencies::default(), Latencies::default()],
            slow: 0,
            full: 0,
            away: 0,
            looks: 0,
            in_progress: [Some(0); 2],
            failed_probes: 0,
            blind: 0,
            probes: 0,
            before: None,
            trusts: false,
        }
    }

    /// Of a release that has proven itself: that nobody tells what it does is no reason to leave it.
    pub const fn trusting(mut self, trusts: bool) -> Self {
        self.trusts = trusts;
        self
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
        let at = self.new.place();
        if let Some(why) = counts.get(at).and_then(|new| new.untold.clone()) {
            return self.miss(&why, probe);
        }
        for (kept, fresh) in self.latencies.iter_mut().zip(&counts) {
            kept.take(&fresh.latencies, self.tolerance.fewest_requests);
        }
        for (window, fresh) in self.lately.iter_mut().zip(&counts) {
            window.take(fresh.into(), self.tolerance.fewest_requests);
        }
        self.blind = 0;
        self.looks += 1;
        for (sum, fresh) in self.in_progress.iter_mut().zip(&counts) {
            *sum = sum
                .zip(fresh.in_progress)
                .map(|(sum, one)| sum.saturating_add(one));
        }
        self.now = counts;
        match self.probed(probe) {
            Some(bad) => bad,
            // It is gone back to because the other one is bad: to compare them would be to go forward again.
            None if self.trusts => Verdict::Inconclusive,
            None => self.verdict(),
        }
    }

    /// A look at which nobody could tell what was answered. One is no reason to go back, some in a row are.
    pub fn miss(&mut self, why: &str, probe: &Probe) -> Verdict {
        if let Some(bad) = self.probed(probe) {
            return bad;
        }
        self.blind += 1;
        if self.blind >= self.tolerance.lost && !self.trusts {
            return Verdict::Bad(format!(
                "it could not be watched {} times in a row: {why}",
                self.blind
            ));
        }
        Verdict::Inconclusive
    }

    /// What a request of our own says against it.
    fn probed(&mut self, probe: &Probe) -> Option<Verdict> {
        match probe {
            Probe::Answered => {
                self.probes += 1;
                self.failed_probes = 0;
                None
            }
            Probe::Failed(why) => {
                self.failed_probes += 1;
                (self.failed_probes >= self.tolerance.lost).then(|| {
                    Verdict::Bad(format!(
                        "{} requests of our own in a row failed: {why}",
                        self.failed_probes
                    ))
                })
            }
            Probe::Gone(why) => Some(Verdict::Bad(why.clone())),
        }
    }

    fn verdict(&mut self) -> Verdict {
        let new = self.figures(self.new);
        let mut old = self.figures(self.new.other());
        if let Some(before) = &self.before
            && old.timed < self.tolerance.fewest_requests
        {
            old = before.clone().and(&old);
        }
        if let Some(why) = self.fails(&old) {
            return Verdict::Bad(why);
        }
        if let Some(why) = self.is_away(&new).or_else(|| self.is_fuller(&new, &old)) {
            return Verdict::Bad(why);
        }
        if new.timed < self.tolerance.fewest_requests {
            // A load balancer's log that goes elsewhere.
            let came = new.requests.max(self.passed());
            if new.timed == 0 && came >= UNTIMED * self.tolerance.fewest_requests {
                return Verdict::Bad(format!(
                    "{came} requests came and nobody tells how long they took"
                ));
            }
            return Verdict::Inconclusive;
        }
        if old.timed >= self.tolerance.fewest_requests {
            let slack = u32::try_from(self.tolerance.slack.as_millis()).unwrap_or(u32::MAX);
            let bound = (f64::from(old.p95) * self.tolerance.slower)
                .max(f64::from(old.p95.saturating_add(slack)));
            self.slow = if self.times(self.new).exceed(bound) {
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

    /// What is wrong if it fails more than the old release did: in the whole step, or lately.
    fn fails(&self, old: &Figures) -> Option<String> {
        let usual = self.lately_of(self.new.other());
        // What hit both may have left the one's newest seconds and not the other's, who has fewer requests.
        let long = old.answers().plausible_rate();
        let usual = if usual.requests >= self.tolerance.fewest_requests {
            usual.error_rate().max(long)
        } else {
            long
        };
        let (whole, lately) = (self.answers(self.new), self.lately_of(self.new));
        let new = if self.are_many(whole, long + self.tolerance.errors) {
            whole
        } else if self.are_many(lately, usual + self.tolerance.errors) {
            lately
        } else {
            return None;
        };
        Some(format!(
            "{} of {} requests failed ({:.2} %), {:.2} % at the old release",
            new.errors,
            new.requests,
            100.0 * new.error_rate(),
            100.0 * old.error_rate()
        ))
    }

    /// Whether so many requests do not fail by chance where that rate is allowed: it is asked hundreds of times in a deploy, and a
    /// few errors among the first requests, or in ten seconds, mean nothing.
    fn are_many(&self, answers: Answers, allowed: f64) -> bool {
        answers.errors >= self.tolerance.fewest_errors
            && beyond_chance(answers.errors, allowed * answers.requests as f64)
    }

    /// What is wrong by the objective, if it is: errors at once, slowness and saturation after some looks in a row.
    fn is_away(&mut self, new: &Figures) -> Option<String> {
        let objective = self.objective.as_ref()?;
        let allowed = objective.errors * objective.burn;
        let (whole, lately) = (self.answers(self.new), self.lately_of(self.new));
        let burns = self.are_many(whole, allowed);
        if burns || self.are_many(lately, allowed) {
            let answers = if burns { whole } else { lately };
            let burn = answers.error_rate() / objective.errors;
            return Some(format!(
                "{} of {} requests failed: the error budget is spent {burn:.0} times as fast as it lasts, {} is allowed",
                answers.errors, answers.requests, objective.burn
            ));
        }
        let most = u32::try_from(objective.latency.as_millis()).unwrap_or(u32::MAX);
        let slow = new.timed >= self.tolerance.fewest_requests
            && self.times(self.new).exceed(f64::from(most));
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
        let at = self.new.place();
        self.in_progress.get(at).copied().flatten()?;
        // Those that hang were not answered, but they came.
        let came = new.requests.max(new.in_progress).max(1) as f64;
        Some(new.in_progress as f64 * f64::from(self.looks) / came)
    }

    /// What one colour answered in this step.
    fn answers(&self, colour: Colour) -> Answers {
        let at = colour.place();
        let ends = self.since.get(at).zip(self.now.get(at));
        ends.map(|(since, now)| Answers::between(since.into(), now.into()))
            .unwrap_or_default()
    }

    /// What passed to the new release in this step; whoever counts may have begun anew.
    fn passed(&self) -> u64 {
        let at = self.new.place();
        let ends = self.since.get(at).zip(self.now.get(at));
        ends.map_or(0, |(since, now)| now.passed.saturating_sub(since.passed))
    }

    /// How long its newest answers took.
    fn times(&self, colour: Colour) -> &Latencies {
        let [blue, green] = &self.latencies;
        match colour {
            Colour::Blue => blue,
            Colour::Green => green,
        }
    }

    /// What one colour answered lately.
    fn lately_of(&self, colour: Colour) -> Answers {
        let at = colour.place();
        self.lately.get(at).map(Window::answers).unwrap_or_default()
    }

    /// What one colour did in this step.
    pub fn figures(&self, colour: Colour) -> Figures {
        let at = colour.place();
        let Answers { requests, errors } = self.answers(colour);
        let latencies = self.latencies.get(at);
        let sum = self.in_progress.get(at).copied().flatten();
        Figures {
            requests,
            errors,
            in_progress: self
                .now
                .get(at)
                .and_then(|now| now.in_progress)
                .unwrap_or(0),
            piled: sum
                .filter(|_| self.looks > 0 && requests >= self.tolerance.fewest_requests)
                .map(|sum| sum as f64 / requests as f64),
            timed: latencies.map_or(0, |latencies| latencies.seen),
            p95: latencies.map_or(0, Latencies::p95),
        }
    }

    /// Looks that told something.
    pub const fn looks(&self) -> u32 {
        self.looks
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
        self.answers().error_rate()
    }

    const fn answers(&self) -> Answers {
        Answers {
            requests: self.requests,
            errors: self.errors,
        }
    }

    /// What it did before and in a later step, in which it had little to do.
    #[must_use]
    pub fn and(mut self, later: &Self) -> Self {
        self.requests = self.requests.saturating_add(later.requests);
        self.errors = self.errors.saturating_add(later.errors);
        self
    }
}

#[cfg(test)]
mod tests;
