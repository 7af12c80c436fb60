//! Watching a share: a look every so often, each with a request of our own, until the time is over or the judge has seen enough.

use std::time::Duration;

use hub_base::chain;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::engine::{ABORTED, Engine, Refusal};
use super::judge::Figures;
use super::{Counts, Journey, Judge, Probe, Readiness, Target, Verdict};
use crate::error::Error;

/// For an own request to be answered.
const PROBE: Duration = Duration::from_secs(2);
/// For the figures of both colours.
const TELL: Duration = Duration::from_secs(10);

impl<T: Target> Engine<'_, T> {
    /// Where watching begins from; why it cannot.
    async fn first_counts(&mut self) -> Result<Result<[Counts; 2], Refusal>, Error> {
        let mut tries = self.policy.tolerance.lost;
        loop {
            match self.target.counts().await {
                Ok(counts) => return Ok(Ok(counts)),
                Err(error @ Error::TakenOver(_)) => return Err(error),
                Err(error) if tries <= 1 => {
                    return Ok(Err(format!("it cannot be watched: {}", chain(&error))));
                }
                Err(_) => tries -= 1,
            }
            if self.pauses().await {
                return Ok(Err(ABORTED.to_owned()));
            }
        }
    }

    /// Until the next look; whether the operator has enough.
    async fn pauses(&mut self) -> bool {
        let wait = self.abort.wait_for(|abort| *abort);
        matches!(timeout(self.policy.look, wait).await, Ok(Ok(_)))
    }

    /// Watches one share; the figures at its end, or why it cannot stay.
    pub(super) async fn watch(
        &mut self,
        journey: &Journey,
        share: u8,
        span: Duration,
        before: &mut Option<Figures>,
    ) -> Result<Result<Value, Refusal>, Error> {
        let colour = journey.colour;
        let counts = match self.first_counts().await? {
            Ok(counts) => counts,
            // Who was kept has proven itself: it is better than none, watched or not.
            Err(_) if journey.is_rollback() => return Ok(Ok(json!({"conclusive": false}))),
            Err(why) => return Ok(Err(format!("at {share} % of the traffic: {why}"))),
        };
        let began = Instant::now();
        let (tolerance, look) = (self.policy.tolerance.clone(), self.policy.look);
        let mut judge = Judge::new(colour, tolerance, look, counts)
            .against(self.policy.objective.clone())
            .beside(before.clone())
            .trusting(journey.is_rollback());
        let mut verdict = Verdict::Inconclusive;
        while began.elapsed() < span {
            if self.pauses().await {
                return Ok(Err(ABORTED.to_owned()));
            }
            let probe = match timeout(look.max(PROBE), self.target.probe(colour)).await {
                Ok(Ok(Readiness::Ready)) => Probe::Answered,
                Ok(Ok(Readiness::NotYet(why))) => Probe::Failed(why),
                Ok(Ok(Readiness::Gone(why))) => Probe::Gone(why),
                Ok(Err(error)) => Probe::Failed(chain(&error)),
                Err(_) => Probe::Failed("it did not answer in time".to_owned()),
            };
            verdict = match timeout(TELL, self.target.counts()).await {
                Ok(Ok(counts)) => judge.see(counts, &probe),
                Ok(Err(error @ Error::TakenOver(_))) => return Err(error),
                Ok(Err(error)) => judge.miss(&chain(&error), &probe),
                Err(_) => judge.miss("nobody told within ten seconds", &probe),
            };
            let (new, old) = (judge.figures(colour), judge.figures(colour.other()));
            let left = span.saturating_sub(began.elapsed());
            self.observer.watches(share, left, &new, &old);
            if let Verdict::Bad(why) = verdict {
                return Ok(Err(format!("at {share} % of the traffic: {why}")));
            }
        }
        if judge.looks() == 0 && !span.is_zero() && !journey.is_rollback() {
            let why = "nobody could tell what it answers";
            return Ok(Err(format!("at {share} % of the traffic: {why}")));
        }
        let (new, old) = (judge.figures(colour), judge.figures(colour.other()));
        *before = Some(match before.take() {
            Some(known) if old.timed < self.policy.tolerance.fewest_requests => known.and(&old),
            _ => old.clone(),
        });
        Ok(Ok(json!({
            "new": new,
            "old": old,
            "own_requests": judge.probes(),
            // With too little traffic to tell, only our own requests speak for it.
            "conclusive": verdict == Verdict::Good,
        })))
    }
}
