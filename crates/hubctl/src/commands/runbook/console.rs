//! The run in the hub's console: each line is told as it happens, and what people answer there is heard. Best effort: what could
//! not be told is told with what comes next, and the run never waits long for the hub.

mod past;
mod teller;

use std::collections::HashSet;
use std::time::Duration;

use hub_base::{NoteId, plain};
use hub_operate::runbook::{At, Item, Run, What};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(super) use self::past::{catch_up, tell};
use self::teller::{Ask, Teller};
use crate::client::{Client, field, list};
use crate::exit::Failure;

/// Whoever waits for the hub waits so long at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked for answers.
const LOOK: Duration = Duration::from_secs(1);
/// Characters of a name and of a text that are taken from the hub.
const LONGEST_NAME: usize = 200;
const LONGEST: usize = 2000;

/// Whose turn it is: the line since which the run is in that section, where, and what may be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) entered: usize,
    pub(super) at: At,
    /// A decision's words.
    choices: Vec<String>,
}

/// What somebody answered who is not at this terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) by: String,
    /// A decision's word.
    pub(super) choice: Option<String>,
    /// The line since which the run was in that section, and where.
    pub(super) entered: usize,
    pub(super) at: At,
}

/// What somebody wrote down there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) id: NoteId,
    pub(super) by: String,
    pub(super) text: String,
}

/// What is new in the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    Answer(Answered),
    Note(Noted),
}

/// The console as the run's desk sees it.
#[derive(Debug)]
pub(super) struct Console {
    ask: Option<UnboundedSender<Ask>>,
    task: Option<JoinHandle<bool>>,
    faults: UnboundedReceiver<String>,
}

impl Turn {
    pub(super) fn of(run: &Run, at: At, item: &Item) -> Self {
        let choices = match &item.what {
            What::Decision { choices, .. } => choices.as_slice(),
            _ => &[],
        };
        Self {
            entered: run.entered(),
            at,
            choices: choices.iter().map(|choice| choice.label.clone()).collect(),
        }
    }

    /// Whether this is an answer to it, in a word that it knows.
    fn is_answered_by(&self, answer: &Value) -> bool {
        let wanted = [
            ("entered", self.entered),
            ("section", self.at.section),
            ("item", self.at.item),
        ];
        let is_its = |(name, wanted): &(&str, usize)| {
            answer.get(name).and_then(Value::as_u64) == Some(*wanted as u64)
        };
        wanted.iter().all(is_its) && self.knows(answer)
    }

    fn knows(&self, answer: &Value) -> bool {
        match answer.get("choice").and_then(Value::as_str) {
            Some(choice) => self.choices.iter().any(|one| one == choice),
            None => self.choices.is_empty(),
        }
    }
}

impl Console {
    /// Begins to tell, if there is a credential.
    pub(super) fn open(run: &mut Run, client: &Client) -> Result<Self, Failure> {
        let (to, faults) = unbounded_channel();
        if !client.has_token() {
            return Ok(Self {
                ask: None,
                task: None,
                faults,
            });
        }
        let (lines, told) = unbounded_channel();
        run.tell(lines)?;
        let (ask, asked) = unbounded_channel();
        let beginning = json!({"id": run.id(), "runbook": run.book.name, "text": run.book.text, "by": run.by(),
            "began": run.began(), "incident": run.incident()});
        let teller = Teller::new(client.clone(), run.id(), beginning, to);
        Ok(Self {
            ask: Some(ask),
            task: Some(tokio::spawn(teller.work(told, asked))),
            faults,
        })
    }

    /// Why nothing can be told, once.
    pub(super) fn fault(&mut self) -> Option<String> {
        self.faults.try_recv().ok()
    }

    async fn said(&self) -> Option<Value> {
        let (to, said) = oneshot::channel();
        self.ask.as_ref()?.send(Ask::Said(to)).ok()?;
        timeout(PATIENCE, said).await.ok()?.ok()
    }

