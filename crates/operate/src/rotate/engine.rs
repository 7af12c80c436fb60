//! The steps of an exchange, forward and back, whatever it is that is exchanged.

use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::journal::{Journal, Journey, Stage};
use super::kind::Kind;
use super::{Config, Exchange, Look, Offered, Thing};
use crate::error::Error;
use crate::operation::Operation;

/// Between two looks at everybody.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether to wait until nothing that the former one made is good any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Not before that.
    Awaited,
    /// At once, whatever is lost: a stolen key.
    Now,
}

/// One exchange.
pub struct Rotation {
    thing: Thing,
    exchange: Kind,
    journal: Journal,
    patience: Duration,
}

impl std::fmt::Debug for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotation")
            .field("thing", &self.thing)
            .finish_non_exhaustive()
    }
}

impl Rotation {
    /// # Errors
    /// [`Error::Held`], [`Error::Configuration`] if the file says nothing of this thing, [`Error::File`].
    pub fn open(
        config: &Config,
        thing: Thing,
        offered: Offered,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        // The lock first: nobody else changes anything while this one looks.
        let journal = Journal::open(&config.state)?;
        Ok(Self {
            thing,
            exchange: Kind::open(config, thing, offered, clock)?,
            journal,
            patience: config.patience.0,
        })
    }

    /// Brings the new one into use, or goes on with it. Until when the former one must still be accepted; `None` if it may
    /// go at once.
    ///
    /// # Errors
    /// [`Error::Unfinished`] if it is on its way back; [`Error::Unsettled`] if somebody does not go along: then it waits
    /// where it is.
    pub async fn rotate(&mut self, op: &mut Operation<'_>) -> Result<Journey, Error> {
        let mut journey = match self.journal.current(self.thing)? {
            Some(journey) => journey,
            None => self.begin(op).await?,
        };
        while journey.stage < Stage::Settled {
            self.step(&mut journey, op).await?;
            self.journal.keep(&journey)?;
        }
        if journey.stage > Stage::Settled {
            return Err(self.unfinished(&journey));
        }
        Ok(journey)
    }

    async fn begin(&self, op: &Operation<'_>) -> Result<Journey, Error> {
        let journey = Journey {
            thing: self.thing,
            began: op.now(),
            stage: Stage::Begun,
            former: self.exchange.in_use().await?,
            fresh: None,
            until: None,
        };
        self.journal.keep(&journey)?;
        Ok(journey)
    }

    /// One step forward.
    async fn step(&mut self, journey: &mut Journey, op: &mut Operation<'_>) -> Result<(), Error> {
        match journey.stage {
            Stage::Begun => {
                op.at("stage", "making the new one");
                let id = self.exchange.stage(&journey.former).await?;
                op.did(
                    "stage",
                    format!("{id} is made; nobody uses it"),
                    Value::Null,
                );
                journey.fresh = Some(id);
                journey.stage = Stage::Staged;
            }
            Stage::Staged => {
                op.at("known", "waiting until everybody would accept it");
                let id = fresh(journey)?;
                let said = self.until(op, async |to| to.known(id).await).await?;
                op.did("known", said, Value::Null);
                journey.stage = Stage::Known;
            }
            Stage::Known => {
                op.at("switch", "putting it into use");
                let id = fresh(journey)?.to_owned();
                self.exchange.switch(&id).await?;
                op.did("switch", format!("{id} is the one to be used"), Value::Null);
                journey.stage = Stage::Switched;
            }
            _ => {
                op.at("used", "waiting until everybody uses it");
                let id = fresh(journey)?;
                let said = self.until(op, async |to| to.used(id).await).await?;
                journey.until = self.overlap(op).await?;
                op.did("used", said, until(journey.until));
                journey.stage = Stage::Settled;
            }
        }
        Ok(())
    }

