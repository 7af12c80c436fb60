//! A run: where it stands, what may be done now, and what was done, written down before and after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, OperationId, Timestamp};
use serde_json::json;

use super::journal::{Ended, Folder, How, Line, What as Event};
use super::{Item, Kind, Runbook, Section, Then, What, block};
use crate::error::Error;
use crate::operation::{Entry, Record};

/// Characters of a block's output that go into the ledger: its end, which tells how it went.
const TOLD: usize = 1200;
/// Entries of a run in the ledger at most.
const MOST: usize = 190;
/// Beginnings of secrets that our own programs print; what follows one is left out of what is told.
const SECRETS: &[&str] = &["shk_", "she_", "AGE-SECRET-KEY-"];

/// Who begins a run, and with what.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Where runs are kept.
    pub state: &'a Path,
    pub by: &'a str,
    pub variables: BTreeMap<String, String>,
    /// Where command blocks run.
    pub folder: PathBuf,
}

/// A place in the runbook, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    pub section: usize,
    pub item: usize,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// This item. `before` is how it ended when it was tried last.
    Do { at: At, before: Option<Ended> },
    /// Everything is done; it can be closed so.
    Through { went_back: bool },
    /// It is closed.
    Over { outcome: String },
}

/// How a run is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Close {
    /// All of it was gone through.
    Through,
    /// Somebody stopped it; why.
    Stopped(String),
}

/// A run under way. Holds its folder's lock.
#[derive(Debug)]
pub struct Run {
    pub book: Runbook,
    id: OperationId,
    folder: Folder,
    works_in: PathBuf,
    by: String,
    variables: BTreeMap<String, String>,
    lines: Vec<Line>,
    clock: Arc<dyn Clock>,
}

