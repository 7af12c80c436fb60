//! Others than the one at the terminal: they are told each line, and what they say is taken in their name.

use std::collections::HashSet;

use hub_base::NoteId;
use tokio::sync::mpsc::UnboundedSender;

use super::super::journal::What as Event;
use super::super::past::Mark;
use super::super::stands::place;
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
