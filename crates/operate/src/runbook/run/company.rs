//! Others than the one at the terminal: they are told each line, and what they say is taken in their name.

use std::collections::HashSet;

use hub_base::NoteId;
use tokio::sync::mpsc::UnboundedSender;

use super::super::journal::{Ended, How, What as Event};
use super::super::past::Mark;
use super::super::stands::{At, place};
use super::super::tell::Told;
use super::Run;
use crate::error::Error;

impl Run {
    /// Tells every line, those that were and those that come, and remembers that it does.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn tell(&mut self, listener: UnboundedSender<Told>) -> Result<(), Error> {
        Mark::Begun.put(&self.folder)?;
        for (number, line) in self.lines.iter().enumerate() {
            let _gone = listener.send(Told::of(&self.folder, number, line));
        }
        self.listener = Some(listener);
        Ok(())
    }

    /// Does it in the name of somebody who is not at this terminal.
    ///
    /// # Errors
    /// As `act`.
    pub fn in_name_of<T>(
        &mut self,
        by: &str,
        act: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let here = std::mem::replace(&mut self.by, by.to_owned());
        let done = act(self);
        self.by = here;
        done
    }

    /// Whether nobody is asked any more for what was asked there while the run was in that section since that line.
    pub fn is_past(&self, entered: usize, at: At) -> bool {
        let is_done = |ended: &Ended| ended.how.goes_on();
        entered != self.entered()
            || self
                .ended_since(entered, at)
                .any(|(_, ended)| is_done(ended))
    }

    /// Whether the journal has this answer as theirs.
    pub fn took(&self, entered: usize, at: At, by: &str, choice: Option<&str>) -> bool {
        self.ended_since(entered, at)
            .any(|(who, ended)| match choice {
                Some(choice) => who == by && ended.how == How::Decided && ended.said == choice,
                None => who == by && ended.how == How::Confirmed,
            })
    }

    /// Whether somebody wrote down just this.
    pub fn has_noted(&self, said: &str) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| matches!(&line.what, Event::Noted { text, .. } if text == said))
    }

    /// How an item ended since a line, and by whom.
    fn ended_since(&self, entered: usize, at: At) -> impl Iterator<Item = (&str, &Ended)> {
        let lines = self.lines.iter().skip(entered);
        lines.filter_map(move |line| match &line.what {
            Event::Ended(ended) if (ended.section, ended.item) == (at.section, at.item) => {
                Some((line.by.as_str(), ended))
            }
            _ => None,
        })
    }

    /// The line since which the run is in the section where it is now.
    pub fn entered(&self) -> usize {
        place(&self.book, &self.lines).1
    }

    /// Notes of the console that were taken into the journal.
    pub fn notes_taken(&self) -> HashSet<NoteId> {
        let notes = self.lines.iter().filter_map(|line| match line.what {
            Event::Noted { console, .. } => console,
            _ => None,
        });
        notes.collect()
    }
}
