//! A run: what may be done now and what was done, written down before and after.

mod answer;
mod company;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, OperationId, Timestamp};
use tokio::sync::mpsc::UnboundedSender;

use super::block::{self, Heard, Job, Ran, Variables};
use super::journal::{Ended, Folder, How, Line, What as Event};
use super::stands::{At, Now, stands};
use super::tell::Told;
use super::{Expect, Item, Runbook, Section, What};
use crate::error::Error;

/// Who begins a run, and with what.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Where runs are kept.
    pub state: &'a Path,
    pub by: &'a str,
    pub variables: Variables,
    /// Where command blocks run.
    pub folder: PathBuf,
    /// The incident that it is for.
    pub incident: Option<String>,
}

/// How a run is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Close {
    /// All of it was gone through.
    Through,
    /// Somebody gave it up; why.
    GivenUp(String),
}

/// A run under way. Holds its folder's lock.
#[derive(Debug)]
pub struct Run {
    pub book: Runbook,
    id: OperationId,
    pub(super) folder: Folder,
    state: PathBuf,
    works_in: PathBuf,
    incident: Option<String>,
    by: String,
    /// The environment of command blocks, as far as it is not the runbook's.
    around: Variables,
    variables: Variables,
    pub(super) lines: Vec<Line>,
    clock: Arc<dyn Clock>,
    /// Who is told each line.
    listener: Option<UnboundedSender<Told>>,
}

impl Run {
    /// Begins one.
    ///
    /// # Errors
    /// [`Error::Record`] if a variable is given that the runbook does not ask for; [`Error::File`].
    pub fn begin(
        book: Runbook,
        start: Start<'_>,
        around: Variables,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let mut given = start.variables.keys();
        if let Some(name) = given.find(|name| !book.front.ask.contains_key(*name)) {
            let known: Vec<&str> = book.front.ask.keys().map(String::as_str).collect();
            let what = format!(
                "it does not ask for `{name}` (it asks for: {})",
                known.join(", ")
            );
            return Err(Error::Record { field: "set", what });
        }
        let id = OperationId::new(&*clock);
        let folder = Folder::make(start.state, id, &book)?;
        let mut run = Self {
            id,
            folder,
            state: start.state.to_owned(),
            works_in: start.folder.clone(),
            incident: start.incident.clone(),
            by: start.by.to_owned(),
            around,
            variables: Variables::new(),
            lines: Vec::new(),
            clock,
            listener: None,
            book,
        };
        let begun = Event::Begun {
            id,
            runbook: run.book.name.clone(),
            sha256: run.book.digest(),
            folder: start.folder,
            incident: start.incident,
        };
        run.write(begun)?;
        for (name, value) in start.variables {
            run.give(&name, &value)?;
        }
        Ok(run)
    }

    /// Goes on with one, as whoever `by` is now.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Held`] if somebody works in it, [`Error::Backup`] if it is over, [`Error::File`].
    pub fn resume(
        state: &Path,
        id: OperationId,
        by: &str,
        around: Variables,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let folder = Folder::open(state, id)?;
        let lines = folder.lines()?;
        let Some(Event::Begun {
            folder: works_in,
            incident,
            ..
        }) = lines.first().map(|line| line.what.clone())
        else {
            return Err(Error::Lost(format!("the beginning of the run {id}")));
        };
        let mut run = Self {
            book: folder.book()?,
            id,
            state: state.to_owned(),
            works_in,
            incident,
            by: by.to_owned(),
            around,
            variables: folder.variables()?,
            lines,
            clock,
            listener: None,
            folder,
        };
        if let Now::Over { outcome } = run.now() {
            return Err(Error::Backup(format!("the run {id} is over: {outcome}")));
        }
        run.write(Event::Resumed)?;
        Ok(run)
    }

    /// Whom it was handed to last, if nobody has gone on since.
    pub fn awaited(&self) -> Option<&str> {
        // The newest line is this one's own `Resumed`.
        let before = self
            .lines
            .iter()
            .rev()
            .find(|line| line.what != Event::Resumed);
        match &before?.what {
            Event::Handed { to } => Some(to),
            _ => None,
        }
    }

    pub const fn id(&self) -> OperationId {
        self.id
    }

    pub fn by(&self) -> &str {
        &self.by
    }

    pub fn incident(&self) -> Option<&str> {
        self.incident.as_deref()
    }

    pub const fn variables(&self) -> &Variables {
        &self.variables
    }

    fn write(&mut self, what: Event) -> Result<(), Error> {
        let line = Line {
            at: self.clock.now(),
            by: self.by.clone(),
            what,
        };
        self.folder.write(&line)?;
        if let Some(listener) = &self.listener {
            // Whoever does not listen any more is not told.
            let _gone = listener.send(Told::of(&self.folder, self.lines.len(), &line));
        }
        self.lines.push(line);
        Ok(())
    }

    pub fn began(&self) -> Timestamp {
        self.lines
            .first()
            .map_or_else(|| self.clock.now(), |line| line.at)
    }

    /// How long it has been going on.
    pub fn spent(&self) -> Duration {
        self.clock.now().since(self.began())
    }

    /// How much of its time limit is left.
    pub fn left(&self) -> Duration {
        self.book.front.time_limit.0.saturating_sub(self.spent())
    }

