//! The checklist in the terminal: shows what is to be done, hears how it went, has it written down and told.

mod hear;

use std::path::Path;

use hub_operate::operation::OperationLog;
use hub_operate::runbook::{self, At, Close, Ended, How, Item, Mark, Now, Run, Then, What};
use serde_json::json;

use self::hear::{Signals, Wanted};
use super::answers::Answers;
use super::channel::Channel;
use super::console::{Answered, Console, Turn};
use super::say::{self, Said};
use super::show::lasting;
use crate::client::Client;
use crate::commands::told::told;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// How a sitting ended.
enum Sitting {
    /// It can be gone on with; why it stopped.
    Open(String),
    Close(Close),
}

/// Somebody at a runbook.
struct Desk<'a> {
    run: Run,
    answers: Answers,
    channel: Channel,
    console: Console,
    output: &'a Output,
    signals: Signals,
    /// The section that was shown last.
    shown: Option<usize>,
    /// Who answered the question before this one in the console, if a person at the terminal may not have seen it.
    startled_by: Option<String>,
}

/// Goes through it, until it is over or stops.
pub(super) async fn whole(
    mut run: Run,
    state: &Path,
    answers: Answers,
    channel: Channel,
    client: &Client,
    output: &Output,
) -> Result<Exit, Failure> {
    let id = run.id();
    let console = Console::open(&mut run, client)?;
    let mut desk = Desk {
        run,
        answers,
        channel,
        console,
        output,
        signals: Signals::new()?,
        shown: None,
        startled_by: None,
    };
    desk.begin().await;
    let sitting = match desk.go().await {
        Ok(sitting) => sitting,
        Err(failure) => {
            let help = format!("`{}` goes on", resume(state, id));
            return Err(failure.help(help));
        }
    };
    let exit = match sitting {
        Sitting::Open(why) => {
            output.note(&format!(
                "\nStopped: {why}. Go on with `{}`.",
                resume(state, id)
            ));
            drop(desk.run);
            desk.console.close().await;
            Exit::Interrupted
        }
        Sitting::Close(close) => desk.close(close, state, client).await?,
    };
    if output.json {
        let report = runbook::report(state, id)?;
        output
            .document(&json!({"id": id, "is_over": exit != Exit::Interrupted, "report": report}))?;
    }
    Ok(exit)
}

fn resume(state: &Path, id: hub_base::OperationId) -> String {
    format!("hubctl runbook resume {id} --state {}", state.display())
}

