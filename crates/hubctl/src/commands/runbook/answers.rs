//! Where answers come from: the terminal, standard input, or a file.

use std::io::BufRead as _;
use std::path::Path;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::exit::Failure;

/// Lines, one for each question.
#[derive(Debug)]
pub(super) struct Answers(UnboundedReceiver<String>);

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Line(String),
    /// Nobody answers any more: the end of the file, a lost terminal.
    Nobody,
}

impl Answers {
    pub(super) fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let (send, receive) = unbounded_channel();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Failure::file("read", path, error))?;
            for line in text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'))
            {
                // The receiver is ours.
                let _sent = send.send(line.trim().to_owned());
            }
            return Ok(Self(receive));
        }
        // A thread of its own: one that still reads must not keep the program from ending.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if send.send(line.trim().to_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Self(receive))
    }

    pub(super) async fn next(&mut self) -> Next {
        self.0.recv().await.map_or(Next::Nobody, Next::Line)
    }
}
