//! A run as the hub has it while it goes on: the lines of its journal as the one who leads it tells them, and what others say to it.
//!
//! The journal decides; the hub never runs ahead of it. An answer is taken once: who is first counts, at the terminal or elsewhere,
//! and the one who leads takes it into the journal when its turn comes.

mod answers;
mod lines;
mod picture;
mod repo;

use hub_base::{Actor, NoteId, OperationId, Timestamp, orders};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, Tx};

pub use self::answers::{answer, note};
pub use self::lines::tell;
pub use self::picture::{Done, ItemPicture, Picture, SectionPicture, State};
use super::journal::Line;
use super::stands::{At, Now, place};
use super::tell::Told;
use super::{Runbook, Section, What};
use crate::error::Error;
use crate::operation::Record;

/// OCSF's `activity_id` of an application's update (class 6002).
const UPDATE: u8 = 8;
/// Bytes of a runbook, notes of a run, characters of one text and of one name, bytes of one event, runs of a list: at most.
const LONGEST_BOOK: usize = 256 << 10;
/// Lines of a run's journal.
pub const MOST_LINES: usize = 5000;
const MOST_NOTES: usize = 500;
const LONGEST: usize = 2000;
const LONGEST_NAME: usize = 200;
const LONGEST_EVENT: usize = 16 << 10;
const SHOWN: i64 = 100;
/// Lines told at once.
pub const MOST_AT_ONCE: usize = 200;
/// What a refusal says that nothing will change: the run is another one here.
pub const ANOTHER_LINE: &str = "was told as another one";
pub const ANOTHER_BOOK: &str = "goes by another runbook";

/// A run that begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    pub id: OperationId,
    /// The runbook's name and its whole file.
    pub runbook: String,
    pub text: String,
    pub by: String,
    pub began: Timestamp,
    pub incident: Option<String>,
}

/// A run in a line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub id: OperationId,
    pub runbook: String,
    pub title: String,
    pub sha256: String,
    pub leader: String,
    /// Who tells of it, by kind and id.
    pub teller: String,
    pub incident: Option<String>,
    pub began: Timestamp,
    /// When something was told of it last.
    pub told: Timestamp,
    /// Lines of its journal that are known.
    pub lines: u32,
    /// Such as `3.2`.
    pub standing: String,
    pub outcome: Option<String>,
    pub ended: Option<Timestamp>,
}

/// An answer to one item, with the line since which the run was in its section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub entered: u32,
    pub section: u32,
    pub item: u32,
    /// A decision's word; `None`: it is done.
    pub choice: Option<String>,
    pub by: String,
    /// Who said it or told it for them, by kind and id.
    pub actor: String,
    pub at: Timestamp,
}

/// What somebody has to say to the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// From 1.
    pub number: u32,
    pub id: NoteId,
    pub said: String,
    pub by: String,
    /// By kind and id.
    pub actor: String,
    pub at: Timestamp,
}

/// What somebody answers.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// As they saw it; another one is refused: the run has gone on.
    pub entered: u32,
    pub section: u32,
    pub item: u32,
    pub choice: Option<String>,
    /// Whose answer it is, if the one who tells of the run tells it for them; of others it says nothing.
    pub by: Option<String>,
}

/// One run whole.
#[derive(Debug)]
pub struct Shared {
    pub overview: Overview,
    pub book: Runbook,
    pub lines: Vec<Told>,
    pub answers: Vec<Answer>,
    pub notes: Vec<Note>,
}

impl Answer {
    /// What was answered, in a word.
    pub fn word(&self) -> &str {
        self.choice.as_deref().unwrap_or("done")
    }

    fn is_for(&self, wish: &Wish) -> bool {
        (self.entered, self.section, self.item) == (wish.entered, wish.section, wish.item)
    }
}

impl Shared {
    /// What is to be done now, and since which line the run is in that section.
    pub fn now(&self) -> (Now, u32) {
        let (now, entered) = place(&self.book, &self.journal());
        let now = match &self.overview.outcome {
            // Known from the operation's record, if the last lines never came.
            Some(outcome) => Now::Over {
                outcome: outcome.clone(),
            },
            None => now,
        };
        (now, count(entered))
    }

    fn journal(&self) -> Vec<Line> {
        self.lines.iter().map(|told| told.line.clone()).collect()
    }

    /// As a checklist.
    pub fn picture(&self) -> Picture<'_> {
        Picture::of(self)
    }
}

fn fault(field: &'static str, what: impl Into<String>) -> Error {
    let what = what.into();
    Error::Record { field, what }
}

fn fits(field: &'static str, text: &str, most: usize) -> Result<(), Error> {
    if text.trim().is_empty() || text.chars().count() > most {
        return Err(fault(field, format!("use 1 to {most} characters")));
    }
    // Whoever reads it may be at a terminal, perhaps as root.
    if text
        .chars()
        .any(|letter| orders(letter) && !matches!(letter, '\n' | '\t'))
    {
        return Err(fault(field, "must have no control characters"));
    }
    Ok(())
}

/// Who acts, by kind and id: names change and may be alike.
fn actor(cx: &Cx) -> String {
    match &cx.principal.actor {
        Actor::User { user, .. } => format!("user {user}"),
        Actor::ApiKey { key, .. } => format!("API key {key}"),
        Actor::System { component } => format!("hub {component}"),
        Actor::Anonymous => "nobody".to_owned(),
    }
}