    /// Waits until the console has something new: an answer to `turn`, a note that is not among `taken`.
    pub(super) async fn hears(&self, turn: Option<&Turn>, taken: &HashSet<NoteId>) -> News {
        loop {
            if let Some(said) = self.said().await {
                if let Some(note) = notes(&said, taken).into_iter().next() {
                    return News::Note(note);
                }
                if let Some(answer) = turn.and_then(|turn| answer(&said, turn)) {
                    return News::Answer(answer);
                }
            }
            sleep(LOOK).await;
        }
    }

    /// Without waiting for more: notes that are not among `taken`, oldest first, and every answer. `None` if the hub does not say.
    pub(super) async fn news(
        &self,
        taken: &HashSet<NoteId>,
    ) -> Option<(Vec<Noted>, Vec<Answered>)> {
        let said = self.said().await?;
        let answers = list(&said, "answers");
        Some((
            notes(&said, taken),
            answers.iter().filter_map(read).collect(),
        ))
    }

    /// What somebody there has answered to `turn`.
    pub(super) async fn answer(&self, turn: &Turn) -> Option<Answered> {
        answer(&self.said().await?, turn)
    }

    /// Says that this is the answer. Somebody else's, if that was first.
    pub(super) async fn first(
        &self,
        turn: &Turn,
        choice: Option<&str>,
        by: &str,
    ) -> Option<Answered> {
        let wish = json!({"entered": turn.entered, "section": turn.at.section, "item": turn.at.item, "choice": choice,
            "by": by});
        let (to, said) = oneshot::channel();
        self.ask.as_ref()?.send(Ask::First(wish, to)).ok()?;
        let first = timeout(PATIENCE, said).await.ok()?.ok()??;
        turn.knows(&first)
            .then(|| answered(&first, turn.entered, turn.at))
    }

    /// Tells what is left, but does not wait long for it. `run` tells no more. Whether all was told.
    pub(super) async fn close(mut self) -> bool {
        self.ask = None;
        let Some(task) = self.task.take() else {
            return false;
        };
        let end = task.abort_handle();
        if let Ok(done) = timeout(PATIENCE, task).await {
            return done.unwrap_or(false);
        }
        end.abort();
        false
    }
}

fn answered(answer: &Value, entered: usize, at: At) -> Answered {
    Answered {
        by: name(&field(answer, "by")),
        choice: answer.get("choice").and_then(Value::as_str).map(plain),
        entered,
        at,
    }
}

fn read(answer: &Value) -> Option<Answered> {
    let number = |name: &str| usize::try_from(answer.get(name)?.as_u64()?).ok();
    let at = At {
        section: number("section")?,
        item: number("item")?,
    };
    Some(answered(answer, number("entered")?, at))
}

fn answer(said: &Value, turn: &Turn) -> Option<Answered> {
    let mut answers = list(said, "answers").into_iter();
    read(&answers.find(|answer| turn.is_answered_by(answer))?)
}

fn notes(said: &Value, taken: &HashSet<NoteId>) -> Vec<Noted> {
    let notes = list(said, "notes").into_iter();
    let notes = notes.filter_map(|note| {
        let id: NoteId = field(&note, "id").parse().ok()?;
        (!taken.contains(&id)).then(|| Noted {
            id,
            by: name(&field(&note, "by")),
            text: prose(&field(&note, "text")),
        })
    });
    notes.collect()
}

/// A name for the journal and the terminal.
fn name(text: &str) -> String {
    let name: String = plain(text).chars().take(LONGEST_NAME).collect();
    if name.trim().is_empty() {
        return "somebody".to_owned();
    }
    name
}

/// What was written in several lines stays so, without orders to a terminal.
fn prose(text: &str) -> String {
    let text: String = text.chars().take(LONGEST).collect();
    let text = text.replace('\t', " ");
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
