//! What people say of a run: what they did, what they decided, that somebody else goes on, that it is over.

use std::time::Duration;

use hub_base::NoteId;

use super::super::journal::{Ended, How, What as Event};
use super::super::stands::{At, Now};
use super::super::{Then, What, clean, tell};
use super::{Close, Run};
use crate::error::Error;
use crate::operation::{OperationLog, Record};

impl Run {
    /// A person says how what they did ended: [`How::Confirmed`], [`How::ByHand`], [`How::Skipped`] with its reason.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn person(&mut self, how: How, said: &str) -> Result<Ended, Error> {
        let at = self.turn()?;
        let took = self.since_shown(at);
        self.end(at, how, said.to_owned(), took)
    }

    /// Since it was shown, if it was.
    fn since_shown(&self, at: At) -> Duration {
        let mine = Event::Started {
            section: at.section,
            item: at.item,
        };
        let shown = self.lines.iter().rev().find(|line| line.what == mine);
        shown.map_or(Duration::ZERO, |line| self.clock.now().since(line.at))
    }

    /// The answer to the decision whose turn it is, by its number from 0. Where it leads.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Nonsense`] if there is no such answer, [`Error::NoWayBack`].
    pub fn decide(&mut self, number: usize) -> Result<Then, Error> {
        let at = self.turn()?;
        let choice = match self.item(at).map(|item| &item.what) {
            Some(What::Decision { choices, .. }) => choices.get(number).cloned(),
            _ => None,
        };
        let Some(choice) = choice else {
            return Err(Error::Nonsense("there is no such answer".to_owned()));
        };
        let took = self.since_shown(at);
        self.end(at, How::Decided, choice.label.clone(), took)?;
        if choice.then == Then::RollBack {
            self.go_back(&choice.label)?;
        }
        Ok(choice.then)
    }

    /// Somebody else goes on: the run waits for them.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn hand_over(&mut self, to: &str) -> Result<(), Error> {
        self.write(Event::Handed { to: to.to_owned() })
    }

    /// Somebody has something to say that belongs to the record; in the console it has an id.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn note(&mut self, text: &str, console: Option<NoteId>) -> Result<(), Error> {
        self.write(Event::Noted {
            text: text.to_owned(),
            console,
        })
    }

    /// The way back is gone from here.
    ///
    /// # Errors
    /// [`Error::NoWayBack`] if it is gone already, [`Error::File`].
    pub fn go_back(&mut self, why: &str) -> Result<(), Error> {
        if self.why_back().is_some() {
            return Err(Error::NoWayBack("this is the way back"));
        }
        self.write(Event::WentBack {
            why: why.to_owned(),
        })
    }

    fn why_back(&self) -> Option<String> {
        self.lines.iter().find_map(|line| match &line.what {
            Event::WentBack { why } => Some(why.clone()),
            _ => None,
        })
    }

    /// It is over. What is told to the ledger, and kept until it is.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn close(mut self, how: Close) -> Result<Record, Error> {
        let (outcome, why) = match how {
            Close::GivenUp(why) => ("failed", Some(why)),
            Close::Through => match self.now() {
                Now::Through { went_back: true } => ("rolled_back", self.why_back()),
                _ => ("done", None),
            },
        };
        let outcome = outcome.to_owned();
        let record = Record {
            id: self.id,
            kind: "runbook".to_owned(),
            subject: self.book.name.clone(),
            outcome: outcome.clone(),
            why: why.as_deref().map(clean::short),
            began: self.began(),
            ended: self.clock.now(),
            steps: tell::entries(&self),
        };
        // Killed in between, it is closed once more, and taken into the ledger once.
        OperationLog::open(&self.state)?.keep(&record)?;
        self.write(Event::Closed { outcome, why })?;
        Ok(record)
    }
}
