//! What is heard at a question: a line from here, what people in the console answer and write down, the end of the terminal.

use hub_base::plain;
use hub_operate::runbook::{At, Item, What};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Desk;
use crate::commands::runbook::answers::{Next, Via};
use crate::commands::runbook::console::{Answered, News, Noted, Turn};
use crate::commands::runbook::say::{self, Said};
use crate::exit::Failure;

/// What is heard at a question.
pub(super) enum Heard {
    Line(String),
    /// A line that is for the run and not for what is asked.
    ForRun(String),
    /// Somebody answered in the console.
    Answer(Answered),
    /// Nothing that answers it, but what was said since: it is asked once more.
    Aside,
    /// Nobody answers any more; why.
    Nobody(String),
}

/// What is to be done with an item.
pub(super) enum Wanted {
    Said(Said),
    /// Somebody else has done or decided it.
    Answered(Answered, Via),
}

/// What may come instead of an answer.
pub(super) struct Signals {
    pub(super) end: End,
    /// The terminal is lost. What runs is heard out all the same.
    hang_up: Signal,
}

/// Somebody wants it to end.
pub(super) struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        let end = End {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        };
        Ok(Self {
            end,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl End {
    pub(super) async fn comes(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl Desk<'_> {
    /// Asks for the variables that the item needs. What came instead, if one is not given: what is to be done with the run, or why
    /// nobody says.
    pub(super) async fn fill(
        &mut self,
        at: At,
        item: &Item,
    ) -> Result<Option<Result<Said, String>>, Failure> {
        while let Some((name, what)) = self.run.lacks(at) {
            self.output.prompt(&format!("{name} ({what}): "));
            self.answers.asked();
            match self.heard(None).await? {
                Heard::Nobody(why) => {
                    return Ok(Some(Err(format!("{name} is not given ({why})"))));
                }
                Heard::Line(line) if !line.is_empty() => self.run.give(&name, &line)?,
                Heard::Line(_) => self.output.note("a value is needed; Ctrl-C stops here"),
                Heard::ForRun(line) => match Said::parse(&line, &item.what) {
                    Said::Note(text) => self.written(&text).await?,
                    said => return Ok(Some(Ok(said))),
                },
                Heard::Answer(_) | Heard::Aside => {}
            }
        }
        Ok(None)
    }

    /// The next line, or what somebody answers in the console to `turn`; whoever speaks first.
    async fn heard(&mut self, turn: Option<&Turn>) -> Result<Heard, Failure> {
        loop {
            let limit = tokio::time::sleep(self.run.left());
            let taken = self.run.notes_taken();
            let is_late = self.run.is_known_overdue();
            tokio::select! {
                // What was said here already was said before what comes from the console.
                biased;
                () = self.signals.end.comes() => {
                    return Ok(Heard::Nobody("somebody interrupted it".to_owned()));
                }
                _ = self.signals.hang_up.recv() => {
                    return Ok(Heard::Nobody("nobody answers".to_owned()));
                }
                next = self.answers.next() => return Ok(match next {
                    Next::Line(line) => Heard::Line(line),
                    Next::ForRun(line) => Heard::ForRun(line),
                    Next::Passed(line) => self.passed_over(&line),
                    Next::Nobody => Heard::Nobody("nobody answers".to_owned()),
                }),
                news = self.console.hears(turn, &taken) => match news {
                    News::Answer(answer) => return Ok(Heard::Answer(answer)),
                    News::Note(note) => {
                        self.noted(note).await?;
                        return Ok(Heard::Aside);
                    }
                },
                () = limit, if !is_late => self.look_at_the_clock().await?,
            }
        }
    }

    /// An answer to what is to be done, or why there is none.
    pub(super) async fn ask(
        &mut self,
        turn: &Turn,
        item: &Item,
        is_again: bool,
    ) -> Result<Result<Wanted, String>, Failure> {
        let is_command = matches!(item.what, What::Command { .. });
        let startled_by = self.startled_by.clone().filter(|_| is_command);
        let question = match &startled_by {
            Some(_) => say::WARY,
            None => say::question(&item.what, is_again),
        };
        self.output.prompt(question);
        self.answers.asked();
        // A command is run here only.
        let asked = Some(turn).filter(|_| !is_command);
        loop {
            let line = match self.heard(asked).await? {
                Heard::Line(line) | Heard::ForRun(line) => line,
                Heard::Answer(answer) => return Ok(Ok(Wanted::Answered(answer, Via::Console))),
                Heard::Aside => {
                    self.output.prompt(question);
                    continue;
                }
                Heard::Nobody(why) => return Ok(Err(why)),
            };
            let hint = match Said::parse(&line, &item.what) {
                Said::Help => say::help(&item.what),
                Said::Unclear(hint) => hint.to_owned(),
                Said::Note(text) => {
                    self.written(&text).await?;
                    "written down".to_owned()
                }
                Said::Yes if startled_by.is_some() && !say::is_plain_run(&line) => {
                    let by = startled_by.as_deref().unwrap_or_default();
                    format!(
                        "{by} answered the question before this one in the console: `run` runs this"
                    )
                }
                said => return Ok(Ok(self.unless_answered(turn, item, said).await)),
            };
            self.output.note(&hint);
            self.output.prompt(question);
        }
    }

    /// What was said here, unless somebody in the console was first.
    async fn unless_answered(&self, turn: &Turn, item: &Item, said: Said) -> Wanted {
        let choice = match (&item.what, &said) {
            (What::Command { .. }, _) => return Wanted::Said(said),
            (What::Confirm { .. }, Said::Yes) => None,
            (What::Decision { choices, .. }, Said::Choice(number)) => {
                choices.get(*number).map(|choice| choice.label.as_str())
            }
            (_, Said::Skip(_) | Said::Hand(_)) => {
                let answer = self.console.answer(turn).await;
                return answer.map_or(Wanted::Said(said), |answer| {
                    Wanted::Answered(answer, Via::Line)
                });
            }
            _ => return Wanted::Said(said),
        };
        let by = self.run.by();
        match self.console.first(turn, choice, by).await {
            Some(answer) if answer.by != by || answer.choice.as_deref() != choice => {
                Wanted::Answered(answer, Via::Line)
            }
            _ => Wanted::Said(said),
        }
    }

    /// Going back or giving up counts more than an answer to one item, and the hub may not have said in time that there is one; but
    /// whoever answered is not passed over in silence.
    async fn overruled(&mut self, by: &str, at: At, word: &str) -> Result<(), Failure> {
        let label = self.label(at.section, at.item);
        let said = format!("{by} had answered {label} in the console: {word}");
        if self.run.has_noted(&said) {
            return Ok(());
        }
        self.output.note(&format!("  {said}"));
        self.written(&said).await
    }

    /// Into the record, and to whoever is told.
    async fn written(&mut self, text: &str) -> Result<(), Failure> {
        self.run.note(text, None)?;
        self.tell(text).await;
        Ok(())
    }

    /// A line for a question that is answered.
    fn passed_over(&self, line: &str) -> Heard {
        let line = plain(line);
        self.output.note(&format!(
            "  not taken, it came for a question that is answered: `{line}`"
        ));
        Heard::Aside
    }

    /// Takes into the journal what was said in the console meanwhile: after the hub has the last line, so that nobody answers what
    /// that line ended. `is_end`: no answer is taken any more.
    pub(super) async fn catch_up(&mut self, is_end: bool) -> Result<(), Failure> {
        let taken = self.run.notes_taken();
        let Some((notes, answers)) = self.console.news(&taken).await else {
            return Ok(());
        };
        for note in notes {
            self.noted(note).await?;
        }
        for Answered {
            by,
            choice,
            entered,
            at,
        } in answers
        {
            let choice = choice.as_deref();
            let is_past = is_end || self.run.is_past(entered, at);
            if is_past && by != self.run.by() && !self.run.took(entered, at, &by, choice) {
                self.overruled(&by, at, choice.unwrap_or("done")).await?;
            }
        }
        Ok(())
    }

    async fn noted(&mut self, note: Noted) -> Result<(), Failure> {
        let Noted { id, by, text } = note;
        // Further lines stand to the right: nobody takes them for ours.
        let shown = text.replace('\n', "\n    | ");
        self.output
            .note(&format!("\n  {by} in the console: {shown}"));
        self.run.in_name_of(&by, |run| run.note(&text, Some(id)))?;
        self.tell(&format!("{by}: {text}")).await;
        Ok(())
    }
}
