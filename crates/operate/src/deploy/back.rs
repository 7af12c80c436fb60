//! The way back: the traffic first, everything else after it.

use std::time::Duration;

use hub_base::chain;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::engine::{Engine, millis};
use super::{Colour, Held, Journey, Target};
use crate::error::Error;
use crate::release::Release;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

impl<T: Target> Engine<'_, T> {
    /// Gives the old release all the traffic again and stops the new one. How long until it had it.
    pub(super) async fn back(
        &mut self,
        journey: &mut Journey,
        why: &str,
    ) -> Result<Option<Duration>, Error> {
        let began = Instant::now();
        journey.back = Some(why.to_owned());
        // A disk that is full, perhaps by what the new release says, keeps nobody's traffic with it.
        let kept = self.journal.keep(journey);
        self.journal.knows(journey);
        // What is taken back is not ended half-way.
        self.abort = watch::Sender::new(false).subscribe();
        let colour = journey.colour;
        let mut back = None;
        let mut lacking = Vec::new();
        if let Some(held) = journey.from.clone() {
            lacking = self.insist(colour.other(), &held).await?;
            back = Some(began.elapsed());
        }
        for error in lacking {
            let said = format!(
                "{} has all the traffic, but {}",
                colour.other(),
                chain(&error)
            );
            self.note(journey, "revive", said, began, Value::Null);
        }
        if let Err(error) = kept {
            let said = format!("it could not be written down at once: {}", chain(&error));
            self.note(journey, "journal", said, began, Value::Null);
        }
        let ends = Instant::now();
        let ended = loop {
            match self.end_of(colour).await {
                Err(error) if passes(&error) && ends.elapsed() < self.policy.insist => {
                    self.wait(&error).await;
                }
                ended => break ended?,
            }
        };
        if let Some(said) = ended {
            self.note(journey, "stop", said, ends, Value::Null);
        }
        let figures = json!({"back_ms": back.map(millis)});
        self.note(journey, "roll_back", why.to_owned(), began, figures);
        self.journal.keep(journey)?;
        Ok(back)
    }

    /// Tries again for a while what a target does not do: nobody watches the traffic meanwhile.
    async fn insist(&mut self, old: Colour, held: &Held) -> Result<Vec<Error>, Error> {
        let deadline = Instant::now() + self.policy.insist;
        loop {
            match self.turn(old, held).await {
                Err(error) if passes(&error) && Instant::now() < deadline => {
                    self.wait(&error).await;
                }
                done => return done,
            }
        }
    }

    async fn wait(&self, error: &Error) {
        self.observer.waits(&chain(error));
        sleep(AGAIN).await;
    }

    /// Gives the old release all the traffic; what is not as it should be all the same.
    async fn turn(&mut self, old: Colour, held: &Held) -> Result<Vec<Error>, Error> {
        let mut lacking = Vec::new();
        if self.target.serves(old).await? {
            // One that serves is better than a bad one, however few of it there are: the rest comes meanwhile.
            lacking.extend(self.target.strengthen(old).await.err());
        } else {
            self.revive(old, held).await?;
        }
        match self.target.share(old, 100).await {
            Ok(()) => {}
            // It has the traffic; what could not be written is only for a load balancer that is started anew.
            Err(error @ Error::File { .. }) if self.has_all(old).await? => lacking.push(error),
            Err(error) => return Err(error),
        }
        Ok(lacking)
    }

    async fn has_all(&mut self, colour: Colour) -> Result<bool, Error> {
        let standing = self.target.standing().await?;
        let of = standing.iter().find(|one| one.colour == colour);
        Ok(of.is_some_and(|one| one.share == 100))
    }

    /// Stops a colour that has no traffic any more; what to say if something of it is still there. That it lasts is no
    /// reason to do anything else: it is told to end, and a lost machine tells of no end.
    pub(super) async fn end_of(&mut self, colour: Colour) -> Result<Option<String>, Error> {
        match self.target.stop(colour, self.policy.drain).await {
            Ok(()) => Ok(None),
            Err(error @ Error::Late { .. }) => Ok(Some(format!(
                "{colour} was told to end and is not gone yet: {error}; it has no traffic"
            ))),
            // It is stopped; what could not be written is only for a load balancer that is started anew.
            Err(error @ Error::File { .. }) => Ok(Some(format!(
                "{colour} has no traffic, but {}",
                chain(&error)
            ))),
            Err(error) => Err(error),
        }
    }

    /// Has the old release run again, of which nothing serves any more.
    async fn revive(&mut self, colour: Colour, held: &Held) -> Result<(), Error> {
        let release = Release::open(&held.dir, None)?;
        if release.name() != held.name {
            let what = format!("its folder holds {} now", release.name());
            return Err(Error::NotBack(held.name.clone(), what));
        }
        self.target.start(colour, &release).await?;
        match self.await_ready(colour).await? {
            None => Ok(()),
            Some(_) if self.target.serves(colour).await? => Ok(()),
            Some(why) => Err(Error::NotReady(held.name.clone(), why)),
        }
    }

    fn note(
        &self,
        journey: &mut Journey,
        step: &str,
        said: String,
        began: Instant,
        figures: Value,
    ) {
        let entry = self.entry(step, said, began, figures);
        self.observer.did(&entry);
        journey.entries.push(entry);
    }
}

/// Whether a target that did not do something may do it in a moment.
const fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::Cluster { .. }
            | Error::Balancer { .. }
            | Error::Refused { .. }
            | Error::Nonsense(_)
            | Error::Failed { .. }
            | Error::Late { .. }
            | Error::NotReady(..)
    )
}
