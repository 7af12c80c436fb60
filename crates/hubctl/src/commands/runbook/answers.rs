//! Where answers come from: the terminal, standard input, or a file. And which line is for which question, when somebody in the
//! console answers one: a line that was meant for it is not taken for the next.

use std::collections::VecDeque;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

use hub_operate::runbook::What;
use nix::sys::termios::{FlushArg, tcflush};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::say::Said;
use crate::exit::Failure;

/// Who was typing at a question that is answered needs so long to see that there is another one.
const STARTLED: Duration = Duration::from_millis(1500);

/// Lines, one for each question.
#[derive(Debug)]
pub(super) struct Answers {
    lines: UnboundedReceiver<Given>,
    source: Source,
}

/// A line, and when it came.
#[derive(Debug)]
struct Given {
    line: String,
    at: Instant,
}

#[derive(Debug)]
enum Source {
    /// A person, who sees the next question. What comes before they can have seen it is for the one before it.
    Terminal {
        is_startled: bool,
        not_before: Option<Instant>,
    },
    /// A program or a file with a line for each question: these were answered without theirs.
    Lines { owed: VecDeque<What> },
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Line(String),
    /// It came for a question that somebody else has answered, and is for the run, whatever is asked now.
    ForRun(String),
    /// It was for a question that somebody else has answered.
    Passed(String),
    /// Nobody answers any more: the end of the file, a lost terminal.
    Nobody,
}

/// Who answered the question before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// A line from here came, but somebody else was first.
    Line,
    Console,
}

impl Source {
    const PERSON: Self = Self::Terminal {
        is_startled: false,
        not_before: None,
    };
}

impl Answers {
    pub(super) fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let (send, lines) = unbounded_channel();
        let owed = VecDeque::new();
        let mut answers = Self {
            lines,
            source: Source::Lines { owed },
        };
        let given = |line: &str| Given {
            line: line.trim().to_owned(),
            at: Instant::now(),
        };
        if let Some(path) = file {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Failure::file("read", path, error))?;
            for line in text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'))
            {
                // The receiver is ours.
                let _sent = send.send(given(line));
            }
            return Ok(answers);
        }
        if std::io::stdin().is_terminal() {
            answers.source = Source::PERSON;
        }
        // A thread of its own: one that still reads must not keep the program from ending.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if send.send(given(&line)).is_err() {
                    return;
                }
            }
        });
        Ok(answers)
    }

    /// Whether a person answers, who may be surprised by the next question.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self.source, Source::Terminal { .. })
    }

    pub(super) async fn next(&mut self) -> Next {
        let Some(Given { line, at }) = self.lines.recv().await else {
            return Next::Nobody;
        };
        match &mut self.source {
            Source::Terminal { not_before, .. } if not_before.is_some_and(|until| at < until) => {
                Next::Passed(line)
            }
            Source::Terminal { .. } => Next::Line(line),
            Source::Lines { owed } => owing(owed, line),
        }
    }

    /// Somebody in the console has answered `what`.
    pub(super) fn answered(&mut self, what: &What, via: Via) {
        match &mut self.source {
            Source::Terminal { is_startled, .. } => *is_startled = true,
            Source::Lines { owed } if via == Via::Console => owed.push_back(what.clone()),
            Source::Lines { .. } => {}
        }
    }

    /// The next question stands there now.
    pub(super) fn asked(&mut self) {
        if let Source::Terminal {
            is_startled,
            not_before,
        } = &mut self.source
            && std::mem::take(is_startled)
        {
            // What was typed for the one before it, to its end or not, is for nothing else.
            let _lost = tcflush(std::io::stdin(), FlushArg::TCIFLUSH);
            *not_before = Some(Instant::now() + STARTLED);
        }
    }
}

/// Of a line that comes while lines of answered questions are owed. What is for the run and not for the question counts.
fn owing(owed: &mut VecDeque<What>, line: String) -> Next {
    let Some(what) = owed.front() else {
        return Next::Line(line);
    };
    match Said::parse(&line, what) {
        Said::Yes | Said::Hand(_) | Said::Skip(_) | Said::Choice(_) => {
            owed.pop_front();
            Next::Passed(line)
        }
        Said::Back(_) | Said::Over(_) | Said::Quit | Said::GiveUp(_) => {
            owed.pop_front();
            Next::ForRun(line)
        }
        Said::Note(_) => Next::ForRun(line),
        // At its own question it would have been asked for once more.
        Said::Help | Said::Unclear(_) => Next::Passed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirm() -> What {
        What::Confirm {
            what: "the door is shut".to_owned(),
        }
    }

    /// As a program gives them.
    fn lines(all: &[&str]) -> Answers {
        let (send, lines) = unbounded_channel();
        for line in all {
            let (line, at) = ((*line).to_owned(), Instant::now());
            send.send(Given { line, at }).unwrap();
        }
        let source = Source::Lines {
            owed: VecDeque::new(),
        };
        Answers { lines, source }
    }

    async fn all(mut answers: Answers) -> Vec<Next> {
        let mut all = Vec::new();
        loop {
            match answers.next().await {
                Next::Nobody => return all,
                next => all.push(next),
            }
        }
    }

    #[tokio::test]
    async fn a_line_of_a_question_that_somebody_else_answered_is_not_the_next_ones() {
        let (line, passed) = (
            |text: &str| Next::Line(text.to_owned()),
            |text: &str| Next::Passed(text.to_owned()),
        );
        let mut answers = lines(&["note it rains", "", "yes", "", "yes"]);
        answers.answered(&confirm(), Via::Console);
        let wanted = [
            Next::ForRun("note it rains".to_owned()),
            passed(""),
            passed("yes"),
            line(""),
            line("yes"),
        ];
        assert_eq!(all(answers).await, wanted);
        // A line that came too late was for that question all the same.
        let mut answers = lines(&["yes"]);
        answers.answered(&confirm(), Via::Line);
        assert_eq!(all(answers).await, [line("yes")]);
        // Two were answered; to stop is meant for the run.
        let mut answers = lines(&["skip no door", "quit", "yes"]);
        answers.answered(&confirm(), Via::Console);
        answers.answered(&confirm(), Via::Console);
        let quit = Next::ForRun("quit".to_owned());
        let wanted = [passed("skip no door"), quit, line("yes")];
        assert_eq!(all(answers).await, wanted);
    }

    #[tokio::test]
    async fn what_a_person_typed_before_the_next_question_was_there_is_not_for_it() {
        let mut answers = lines(&["yes"]);
        answers.source = Source::PERSON;
        answers.answered(&confirm(), Via::Console);
        answers.asked();
        assert_eq!(all(answers).await, [Next::Passed("yes".to_owned())]);
        // Nothing was answered elsewhere: whoever types ahead may.
        let mut answers = lines(&["yes"]);
        answers.source = Source::PERSON;
        answers.asked();
        assert_eq!(all(answers).await, [Next::Line("yes".to_owned())]);
        // What comes later is for the question that stands there.
        let mut answers = lines(&["run"]);
        answers.source = Source::Terminal {
            is_startled: false,
            not_before: Instant::now().checked_sub(STARTLED),
        };
        assert_eq!(all(answers).await, [Next::Line("run".to_owned())]);
    }
}
