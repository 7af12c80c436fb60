//! Runs that are over and whose end the hub may not have been told: it may be the very thing that was down. A mark in the run's folder
//! says how far that is; without one nobody wanted it told.

use std::path::Path;

use hub_base::{OperationId, Timestamp};

use super::Runbook;
use super::journal::{Folder, Line, What as Event};
use super::report::runs;
use super::stands::{Now, stands};
use super::tell::Told;
use crate::error::Error;

const MARK: &str = "console";

/// Whether the hub was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is being told, or was while it could be.
    Begun,
    /// It was told to the end.
    Told,
    /// It does not want to be told.
    Refused,
}

impl Mark {
    const fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Told => "told",
            Self::Refused => "refused",
        }
    }

    pub(super) fn put(self, folder: &Folder) -> Result<(), Error> {
        folder.put(MARK, self.word().as_bytes())
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Past {
    pub id: OperationId,
    pub book: Runbook,
    pub by: String,
    pub began: Timestamp,
    pub incident: Option<String>,
    pub outcome: String,
    /// All of them, as others may see them.
    pub lines: Vec<Told>,
}

/// A run that is over; `None` if it is not.
///
/// # Errors
/// [`Error::Lost`], [`Error::File`].
pub fn past(state: &Path, id: OperationId) -> Result<Option<Past>, Error> {
    let path = state.join(id.to_string());
    if !path.is_dir() {
        return Err(Error::Lost(format!("run {id} (in {})", state.display())));
    }
    let folder = Folder::look(path);
    let lines = folder.lines()?;
    let Some(Line {
        at,
        by,
        what: Event::Begun { incident, .. },
    }) = lines.first()
    else {
        return Ok(None);
    };
    let book = folder.book()?;
    let Now::Over { outcome } = stands(&book, &lines) else {
        return Ok(None);
    };
    let told = lines.iter().enumerate();
    let told = told.map(|(number, line)| Told::of(&folder, number, line));
    Ok(Some(Past {
        id,
        book,
        by: by.clone(),
        began: *at,
        incident: incident.clone(),
        outcome,
        lines: told.collect(),
    }))
}

/// Those that are over and were being told, but not to the end; oldest first.
///
/// # Errors
/// [`Error::File`].
pub fn unheard(state: &Path) -> Result<Vec<OperationId>, Error> {
    let mut unheard = Vec::new();
    for run in runs(state)?.into_iter().rev().filter(|run| run.is_over) {
        let mark = crate::operation::read(&state.join(run.id.to_string()).join(MARK))?;
        if mark == Mark::Begun.word() {
            unheard.push(run.id);
        }
    }
    Ok(unheard)
}

/// Remembers how it was told.
///
/// # Errors
/// [`Error::File`].
pub fn mark(state: &Path, id: OperationId, mark: Mark) -> Result<(), Error> {
    mark.put(&Folder::look(state.join(id.to_string())))
}