/// Whether an item may be ticked while the turn is at another one of its section: only what people do stands between.
fn is_in_reach(section: &Section, turn: usize, item: usize) -> bool {
    let between = section.items.get(turn..item);
    between.is_some_and(|items| {
        let mut items = items.iter();
        items.all(|item| matches!(item.what, What::Confirm { .. }))
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A run begins, or goes on with being told. How many lines of it are known.
///
/// # Errors
/// [`Error::Record`] names the field that cannot be; [`Error::Untimely`] if a run of that id goes by another runbook.
pub async fn begin(cx: &Cx, begins: &Beginning) -> Result<u32, Error> {
    fits("by", &begins.by, LONGEST_NAME)?;
    fits("runbook", &begins.runbook, LONGEST_NAME)?;
    if let Some(incident) = &begins.incident {
        fits("incident", incident, LONGEST_NAME)?;
    }
    if begins.text.len() > LONGEST_BOOK {
        return Err(fault(
            "text",
            format!("must be at most {LONGEST_BOOK} bytes"),
        ));
    }
    let book = parse(&begins.runbook, &begins.text)
        .map_err(|what| fault("text", format!("is no runbook: {what}")))?;
    fits("title", &book.title, LONGEST_NAME)?;
    if begins.text.contains('\0') {
        return Err(fault("text", "must have no NUL"));
    }
    let mut tx = cx.write().await?;
    let overview = Overview {
        id: begins.id,
        runbook: begins.runbook.clone(),
        title: book.title.clone(),
        sha256: book.digest(),
        leader: begins.by.clone(),
        teller: actor(cx),
        incident: begins.incident.clone(),
        began: begins.began,
        told: cx.now(),
        lines: 0,
        standing: standing(&book, &place(&book, &[]).0),
        outcome: None,
        ended: None,
    };
    if !repo::insert(&mut tx, &overview, &begins.text).await? {
        let known = repo::hold(&mut tx, begins.id).await?;
        return match known {
            Some((known, _)) if known.sha256 == overview.sha256 => {
                repo::count_lines(&mut tx, begins.id).await
            }
            _ => Err(Error::Untimely(format!(
                "the run {} {ANOTHER_BOOK}",
                begins.id
            ))),
        };
    }
    let begun = act("runbook.begin", &overview)
        .with("unmapped.runbook.sha256", overview.sha256.as_str())
        .with("unmapped.runbook.leader", overview.leader.as_str());
    tx.commit(begun).await?;
    Ok(0)
}

fn parse(name: &str, text: &str) -> Result<Runbook, String> {
    Runbook::parse(name, text).map_err(|faults| {
        let first = faults.first();
        first.map_or_else(String::new, |fault| {
            format!("line {}: {}", fault.line, fault.what)
        })
    })
}

/// In a word.
fn standing(book: &Runbook, now: &Now) -> String {
    match now {
        Now::Over { outcome } => outcome.clone(),
        Now::Through { .. } => "all is done".to_owned(),
        Now::Do { at, .. } => label(book, *at),
    }
}

/// Such as `3.2`.
fn label(book: &Runbook, at: At) -> String {
    let section = book.sections.get(at.section);
    let section = section.map(super::Section::label).unwrap_or_default();
    format!("{section}.{}", at.item + 1)
}

fn act(operation: &'static str, run: &Overview) -> Act {
    Act::new(operation, Class::ApplicationLifecycle, UPDATE, "admin")
        .on(Subject::new("runbook", &run.runbook))
        .with("unmapped.operation.uid", run.id.to_string())
}

/// The run, held so that nobody else changes it in the meantime.
async fn held(tx: &mut Tx, id: OperationId) -> Result<Shared, Error> {
    let found = repo::hold(tx, id).await?.ok_or(Error::UnknownRun(id))?;
    whole(tx, found).await
}

async fn whole(tx: &mut Tx, (overview, text): (Overview, String)) -> Result<Shared, Error> {
    let id = overview.id;
    let book = parse(&overview.runbook, &text).map_err(|_| Error::Inconsistent {
        table: "runbook_run",
        column: "book",
        id: id.to_string(),
    })?;
    Ok(Shared {
        overview,
        book,
        lines: repo::lines(tx, id).await?,
        answers: repo::answers(tx, id).await?,
        notes: repo::notes(tx, id).await?,
    })
}

/// The record of a run that is over has come: the console may not have been told of its end.
pub(crate) async fn ended(tx: &mut Tx, record: &Record) -> Result<(), Error> {
    repo::close(tx, record).await
}

/// The newest runs first, as many as anybody is shown.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(tx: &mut Tx) -> Result<Vec<Overview>, Error> {
    repo::list(tx, SHOWN).await
}

/// One of them.
///
/// # Errors
/// [`Error::UnknownRun`], [`Error::Inconsistent`], [`Error::Store`].
pub async fn show(tx: &mut Tx, id: OperationId) -> Result<Shared, Error> {
    let found = repo::find(tx, id).await?.ok_or(Error::UnknownRun(id))?;
    whole(tx, found).await
}

/// What was said to it.
///
/// # Errors
/// [`Error::UnknownRun`], [`Error::Store`].
pub async fn said(tx: &mut Tx, id: OperationId) -> Result<(Vec<Answer>, Vec<Note>), Error> {
    repo::find(tx, id).await?.ok_or(Error::UnknownRun(id))?;
    Ok((repo::answers(tx, id).await?, repo::notes(tx, id).await?))
}

/// Another one with everything that happens in it and is said to it: whoever watches looks again then.
///
/// # Errors
/// [`Error::UnknownRun`], [`Error::Store`].
pub async fn version(tx: &mut Tx, id: OperationId) -> Result<i64, Error> {
    repo::version(tx, id).await?.ok_or(Error::UnknownRun(id))
}

#[cfg(test)]
mod tests;