    /// Goes back to the former one. `None`: nothing had used the new one, and it is gone.
    ///
    /// # Errors
    /// [`Error::NoWayBack`] if there is nothing under way; [`Error::Unsettled`].
    pub async fn undo(&mut self, op: &mut Operation<'_>) -> Result<Option<Journey>, Error> {
        let Some(mut journey) = self.journal.current(self.thing)? else {
            return Err(Error::NoWayBack("only one is good; rotate anew"));
        };
        if journey.stage < Stage::Known {
            // Killed between the making and its note: what was made is found, or made and taken away again.
            return match self.exchange.stage(&journey.former).await {
                Ok(id) => self.drop(&id, op).await.map(|()| None),
                // None was ever handed in.
                Err(Error::Unissued) => self.journal.end(self.thing).map(|()| None),
                Err(error) => Err(error),
            };
        }
        if journey.stage < Stage::Returning {
            journey.stage = Stage::Returning;
            self.journal.keep(&journey)?;
        }
        if journey.stage == Stage::Returning {
            op.at("back", "putting the former one into use again");
            self.exchange.switch(&journey.former).await?;
            let former = journey.former.as_str();
            let said = self.until(op, async |to| to.used(former).await).await?;
            journey.until = self.overlap(op).await?;
            op.did("back", said, until(journey.until));
            journey.stage = Stage::Returned;
            self.journal.keep(&journey)?;
        }
        Ok(Some(journey))
    }

    /// Takes away the one that is no longer used.
    ///
    /// # Errors
    /// [`Error::TooEarly`] says when; [`Error::Unfinished`] if both may be in use; [`Error::NoWayBack`] if only one is good.
    pub async fn retire(&mut self, due: Due, op: &mut Operation<'_>) -> Result<String, Error> {
        let Some(journey) = self.journal.current(self.thing)? else {
            return Err(Error::NoWayBack(
                "only one is good; there is none to retire",
            ));
        };
        let id = match journey.stage {
            Stage::Settled => journey.former.clone(),
            Stage::Returned => fresh(&journey)?.to_owned(),
            _ => return Err(self.unfinished(&journey)),
        };
        if let (Due::Awaited, Some(until)) = (due, journey.until)
            && op.now() < until
        {
            return Err(Error::TooEarly(until));
        }
        self.drop(&id, op).await?;
        Ok(id)
    }

    async fn drop(&mut self, id: &str, op: &mut Operation<'_>) -> Result<(), Error> {
        op.at("retire", "taking away the one that is no longer used");
        self.exchange.retire(id).await?;
        let said = self.until(op, async |from| from.gone(id).await).await?;
        self.journal.end(self.thing)?;
        op.did("retire", format!("{id} is gone: {said}"), Value::Null);
        Ok(())
    }

    async fn overlap(&self, op: &Operation<'_>) -> Result<Option<Timestamp>, Error> {
        let overlap = self.exchange.overlap().await?;
        Ok((overlap > Duration::ZERO).then(|| op.now().plus(overlap)))
    }

    /// Looks until everybody is there.
    async fn until(
        &self,
        op: &Operation<'_>,
        look: impl AsyncFn(&Kind) -> Result<Look, Error>,
    ) -> Result<String, Error> {
        let end = Instant::now() + self.patience;
        let mut told = String::new();
        loop {
            match look(&self.exchange).await? {
                Look::Everywhere(said) => return Ok(said),
                Look::NotYet(why) if Instant::now() >= end => return Err(Error::Unsettled(why)),
                Look::NotYet(why) => {
                    if why != told {
                        op.note(&why);
                        told = why;
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    fn unfinished(&self, journey: &Journey) -> Error {
        let what = format!("the exchange of {}", self.thing);
        Error::Unfinished(what, journey.stage.to_string())
    }
}

fn fresh(journey: &Journey) -> Result<&str, Error> {
    let none = Error::NoWayBack("the journal names no new one");
    journey.fresh.as_deref().ok_or(none)
}

fn until(until: Option<Timestamp>) -> Value {
    match until {
        Some(until) => json!({ "former_accepted_until": until.to_string() }),
        None => Value::Null,
    }
}
