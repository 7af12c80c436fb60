//! What was done in a run, for whoever asks afterwards.

use std::fs;
use std::path::Path;

use hub_base::{OperationId, Timestamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::journal::{Ended, Folder, Line, What as Event};
use super::run::millis;
use super::stands::{Now, stands};
use crate::error::{Error, fault};

/// One run in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub id: OperationId,
    pub runbook: String,
    pub began: Timestamp,
    pub by: String,
    /// `done`, `rolled_back`, `failed`; or where it stands.
    pub standing: String,
    pub is_over: bool,
}

/// One run, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub summary: Summary,
    /// Of the runbook's file as it was.
    pub sha256: String,
    pub ended: Option<Timestamp>,
    pub took_ms: u64,
    pub limit_ms: u64,
    pub why: Option<String>,
    pub steps: Vec<Reported>,
    /// What people wrote down, oldest first.
    pub notes: Vec<Said>,
}

/// One thing that somebody wrote down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    pub at: Timestamp,
    pub by: String,
    pub text: String,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reported {
    pub at: Timestamp,
    pub by: String,
    /// Such as `3.2`.
    pub step: String,
    pub title: String,
    #[serde(flatten)]
    pub ended: Ended,
    /// Whether the output that is kept is the one that was written down; `None` if there is none.
    pub intact: Option<bool>,
}

/// Every run, newest first.
///
/// # Errors
/// [`Error::File`].
pub fn runs(state: &Path) -> Result<Vec<Summary>, Error> {
    let entries = match fs::read_dir(state) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(fault(state, "read")(source)),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name
            .to_str()
            .and_then(|name| name.parse::<OperationId>().ok())
            .is_none()
        {
            continue;
        }
        let folder = Folder::look(entry.path());
        if let Some(summary) = summary(&folder, &folder.lines()?)? {
            found.push(summary);
        }
    }
    found.sort_by_key(|summary| std::cmp::Reverse(summary.began));
    Ok(found)
}

/// `None` if it was cut off before it had begun.
fn summary(folder: &Folder, lines: &[Line]) -> Result<Option<Summary>, Error> {
    let Some(Line {
        at,
        by,
        what: Event::Begun { id, runbook, .. },
    }) = lines.first()
    else {
        return Ok(None);
    };
    let book = folder.book()?;
    let (standing, is_over) = match stands(&book, lines) {
        Now::Over { outcome } => (outcome, true),
        Now::Through { .. } => ("all is done, not closed".to_owned(), false),
        Now::Do { at, .. } => {
            let section = book.sections.get(at.section);
            let label = section.map(super::Section::label).unwrap_or_default();
            (format!("at {label}.{}", at.item + 1), false)
        }
    };
    let handed = lines.iter().rev().find_map(|line| match &line.what {
        Event::Handed { to } => Some(to.clone()),
        Event::Resumed | Event::Begun { .. } => Some(line.by.clone()),
        _ => None,
    });
    Ok(Some(Summary {
        id: *id,
        runbook: runbook.clone(),
        began: *at,
        by: handed.unwrap_or_else(|| by.clone()),
        standing,
        is_over,
    }))
}

/// One of them.
///
/// # Errors
/// [`Error::Lost`], [`Error::File`].
pub fn report(state: &Path, id: OperationId) -> Result<Report, Error> {
    let path = state.join(id.to_string());
    let lost = || Error::Lost(format!("run {id} (in {})", state.display()));
    if !path.is_dir() {
        return Err(lost());
    }
    let folder = Folder::look(path);
    let (book, lines) = (folder.book()?, folder.lines()?);
    let summary = summary(&folder, &lines)?.ok_or_else(lost)?;
    let mut steps = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Event::Ended(ended) = &line.what else {
            continue;
        };
        let section = book.sections.get(ended.section);
        let label = section.map(super::Section::label).unwrap_or_default();
        let intact = ended.sha256.as_ref().map(|sum| {
            let output = folder.output(number).unwrap_or_default();
            hex::encode(Sha256::digest(&output)) == *sum
        });
        steps.push(Reported {
            at: line.at,
            by: line.by.clone(),
            step: format!("{label}.{}", ended.item + 1),
            title: section
                .map(|section| section.title.clone())
                .unwrap_or_default(),
            ended: ended.clone(),
            intact,
        });
    }
    let notes = lines.iter().filter_map(|line| match &line.what {
        Event::Noted { text, .. } => Some(Said {
            at: line.at,
            by: line.by.clone(),
            text: text.clone(),
        }),
        _ => None,
    });
    let closed = lines.iter().rev().find_map(|line| match &line.what {
        Event::Closed { why, .. } => Some((line.at, why.clone())),
        _ => None,
    });
    let last = lines.last().map_or(summary.began, |line| line.at);
    Ok(Report {
        took_ms: millis(last.since(summary.began)),
        limit_ms: millis(book.front.time_limit.0),
        sha256: book.digest(),
        ended: closed.as_ref().map(|(at, _)| *at),
        why: closed.and_then(|(_, why)| why),
        summary,
        steps,
        notes: notes.collect(),
    })
}