impl Run {
    /// Begins one.
    ///
    /// # Errors
    /// [`Error::Record`] if a variable that the runbook asks for is missing; [`Error::File`].
    pub fn begin(book: Runbook, start: Start<'_>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        if let Some((name, what)) = missing(&book, &start.variables) {
            let what = format!("`{name}` is not given: {what}");
            return Err(Error::Record { field: "ask", what });
        }
        let id = OperationId::new(&*clock);
        let folder = Folder::make(start.state, id, &book)?;
        folder.keep_variables(&start.variables)?;
        let mut run = Self {
            id,
            folder,
            works_in: start.folder,
            by: start.by.to_owned(),
            variables: start.variables,
            lines: Vec::new(),
            clock,
            book,
        };
        let begun = Event::Begun {
            id,
            runbook: run.book.name.clone(),
            sha256: run.book.digest(),
        };
        run.write(begun)?;
        Ok(run)
    }

    /// Goes on with one, as whoever `by` is now. What a command did that nobody saw end is not known: it is said so.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Held`] if somebody works in it, [`Error::File`].
    pub fn resume(
        state: &Path,
        id: OperationId,
        by: &str,
        folder: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let files = Folder::open(state, id)?;
        let mut run = Self {
            book: files.book()?,
            id,
            works_in: folder,
            by: by.to_owned(),
            variables: files.variables()?,
            lines: files.lines()?,
            clock,
            folder: files,
        };
        if let Now::Over { outcome } = run.now() {
            return Err(Error::Backup(format!("the run {id} is over: {outcome}")));
        }
        run.write(Event::Resumed)?;
        if let Some(at) = run.unseen() {
            let said = "nobody saw it end: look whether it did its work before it is run again";
            run.end(at, How::CutOff, said.to_owned(), Duration::ZERO)?;
        }
        Ok(run)
    }

    pub const fn id(&self) -> OperationId {
        self.id
    }

    pub fn by(&self) -> &str {
        &self.by
    }

    pub const fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    fn write(&mut self, what: Event) -> Result<(), Error> {
        let line = Line {
            at: self.clock.now(),
            by: self.by.clone(),
            what,
        };
        self.folder.write(&line)?;
        self.lines.push(line);
        Ok(())
    }

    pub fn began(&self) -> Timestamp {
        self.lines.first().map_or_else(|| self.clock.now(), |line| line.at)
    }

    /// How long it has been going on.
    pub fn spent(&self) -> Duration {
        self.clock.now().since(self.began())
    }

    /// Whether it takes longer than its limit; true once only.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn is_newly_overdue(&mut self) -> Result<bool, Error> {
        let known = self.lines.iter().any(|line| line.what == Event::Overdue);
        if known || self.spent() <= self.book.front.time_limit.0 {
            return Ok(false);
        }
        self.write(Event::Overdue)?;
        Ok(true)
    }

    /// A command that was begun and has no end.
    fn unseen(&self) -> Option<At> {
        let last = self.lines.iter().rev().find_map(|line| match &line.what {
            Event::Started { section, item } => Some(Some((*section, *item))),
            Event::Ended(_) => Some(None),
            _ => None,
        })??;
        let at = At {
            section: last.0,
            item: last.1,
        };
        let is_command = matches!(self.item(at)?.what, What::Command { .. });
        is_command.then_some(at)
    }

    pub fn section(&self, at: At) -> Option<&Section> {
        self.book.sections.get(at.section)
    }

    pub fn item(&self, at: At) -> Option<&Item> {
        self.section(at)?.items.get(at.item)
    }

    /// What is to be done now, from what was done.
    pub fn now(&self) -> Now {
        stands(&self.book, &self.lines)
    }

    /// The item whose turn it is.
    fn turn(&self) -> Result<At, Error> {
        match self.now() {
            Now::Do { at, .. } => Ok(at),
            _ => Err(Error::Nonsense("nothing is to be done any more".to_owned())),
        }
    }

    fn start(&mut self, at: At) -> Result<(), Error> {
        self.write(Event::Started {
            section: at.section,
            item: at.item,
        })
    }

    /// It is shown to whoever does it: from now on its time counts.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn shown(&mut self) -> Result<(), Error> {
        let at = self.turn()?;
        // A command's time begins when it is run.
        if self.item(at).is_some_and(|item| !matches!(item.what, What::Command { .. })) {
            self.start(at)?;
        }
        Ok(())
    }

    fn end(&mut self, at: At, how: How, said: String, took: Duration) -> Result<(), Error> {
        let ended = Ended {
            section: at.section,
            item: at.item,
            how,
            exit: None,
            sha256: None,
            said,
            took_ms: millis(took),
        };
        self.write(Event::Ended(ended))
    }

    /// Runs the block whose turn it is, heard as it goes.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::File`]. A block that fails is no error: [`How::Failed`], and its turn remains.
    pub async fn command(&mut self, heard: &(dyn Fn(&[u8]) + Sync)) -> Result<Ended, Error> {
        let at = self.turn()?;
        let Some(Item {
            what: What::Command { script, expect, .. },
            ..
        }) = self.item(at).cloned()
        else {
            return Err(Error::Nonsense("this is no command".to_owned()));
        };
        let left = self.book.front.time_limit.0.max(Duration::from_secs(60));
        self.start(at)?;
        let ran = block::run(&script, &self.variables, &self.works_in, left, heard).await?;
        let output = String::from_utf8_lossy(&ran.output);
        let judged = match ran.is_late {
            true => Err(format!("it took longer than {left:?} and was ended")),
            false => expect.judge(ran.exit, &output, &ran.variables),
        };
        self.folder.keep_output(self.lines.len(), &ran.output)?;
        self.variables = ran.variables;
        self.folder.keep_variables(&self.variables)?;
        let ended = Ended {
            section: at.section,
            item: at.item,
            how: if judged.is_ok() { How::Passed } else { How::Failed },
            exit: ran.exit,
            sha256: Some(ran.sha256),
            said: judged.err().unwrap_or_default(),
            took_ms: millis(ran.took),
        };
        self.write(Event::Ended(ended.clone()))?;
        Ok(ended)
    }

    /// A person says how what they did ended: [`How::Confirmed`], [`How::ByHand`], [`How::Skipped`] with its reason.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn person(&mut self, how: How, said: &str) -> Result<(), Error> {
        let at = self.turn()?;
        let took = self.since_shown(at);
        self.end(at, how, said.to_owned(), took)
    }

    /// Since it was shown, if it was.
    fn since_shown(&self, at: At) -> Duration {
        let shown = self.lines.iter().rev().find(|line| {
            matches!(line.what, Event::Started { section, item } if section == at.section && item == at.item)
        });
        shown.map_or(Duration::ZERO, |line| self.clock.now().since(line.at))
    }

    /// The answer to the decision whose turn it is, by its number from 0. Where it leads.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Nonsense`] if there is no such answer.
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
            self.write(Event::WentBack { why: choice.label })?;
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

    /// The way back is gone from here.
    ///
    /// # Errors
    /// [`Error::NoWayBack`] if it is gone already, [`Error::File`].
    pub fn go_back(&mut self, why: &str) -> Result<(), Error> {
        if self.lines.iter().any(|line| matches!(line.what, Event::WentBack { .. })) {
            return Err(Error::NoWayBack("this is the way back"));
        }
        self.write(Event::WentBack { why: why.to_owned() })
    }

    /// It is over. What is told to the ledger.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn close(mut self, how: Close) -> Result<Record, Error> {
        let (outcome, why) = match how {
            Close::Stopped(why) => ("failed", Some(why)),
            Close::Through => match self.now() {
                Now::Through { went_back: true } => ("rolled_back", self.why_back()),
                _ => ("done", None),
            },
        };
        let outcome = outcome.to_owned();
        self.write(Event::Closed {
            outcome: outcome.clone(),
            why: why.clone(),
        })?;
        Ok(Record {
            id: self.id,
            kind: "runbook".to_owned(),
            subject: self.book.name.clone(),
            outcome,
            why,
            began: self.began(),
            ended: self.clock.now(),
            steps: self.entries(),
        })
    }

    fn why_back(&self) -> Option<String> {
        self.lines.iter().find_map(|line| match &line.what {
            Event::WentBack { why } => Some(why.clone()),
            _ => None,
        })
    }

    /// What was done, as the ledger has it: who, when, how, the output's hash and its end.
    fn entries(&self) -> Vec<Entry> {
        let lines = self.lines.iter().enumerate();
        let all = lines.filter_map(|(number, line)| self.entry(number, line));
        let mut all: Vec<Entry> = all.collect();
        if all.len() > MOST {
            all.drain(..all.len() - MOST);
        }
        all
    }

    fn entry(&self, number: usize, line: &Line) -> Option<Entry> {
        let (step, said, took_ms, figures) = match &line.what {
            Event::Ended(ended) => {
                let section = self.book.sections.get(ended.section)?;
                let words = match ended.said.as_str() {
                    "" => ended.how.to_string(),
                    said => format!("{}: {said}", ended.how),
                };
                let output = self.folder.output(number).unwrap_or_default();
                let figures = json!({"by": line.by, "how": ended.how, "exit": ended.exit, "sha256": ended.sha256,
                    "output": told(&output)});
                let step = format!("{}.{}", section.label(), ended.item + 1);
                let words = format!("{} · {words}", section.title);
                (step, words, ended.took_ms, figures)
            }
            Event::Begun { sha256, .. } => (
                "begin".to_owned(),
                format!("begun by {}", line.by),
                0,
                json!({"by": line.by, "sha256": sha256}),
            ),
            Event::Resumed => ("resume".to_owned(), format!("{} goes on", line.by), 0, json!({"by": line.by})),
            Event::Handed { to } => {
                let said = format!("{} hands over to {to}", line.by);
                ("hand over".to_owned(), said, 0, json!({"by": line.by, "to": to}))
            }
            Event::WentBack { why } => ("go back".to_owned(), why.clone(), 0, json!({"by": line.by})),
            Event::Overdue => ("overdue".to_owned(), "longer than its limit".to_owned(), 0, json!({})),
            Event::Started { .. } | Event::Closed { .. } => return None,
        };
        Some(Entry {
            at: line.at,
            step,
            said: cut(&said),
            took_ms,
            figures,
        })
    }
}

