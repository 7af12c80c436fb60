//! The way back: the traffic first, everything else after it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::engine::{Engine, millis};
use super::{Colour, Held, Journey, Target};
use crate::error::Error;
use crate::release::Release;

impl<T: Target> Engine<'_, T> {
    /// Gives the old release all the traffic again and stops the new one. How long until it had it.
    pub(super) async fn back(
        &mut self,
        journey: &mut Journey,
        why: &str,
    ) -> Result<Option<Duration>, Error> {
        let began = Instant::now();
        journey.back = Some(why.to_owned());
        self.journal.keep(journey)?;
        // What is taken back is not ended half-way.
        self.abort = watch::Sender::new(false).subscribe();
        let (colour, old) = (journey.colour, journey.colour.other());
        let mut back = None;
        let mut lacking = None;
        if let Some(held) = journey.from.clone() {
            if self.target.serves(old).await? {
                // One that serves is better than a bad one, however few of it there are: the rest comes meanwhile.
                lacking = self.target.strengthen(old).await.err();
            } else {
                self.revive(old, &held).await?;
            }
            self.target.share(old, 100).await?;
            back = Some(began.elapsed());
        }
        if let Some(error) = lacking {
            let said = format!("{old} serves, but not as much of it as there was: {error}");
            self.note(journey, "revive", said, began, Value::Null);
        }
        let ends = Instant::now();
        if let Some(said) = self.end_of(colour).await? {
            self.note(journey, "stop", said, ends, Value::Null);
        }
        let figures = json!({"back_ms": back.map(millis)});
        self.note(journey, "roll_back", why.to_owned(), began, figures);
        self.journal.keep(journey)?;
        Ok(back)
    }

    /// Stops a colour that has no traffic any more; what to say if something of it is still there. That it lasts is no
    /// reason to do anything else: it is told to end, and a lost machine tells of no end.
    pub(super) async fn end_of(&mut self, colour: Colour) -> Result<Option<String>, Error> {
        match self.target.stop(colour, self.policy.drain).await {
            Ok(()) => Ok(None),
            Err(error @ Error::Late { .. }) => Ok(Some(format!(
                "{colour} was told to end and is not gone yet: {error}; it has no traffic"
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
            Some(why) => Err(Error::NotBack(held.name.clone(), why)),
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
