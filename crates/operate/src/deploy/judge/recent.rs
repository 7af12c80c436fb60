//! What was answered lately, beside what was answered in the whole step: what begins late must not drown in what was good
//! before, and what was bad at first is forgotten.

use std::collections::VecDeque;

use super::Counts;

/// The newest answers' times: enough looks of them for a percentile.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies {
    looks: VecDeque<Vec<u32>>,
    pub(super) seen: u64,
}

impl Latencies {
    pub(super) fn take(&mut self, fresh: &[u32], enough: u64) {
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

    /// Whether more of them took longer than the 95th percentile may than chance would have it: of fifty answers of which four
    /// in a hundred are slow, the percentile is slow every third time.
    pub(super) fn exceed(&self, bound: f64) -> bool {
        let all = self.looks.iter().flatten();
        let (mut count, mut above) = (0u64, 0u64);
        for took in all {
            count += 1;
            above += u64::from(f64::from(*took) > bound);
        }
        beyond_chance(above, 0.05 * count as f64)
    }

    /// Milliseconds; 0 of nothing.
    pub(super) fn p95(&self) -> u32 {
        percentile(self.looks.iter().flatten().copied().collect(), 0.95)
    }
}

/// More than three standard deviations above what is expected of a count (Poisson).
pub(super) fn beyond_chance(count: u64, expected: f64) -> bool {
    count as f64 > expected + 3.0 * expected.max(1.0).sqrt()
}

/// Requests that came and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) requests: u64,
    pub(super) errors: u64,
}

impl Answers {
    pub(super) fn between(since: Self, now: Self) -> Self {
        let errors = now.errors.saturating_sub(since.errors);
        Self {
            // A request whose answer a retry hid is counted with the one that answered it.
            requests: now.requests.saturating_sub(since.requests).max(errors),
            errors,
        }
    }

    /// The rate that so few requests leave possible: one more than failed, of one more than came; 0 of nothing.
    pub(super) fn plausible_rate(self) -> f64 {
        if self.requests == 0 {
            return 0.0;
        }
        (self.errors + 1) as f64 / (self.requests + 1) as f64
    }

    pub(super) fn error_rate(self) -> f64 {
        if self.requests == 0 {
            return 0.0;
        }
        self.errors as f64 / self.requests as f64
    }
}

impl From<&Counts> for Answers {
    fn from(counts: &Counts) -> Self {
        Self {
            requests: counts.requests,
            errors: counts.errors,
        }
    }
}

/// What one colour answered in the newest looks: so many of them, and enough requests for a rate.
#[derive(Debug, Clone)]
pub(super) struct Window {
    looks: usize,
    /// The counts so far, at the end of each look; the first is where the window begins.
    marks: VecDeque<Answers>,
}

impl Window {
    pub(super) fn new(looks: usize, at: Answers) -> Self {
        Self {
            looks: looks.max(1),
            marks: VecDeque::from([at]),
        }
    }

    pub(super) fn take(&mut self, now: Answers, enough: u64) {
        // Whoever counts began anew.
        if self
            .marks
            .back()
            .is_some_and(|last| last.requests > now.requests)
        {
            self.marks.clear();
        }
        self.marks.push_back(now);
        while self.marks.len() > self.looks + 1
            && let Some(later) = self.marks.get(1)
            && Answers::between(*later, now).requests >= enough
        {
            self.marks.pop_front();
        }
    }

    pub(super) fn answers(&self) -> Answers {
        let ends = self.marks.front().zip(self.marks.back());
        ends.map(|(since, now)| Answers::between(*since, *now))
            .unwrap_or_default()
    }
}

/// The nearest-rank percentile; 0 of nothing.
pub(super) fn percentile(mut values: Vec<u32>, share: f64) -> u32 {
    if values.is_empty() {
        return 0;
    }
    let rank = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1;
    *values.select_nth_unstable(rank).1
}