/// The variables that are asked for and not given, the first of them.
fn missing<'a>(book: &'a Runbook, given: &BTreeMap<String, String>) -> Option<(&'a String, &'a String)> {
    book.front.ask.iter().find(|(name, _)| !given.contains_key(*name))
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn cut(text: &str) -> String {
    text.chars().take(1900).collect()
}

/// The end of an output, without our secrets.
fn told(output: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(output).into_owned();
    for secret in SECRETS {
        while let Some(at) = text.find(secret) {
            let rest = text.get(at..).unwrap_or_default();
            let length = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len());
            text.replace_range(at..at + length, "[a secret]");
        }
    }
    let skip = text.chars().count().saturating_sub(TOLD);
    text.chars().skip(skip).collect()
}

/// Where a run stands after these lines.
pub(super) fn stands(book: &Runbook, lines: &[Line]) -> Now {
    let mut at = Some(At { section: 0, item: 0 });
    let mut before = None;
    let mut went_back = false;
    for line in lines {
        match &line.what {
            Event::Closed { outcome, .. } => {
                return Now::Over {
                    outcome: outcome.clone(),
                };
            }
            Event::WentBack { .. } => {
                went_back = true;
                before = None;
                at = book.way_back().map(|section| At { section, item: 0 });
            }
            Event::Ended(ended) if ended.how.goes_on() => {
                before = None;
                at = after(book, ended);
            }
            Event::Ended(ended) => before = Some(ended.clone()),
            _ => {}
        }
    }
    match at {
        Some(at) => Now::Do { at, before },
        None => Now::Through { went_back },
    }
}

/// What comes after an item that ended well. The way back is gone only if somebody says so.
fn after(book: &Runbook, ended: &Ended) -> Option<At> {
    let section = book.sections.get(ended.section)?;
    if ended.how == How::Decided
        && let Some(What::Decision { choices, .. }) = section.items.get(ended.item).map(|item| &item.what)
        && let Some(choice) = choices.iter().find(|choice| choice.label == ended.said)
        && let Then::Step(number) = choice.then
    {
        return book.step(number).map(|section| At { section, item: 0 });
    }
    if ended.item + 1 < section.items.len() {
        return Some(At {
            section: ended.section,
            item: ended.item + 1,
        });
    }
    let next = ended.section + 1;
    let follows = book.sections.get(next).is_some_and(|next| next.kind != Kind::RollBack);
    follows.then_some(At {
        section: next,
        item: 0,
    })
}
