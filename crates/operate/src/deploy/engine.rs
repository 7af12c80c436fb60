//! The state machine: forward step by step, each judged; back at the first that is not good.
//!
//! INVARIANT: every step may be done twice, and is in the journal before the next begins; so whoever was killed is gone
//! on from the last stage, or taken back from it. The way back alone goes on where the journal cannot be written: the traffic
//! comes first.

use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, OperationId, chain};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::journal::{ROLLBACK, SHARE};
use super::judge::Figures;
use super::{
    Check, Colour, Entry, Held, Journal, Journey, Policy, Readiness, Stage, Standing, Target,
};
use crate::dora;
use crate::error::Error;
use crate::release::Release;

/// Who looks on.
pub trait Observer: Send + Sync {
    /// Something was done.
    fn did(&self, entry: &Entry);
    /// The way back is not open just now; it is tried again.
    fn waits(&self, why: &str);
    /// A share is watched: what is left of the step, and what both did in it.
    fn watches(&self, share: u8, left: Duration, new: &Figures, old: &Figures);
}

/// How an operation ended.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    #[serde(flatten)]
    pub journey: Journey,
    /// From the first request that the new release could get to the last that the old one could.
    pub switch_ms: Option<u64>,
    /// From the decision to take it back until the old release had all the traffic again.
    pub back_ms: Option<u64>,
    pub total_ms: u64,
}

impl Outcome {
    pub fn is_deployed(&self) -> bool {
        self.journey.is_deployed()
    }
}

/// Why a release does not go on.
pub(super) type Refusal = String;

/// One operation on one target.
pub struct Engine<'a, T> {
    pub target: &'a mut T,
    pub journal: &'a mut Journal,
    pub policy: &'a Policy,
    pub clock: Arc<dyn Clock>,
    pub observer: &'a dyn Observer,
    /// The gates that were passed, for the record.
    pub gates: Vec<Check>,
    /// Turns true when the operator wants it undone.
    pub abort: watch::Receiver<bool>,
}