impl Desk<'_> {
    async fn begin(&mut self) {
        let (run, output) = (&self.run, self.output);
        let front = &run.book.front;
        output.note(&format!(
            "{} ({}, within {})",
            run.book.title, front.severity, front.time_limit
        ));
        output.note(&format!(
            "{}\nWho: {}",
            front.purpose,
            front.roles.join(", ")
        ));
        output.note(&format!("Run {}, by {}", run.id(), run.by()));
        let said = format!(
            "{} is at it, {} of {} left",
            run.by(),
            left(run),
            front.time_limit
        );
        self.tell(&said).await;
    }

    async fn tell(&self, said: &str) {
        self.channel.tell(&self.run, said, self.output).await;
    }

    async fn go(&mut self) -> Result<Sitting, Failure> {
        if let Some(ended) = self.run.catch_up(&Output::heard).await? {
            self.judged(&ended).await;
        }
        loop {
            self.look_at_the_clock().await?;
            if let Some(fault) = self.console.fault() {
                self.output.note(&fault);
            }
            let (at, before) = match self.run.now() {
                Now::Do { at, before } => (at, before),
                Now::Through { .. } | Now::Over { .. } => {
                    return Ok(Sitting::Close(Close::Through));
                }
            };
            let Some(item) = self.run.item(at).cloned() else {
                return Ok(Sitting::Close(Close::Through));
            };
            self.catch_up(false).await?;
            self.show(at, &item, before.is_some());
            self.run.shown()?;
            match self.fill(at, &item).await? {
                None => {}
                Some(Err(why)) => return Ok(Sitting::Open(why)),
                Some(Ok(said)) => match self.did(at, &item, said).await? {
                    Some(sitting) => return Ok(sitting),
                    None => continue,
                },
            }
            let turn = Turn::of(&self.run, at, &item);
            let sitting = match self.ask(&turn, &item, before.is_some()).await? {
                Ok(Wanted::Said(said)) => {
                    self.startled_by = None;
                    self.did(at, &item, said).await?
                }
                Ok(Wanted::Answered(answer, via)) => {
                    self.take(at, &item, &answer).await?;
                    self.answers.answered(&item.what, via);
                    let is_person = self.answers.is_terminal();
                    self.startled_by = is_person.then_some(answer.by);
                    None
                }
                Err(why) => return Ok(Sitting::Open(why)),
            };
            if let Some(sitting) = sitting {
                return Ok(sitting);
            }
        }
    }

    fn show(&mut self, at: At, item: &Item, is_again: bool) {
        if self.shown != Some(at.section)
            && let Some(section) = self.run.section(at)
        {
            self.output.note(&say::heading(section));
            self.shown = Some(at.section);
        }
        if !is_again {
            self.output.note(&say::item(item));
        }
    }

    /// Takes into the journal what somebody answered in the console.
    async fn take(&mut self, at: At, item: &Item, answer: &Answered) -> Result<(), Failure> {
        let word = answer.choice.as_deref().unwrap_or("done");
        let said = format!("{} in the console: {word}", answer.by);
        self.output
            .note(&format!("\n  {}", self.output.verdict(true, &said)));
        let number = match &item.what {
            What::Decision { choices, .. } => choices
                .iter()
                .position(|choice| Some(&choice.label) == answer.choice.as_ref()),
            _ => None,
        };
        match number {
            Some(number) => self.decided(item, number, &answer.by).await,
            // No answer to it; the console knows none of these.
            None if matches!(item.what, What::Decision { .. }) => Ok(()),
            None => self.person(at, How::Confirmed, "", &answer.by).await,
        }
    }

    /// Warns once if it takes longer than it may.
    async fn look_at_the_clock(&mut self) -> Result<(), Failure> {
        if self.run.is_newly_overdue()? {
            let limit = self.run.book.front.time_limit;
            let said = format!("takes longer than {limit}: get help");
            self.output
                .note(&format!("\n{}", self.output.verdict(false, &said)));
            self.tell(&said).await;
        }
        Ok(())
    }

    /// Does what was said. `Some` if that ends the sitting.
    async fn did(&mut self, at: At, item: &Item, said: Said) -> Result<Option<Sitting>, Failure> {
        let by = self.run.by().to_owned();
        match said {
            Said::Yes if matches!(item.what, What::Command { .. }) => return self.command().await,
            Said::Yes => self.person(at, How::Confirmed, "", &by).await?,
            Said::Hand(how) => self.person(at, How::ByHand, &how, &by).await?,
            Said::Skip(why) => self.person(at, How::Skipped, &why, &by).await?,
            Said::Choice(number) => self.decided(item, number, &by).await?,
            Said::Back(why) => {
                if let Err(error) = self.run.go_back(&why) {
                    self.output.note(&error.to_string());
                } else {
                    self.tell(&format!("goes back: {why}")).await;
                }
            }
            Said::Over(to) => {
                self.run.hand_over(&to)?;
                self.tell(&format!("handed over to {to}")).await;
                return Ok(Some(Sitting::Open(format!("{to} goes on"))));
            }
            Said::GiveUp(why) => return Ok(Some(Sitting::Close(Close::GivenUp(why)))),
            Said::Quit => return Ok(Some(Sitting::Open("it waits".to_owned()))),
            // These are answered where they are asked.
            Said::Note(_) | Said::Help | Said::Unclear(_) => {}
        }
        Ok(None)
    }

    async fn command(&mut self) -> Result<Option<Sitting>, Failure> {
        let ended = tokio::select! {
            ended = self.run.command(&Output::heard) => Some(ended?),
            () = self.signals.end.comes() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => self.run.interrupted()?,
        };
        self.judged(&ended).await;
        Ok(None)
    }

    /// Says how a block ended.
    async fn judged(&mut self, ended: &Ended) {
        let good = ended.how == How::Passed;
        let words = ended.words();
        let took = lasting(ended.took_ms);
        self.output
            .note(&format!("  {} ({took})", self.output.verdict(good, &words)));
        if !good {
            let at = self.label(ended.section, ended.item);
            self.tell(&format!("{at} {words}")).await;
        }
        self.passed(ended).await;
    }

    /// Such as `3.2 Restore`.
    fn label(&self, section: usize, item: usize) -> String {
        let at = At { section, item };
        self.run.section(at).map_or_else(String::new, |section| {
            format!("{}.{} {}", section.label(), item + 1, section.title)
        })
    }

    /// Tells that a section is gone through, when its last item is.
    async fn passed(&mut self, ended: &Ended) {
        let goes_on = ended.how.goes_on();
        let leaves = !matches!(self.run.now(), Now::Do { at, .. } if at.section == ended.section);
        if goes_on && leaves {
            let at = At {
                section: ended.section,
                item: ended.item,
            };
            if let Some(section) = self.run.section(at) {
                let text = format!(
                    "{} {}: done, {} left",
                    section.label(),
                    section.title,
                    left(&self.run)
                );
                self.tell(&text).await;
            }
        }
    }

    async fn person(&mut self, at: At, how: How, said: &str, by: &str) -> Result<(), Failure> {
        let ended = self.run.in_name_of(by, |run| run.person(how, said))?;
        if how != How::Confirmed {
            let words = format!("{} {}", self.label(at.section, at.item), ended.words());
            self.tell(&words).await;
        }
        self.passed(&ended).await;
        Ok(())
    }

    async fn decided(&mut self, item: &Item, number: usize, by: &str) -> Result<(), Failure> {
        let then = self.run.in_name_of(by, |run| run.decide(number))?;
        if let What::Decision { question, choices } = &item.what
            && let Some(choice) = choices.get(number)
        {
            let back = if then == Then::RollBack {
                ", goes back"
            } else {
                ""
            };
            self.tell(&format!("{question} {}{back}", choice.label))
                .await;
        }
        Ok(())
    }

    async fn close(mut self, close: Close, state: &Path, client: &Client) -> Result<Exit, Failure> {
        self.catch_up(true).await?;
        let Self {
            run,
            channel,
            console,
            output,
            ..
        } = self;
        let (outcome, why) = match (&close, run.now()) {
            (Close::GivenUp(why), _) => ("given up", Some(why.clone())),
            (Close::Through, Now::Through { went_back: true }) => ("rolled back", None),
            (Close::Through, _) => ("done", None),
        };
        let good = outcome == "done";
        let took = lasting(u64::try_from(run.spent().as_millis()).unwrap_or(u64::MAX));
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        channel
            .tell(&run, &format!("{outcome}{why} after {took}"), output)
            .await;
        let record = run.close(close)?;
        if console.close().await {
            runbook::mark(state, record.id, Mark::Told)?;
        }
        let why = record
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        let log = OperationLog::open(state)?;
        told(client, log.untold()?, |id| log.tell(id), output).await?;
        if !output.json {
            output.line(&format!(
                "\n{}{why}: runbook {} in {took} ({})",
                output.verdict(good, outcome),
                record.subject,
                record.id
            ))?;
        }
        Ok(if good { Exit::Done } else { Exit::No })
    }
}

fn left(run: &Run) -> hub_base::HumanDuration {
    hub_base::HumanDuration(std::time::Duration::from_secs(run.left().as_secs()))
}
