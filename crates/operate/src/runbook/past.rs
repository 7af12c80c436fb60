//! Runs that are over and whose end the hub may not have been told: it may be the very thing that was down. A mark in the run's folder
//! says how far that is; without one nobody wanted it told.

use std::path::Path;

use hub_base::{OperationId, Timestamp};

use super::Runbook;
use super::journal::{Folder, Line, What as Event};
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

/// Those that were being told, but not to the end; oldest first. What cannot be read is somebody else's to tell.
pub fn unheard(state: &Path) -> Vec<OperationId> {
    let mut unheard = Vec::new();
    for entry in std::fs::read_dir(state).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let mark = std::fs::read(entry.path().join(MARK));
        if let Some(Ok(id)) = name.to_str().map(str::parse::<OperationId>)
            && mark.is_ok_and(|mark| mark == Mark::Begun.word().as_bytes())
        {
            unheard.push(id);
        }
    }
    // An id begins with its time.
    unheard.sort_by_key(ToString::to_string);
    unheard
}

/// Remembers how it was told.
///
/// # Errors
/// [`Error::File`].
pub fn mark(state: &Path, id: OperationId, mark: Mark) -> Result<(), Error> {
    mark.put(&Folder::look(state.join(id.to_string())))
}