impl<T: Target> Engine<'_, T> {
    /// Brings a release to the idle colour and the traffic to it, or leaves everything as it was.
    ///
    /// # Errors
    /// [`Error::Unfinished`] if another deploy waits to be gone on with; whatever keeps it from being taken back.
    pub async fn deploy(&mut self, release: &Release) -> Result<Outcome, Error> {
        if let Some(waiting) = self.journal.current() {
            if waiting.is_rollback() || !waiting.leads_to(release) {
                return Err(waiting.unfinished());
            }
            let journey = waiting.clone();
            if let Some(why) = self.is_outdated(&journey).await {
                return self.leave(journey, why);
            }
            return self.run(journey, release).await;
        }
        let journey = self.plan("deploy", release).await?;
        self.run(journey, release).await
    }

    /// What was asked for before this start, be it the first or a later one.
    fn write_down_gates(&mut self, journey: &mut Journey) {
        let gates = std::mem::take(&mut self.gates);
        if gates.is_empty() {
            return;
        }
        let said = format!("{} gates hold", gates.len());
        let entry = self.entry("gates", said, Instant::now(), json!(gates));
        self.observer.did(&entry);
        journey.entries.push(entry);
    }

    /// Takes back what is unfinished.
    ///
    /// # Errors
    /// [`Error::NoWayBack`] if nothing is.
    pub async fn undo(&mut self, why: &str) -> Result<Outcome, Error> {
        let began = Instant::now();
        let Some(mut journey) = self.journal.current().cloned() else {
            return Err(Error::NoWayBack("no deploy is under way"));
        };
        self.write_down_gates(&mut journey);
        if let Some(why) = self.is_outdated(&journey).await {
            return self.leave(journey, why);
        }
        let why = journey.back.clone().unwrap_or_else(|| why.to_owned());
        let back = self.back(&mut journey, &why).await;
        let back = back.map_err(|error| stuck(&journey, error))?;
        self.end(journey, began, None, back)
    }

    /// Gives all the traffic to a release that was kept, without steps: it has proven itself before. Goes on with a
    /// return to it that was cut off.
    ///
    /// # Errors
    /// As [`Engine::deploy`].
    pub async fn return_to(&mut self, release: &Release) -> Result<Outcome, Error> {
        let journey = match self.journal.current().cloned() {
            None => self.plan(ROLLBACK, release).await?,
            Some(waiting) if waiting.is_rollback() && waiting.leads_to(release) => {
                if let Some(why) = self.is_outdated(&waiting).await {
                    return self.leave(waiting, why);
                }
                waiting
            }
            Some(waiting) => return Err(waiting.unfinished()),
        };
        let at_once = Policy {
            steps: vec![100],
            step: self.policy.look * 2,
            bake: Duration::ZERO,
            ..self.policy.clone()
        };
        let mut engine = Engine {
            target: &mut *self.target,
            journal: &mut *self.journal,
            policy: &at_once,
            clock: Arc::clone(&self.clock),
            observer: self.observer,
            gates: std::mem::take(&mut self.gates),
            abort: self.abort.clone(),
        };
        engine.run(journey, release).await
    }

    /// What a deploy would begin with: nothing is changed.
    pub async fn plan(&mut self, kind: &str, release: &Release) -> Result<Journey, Error> {
        let standing = self.target.standing().await?;
        let from = Standing::live(&standing).and_then(|colour| {
            let dir = std::path::PathBuf::from(colour.release.clone()?);
            let name = Release::open(&dir, None)
                .map_or_else(|_| dir.display().to_string(), |release| release.name());
            Some(Held { dir, name })
        });
        Ok(Journey {
            id: OperationId::new(&*self.clock),
            kind: kind.to_owned(),
            began: self.clock.now(),
            to: Held {
                dir: release.dir.clone(),
                name: release.name(),
            },
            built: release.built.parse().ok(),
            colour: Standing::next(&standing),
            from,
            stage: Stage::Begun,
            back: None,
            entries: Vec::new(),
            outcome: None,
            ended: None,
        })
    }

    async fn run(&mut self, mut journey: Journey, release: &Release) -> Result<Outcome, Error> {
        let began = Instant::now();
        self.write_down_gates(&mut journey);
        self.journal.keep(&journey)?;
        let mut switch = None;
        let refusal = match self.forward(&mut journey, release, &mut switch).await {
            Ok(None) => return self.end(journey, began, switch, None),
            Ok(Some(why)) => why,
            // Two who work on one target are worse than one who leaves it.
            Err(error @ Error::TakenOver(_)) => return Err(error),
            // It has proven itself: what is left to do is done by whoever goes on with it.
            Err(error) if journey.stage >= Stage::Baked => return Err(error),
            // The target itself failed: what cannot be watched is not left half done.
            Err(error) => chain(&error),
        };
        let back = self.back(&mut journey, &refusal).await;
        let back = back.map_err(|error| stuck(&journey, error))?;
        self.end(journey, began, switch, back)
    }

    async fn forward(
        &mut self,
        journey: &mut Journey,
        release: &Release,
        switch: &mut Option<Duration>,
    ) -> Result<Option<Refusal>, Error> {
        if journey.stage >= Stage::Started && journey.stage < Stage::Baked {
            // Gone on with: it may have ended since, or been stopped on a way back that nobody could write down.
            let standing = self.target.standing().await?;
            let dir = journey.to.dir.display().to_string();
            let runs = standing
                .iter()
                .any(|one| one.colour == journey.colour && one.release.as_ref() == Some(&dir));
            if !runs {
                return Ok(Some("it does not run any more".to_owned()));
            }
        }
        let was_baked = journey.stage >= Stage::Baked;
        if let Some(why) = self.bring_up(journey, release).await? {
            return Ok(Some(why));
        }
        let first = Instant::now();
        if let Some(why) = self.shift(journey).await? {
            return Ok(Some(why));
        }
        *switch = Some(first.elapsed());
        if journey.stage < Stage::Retired {
            if self.is_aborted() {
                return Ok(Some(ABORTED.to_owned()));
            }
            if let Some(why) = self.falls_silent(journey.colour).await? {
                return Ok(Some(why));
            }
            if was_baked {
                // The share may have been lost with the load balancer's memory.
                self.target.share(journey.colour, 100).await?;
            }
            let began = Instant::now();
            let old = journey.colour.other();
            let left = self.end_of(old).await?;
            let said = left.unwrap_or_else(|| format!("{old} is stopped"));
            self.did(journey, Stage::Retired, "retire", said, began, Value::Null)?;
        }
        Ok(None)
    }

    /// Up to a colour that answers as it should, without traffic. What is begun is done to its end; then it is looked
    /// whether the operator still wants the next.
    async fn bring_up(
        &mut self,
        journey: &mut Journey,
        release: &Release,
    ) -> Result<Option<Refusal>, Error> {
        let colour = journey.colour;
        for next in [Stage::Migrated, Stage::Started, Stage::Ready, Stage::Smoked] {
            if journey.stage >= next {
                continue;
            }
            if self.is_aborted() {
                return Ok(Some(ABORTED.to_owned()));
            }
            let began = Instant::now();
            let (step, said) = match next {
                // The release before runs on the newer schema, or does not start there and is taken back.
                Stage::Migrated if journey.is_rollback() => {
                    ("migrate", "the database stays as it is".to_owned())
                }
                Stage::Migrated => ("migrate", self.target.migrate(release).await?),
                Stage::Started => {
                    self.target.share(colour, 0).await?;
                    self.target.start(colour, release).await?;
                    ("start", format!("{} runs as {colour}", journey.to.name))
                }
                Stage::Ready => match self.await_ready(colour).await? {
                    Some(why) => return Ok(Some(why)),
                    None => ("ready", format!("{colour} is ready")),
                },
                _ => match self.target.smoke(colour).await {
                    Err(why) => return Ok(Some(format!("the smoke test failed: {why}"))),
                    Ok(()) => ("smoke", format!("{colour} answers as it should")),
                },
            };
            self.did(journey, next, step, said, began, Value::Null)?;
        }
        Ok(None)
    }

    fn is_aborted(&self) -> bool {
        *self.abort.borrow()
    }

    /// Through the shares to all of the traffic, and the bake.
    async fn shift(&mut self, journey: &mut Journey) -> Result<Option<Refusal>, Error> {
        // Gone on with after a stop: what the old release did is known from before it.
        let mut before = journey.old_figures(self.policy.tolerance.fewest_requests);
        let steps: Vec<u8> = match journey.from {
            Some(_) => self.policy.steps.clone(),
            // Nothing else runs: nobody to share with.
            None => vec![100],
        };
        for share in steps {
            if journey.stage >= Stage::Shifted(share) {
                continue;
            }
            if self.is_aborted() {
                return Ok(Some(ABORTED.to_owned()));
            }
            let began = Instant::now();
            self.target.share(journey.colour, share).await?;
            let watched = self.policy.step;
            let figures = match self.watch(journey, share, watched, &mut before).await? {
                Ok(figures) => figures,
                Err(why) => return Ok(Some(why)),
            };
            let said = format!("{} has {share} % of the traffic", journey.colour);
            self.did(journey, Stage::Shifted(share), SHARE, said, began, figures)?;
        }
        if journey.stage < Stage::Baked {
            if self.is_aborted() {
                return Ok(Some(ABORTED.to_owned()));
            }
            let began = Instant::now();
            // Gone on with after a stop: the share may have been lost with the load balancer's memory.
            self.target.share(journey.colour, 100).await?;
            let watched = self.policy.bake;
            let figures = match self.watch(journey, 100, watched, &mut before).await? {
                Ok(figures) => figures,
                Err(why) => return Ok(Some(why)),
            };
            let said = format!("{} bore all of it", journey.colour);
            self.did(journey, Stage::Baked, "bake", said, began, figures)?;
        }
        Ok(None)
    }

    /// Why the new release is not left alone, if it does not serve: the old one is about to be stopped, and whoever goes on after a
    /// stop may do so long after it was last seen well. One hiccup is none.
    async fn falls_silent(&mut self, colour: Colour) -> Result<Option<Refusal>, Error> {
        let mut tries = self.policy.tolerance.lost;
        while !self.target.serves(colour).await? {
            if tries <= 1 {
                return Ok(Some("it does not serve any more".to_owned()));
            }
            tries -= 1;
            sleep(self.policy.look).await;
        }
        Ok(None)
    }

    pub(super) async fn await_ready(&mut self, colour: Colour) -> Result<Option<Refusal>, Error> {
        let deadline = Instant::now() + self.policy.ready;
        loop {
            let why = match self.target.readiness(colour).await? {
                Readiness::Ready => return Ok(None),
                Readiness::Gone(why) => return Ok(Some(why)),
                Readiness::NotYet(why) => why,
            };
            if self.is_aborted() {
                return Ok(Some(ABORTED.to_owned()));
            }
            if Instant::now() >= deadline {
                let limit = self.policy.ready;
                return Ok(Some(format!("it was not ready within {limit:?}: {why}")));
            }
            sleep(self.policy.look.min(Duration::from_millis(250))).await;
        }
    }

    pub(super) fn end(
        &mut self,
        mut journey: Journey,
        began: Instant,
        switch: Option<Duration>,
        back: Option<Duration>,
    ) -> Result<Outcome, Error> {
        let is_back = journey.back.is_some();
        journey
            .outcome
            .get_or_insert_with(|| if is_back { "rolled_back" } else { "deployed" }.to_owned());
        journey.ended = Some(self.clock.now());
        let (word, total) = (journey.outcome.clone().unwrap_or_default(), began.elapsed());
        let figures = json!({
            "built": journey.built, "switch_ms": switch.map(millis), "back_ms": back.map(millis),
            "total_ms": millis(total),
        });
        let said = format!("{word} after {:.1} s", total.as_secs_f64());
        journey
            .entries
            .push(self.entry(dora::END, said, began, figures));
        self.journal.finish(&journey)?;
        Ok(Outcome {
            journey,
            switch_ms: switch.map(millis),
            back_ms: back.map(millis),
            total_ms: millis(total),
        })
    }

    fn did(
        &mut self,
        journey: &mut Journey,
        stage: Stage,
        step: &str,
        said: String,
        began: Instant,
        figures: Value,
    ) -> Result<(), Error> {
        let entry = self.entry(step, said, began, figures);
        self.observer.did(&entry);
        journey.entries.push(entry);
        journey.stage = stage;
        self.journal.keep(journey)
    }

    pub(super) fn entry(&self, step: &str, said: String, began: Instant, figures: Value) -> Entry {
        Entry {
            at: self.clock.now(),
            step: step.to_owned(),
            said,
            took_ms: millis(began.elapsed()),
            figures,
        }
    }
}

pub(super) const ABORTED: &str = "the operator ended it";
/// It goes neither on nor back for now; the journal knows where it stands.
fn stuck(journey: &Journey, error: Error) -> Error {
    match error {
        // Somebody else is at it.
        Error::TakenOver(_) => error,
        error => Error::Stuck(journey.to.name.clone(), chain(&error)),
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