    /// Whether it takes longer than its limit; true once only.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn is_newly_overdue(&mut self) -> Result<bool, Error> {
        if self.is_known_overdue() || !self.left().is_zero() {
            return Ok(false);
        }
        self.write(Event::Overdue)?;
        Ok(true)
    }

    /// Whether it was said that it takes too long.
    pub fn is_known_overdue(&self) -> bool {
        self.lines.iter().any(|line| line.what == Event::Overdue)
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

    /// A variable that this item needs and nobody has given: its name and what it is.
    pub fn lacks(&self, at: At) -> Option<(String, String)> {
        let (script, expect) = self.block(at)?;
        let words = expect.says.iter().chain(&expect.not);
        let text = words.fold(script, |text, words| format!("{text}\n{words}"));
        let mut asked = self.book.front.ask.iter();
        let lacked = asked.find(|(name, _)| {
            !self.variables.contains_key(*name) && super::shell::mentions(&text, name)
        });
        lacked.map(|(name, what)| (name.clone(), what.clone()))
    }

    /// Somebody says what a variable is.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn give(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.variables.insert(name.clone(), value.clone());
        self.folder.keep_variables(&self.variables)?;
        self.write(Event::Given { name, value })
    }

    /// It is shown to whoever does it: from now on its time counts.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn shown(&mut self) -> Result<(), Error> {
        let at = self.turn()?;
        // A command's time begins when it is run.
        if self.block(at).is_none() {
            self.start(at)?;
        }
        Ok(())
    }

    /// Script and expectation of a command.
    fn block(&self, at: At) -> Option<(String, Expect)> {
        match &self.item(at)?.what {
            What::Command { script, expect, .. } => Some((script.clone(), expect.clone())),
            _ => None,
        }
    }

    /// Runs the block whose turn it is, heard as it goes. Whoever stops waiting ends it.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::File`]. A block that fails is no error: [`How::Failed`], and its turn remains.
    pub async fn command(&mut self, heard: Heard<'_>) -> Result<Ended, Error> {
        let at = self.turn()?;
        let Some((script, expect)) = self.block(at) else {
            return Err(Error::Nonsense("this is no command".to_owned()));
        };
        let traces = self.folder.traces(self.lines.len())?;
        self.start(at)?;
        let job = Job {
            script: &script,
            around: &self.around,
            variables: &self.variables,
            folder: &self.works_in,
            traces: &traces,
            limit: self.book.front.time_limit.0.max(Duration::from_mins(1)),
        };
        let limit = job.limit;
        let ran = block::run(job, heard).await?;
        let judged = if ran.is_late {
            Err(format!("it took longer than {limit:?} and was ended"))
        } else {
            judged(&expect, &ran)
        };
        self.ended(at, ran, judged, &traces)
    }

    /// The block that was under way when whoever was here before went: heard to its end, wherever that is. `None`: there
    /// was none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn catch_up(&mut self, heard: Heard<'_>) -> Result<Option<Ended>, Error> {
        let Some((number, at)) = self.unseen() else {
            return Ok(None);
        };
        let Some((script, expect)) = self.block(at) else {
            return Ok(None);
        };
        let traces = self.folder.traces(number)?;
        let job = Job {
            script: &script,
            around: &self.around,
            variables: &self.variables,
            folder: &self.works_in,
            traces: &traces,
            limit: Duration::MAX,
        };
        if let Some(ran) = block::watch(job, heard).await? {
            let judged = judged(&expect, &ran);
            return self.ended(at, ran, judged, &traces).map(Some);
        }
        let said = "nobody saw it end: look whether it did its work before it is run again";
        self.end(at, How::CutOff, said.to_owned(), Duration::ZERO)
            .map(Some)
    }

    /// Somebody ended the block that was under way.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn interrupted(&mut self) -> Result<Ended, Error> {
        let at = self.turn()?;
        self.end(
            at,
            How::CutOff,
            format!("{} ended it", self.by),
            Duration::ZERO,
        )
    }

    /// A command that was begun and has no end, and the line that began it.
    fn unseen(&self) -> Option<(usize, At)> {
        let lines = self.lines.iter().enumerate().rev();
        let mut steps = lines.filter_map(|(number, line)| match &line.what {
            Event::Started { section, item } => Some(Some((number, *section, *item))),
            Event::Ended(_) => Some(None),
            _ => None,
        });
        let (number, section, item) = steps.next()??;
        Some((number, At { section, item }))
    }

    fn ended(
        &mut self,
        at: At,
        ran: Ran,
        judged: Result<(), String>,
        traces: &block::Traces,
    ) -> Result<Ended, Error> {
        self.folder
            .keep_output(self.lines.len(), traces, ran.length)?;
        self.variables = ran.variables;
        self.folder.keep_variables(&self.variables)?;
        let ended = Ended {
            section: at.section,
            item: at.item,
            how: if judged.is_ok() {
                How::Passed
            } else {
                How::Failed
            },
            exit: ran.exit,
            sha256: Some(ran.sha256),
            said: judged.err().unwrap_or_default(),
            took_ms: millis(ran.took),
        };
        self.write(Event::Ended(ended.clone()))?;
        traces.remove();
        Ok(ended)
    }

    fn end(&mut self, at: At, how: How, said: String, took: Duration) -> Result<Ended, Error> {
        let ended = Ended {
            section: at.section,
            item: at.item,
            how,
            exit: None,
            sha256: None,
            said,
            took_ms: millis(took),
        };
        self.write(Event::Ended(ended.clone()))?;
        Ok(ended)
    }
}

fn judged(expect: &Expect, ran: &Ran) -> Result<(), String> {
    let output = String::from_utf8_lossy(&ran.output);
    expect.judge(ran.exit, &output, &ran.variables)
}

pub(super) fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
