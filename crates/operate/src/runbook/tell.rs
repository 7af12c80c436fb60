//! What the hub's ledger is told of a run: who did what, when, how it ended, the hash of what it said and the end of it.

use serde_json::json;

use super::Run;
use super::clean::{self, scrubbed};
use super::journal::{Ended, Folder, Line, What as Event};
use crate::operation::Entry;

/// Characters of a block's output that go into the ledger: its end, which tells how it went.
const TOLD: usize = 1200;
/// Of one sentence.
const SAID: usize = 1900;
/// Entries of a run in the ledger at most.
const MOST: usize = 190;

/// A line as everybody is told it while the run goes on: without secrets, with the end of what a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its place in the journal, from 0.
    pub number: u32,
    pub line: Line,
    pub output: Option<String>,
}

impl Told {
    pub(super) fn of(folder: &Folder, number: usize, line: &Line) -> Self {
        let output = match &line.what {
            Event::Ended(Ended {
                sha256: Some(_), ..
            }) => folder.output(number).ok().map(|output| told(&output)),
            _ => None,
        };
        Self {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            line: clean::line(line),
            output,
        }
    }
}

/// Everything that was done; of too much the newest.
pub(super) fn entries(run: &Run) -> Vec<Entry> {
    let lines = run.lines.iter().enumerate();
    let mut all: Vec<Entry> = lines
        .filter_map(|(number, line)| entry(run, number, line))
        .collect();
    let old = all.len().saturating_sub(MOST);
    all.drain(..old);
    all
}

fn entry(run: &Run, number: usize, line: &Line) -> Option<Entry> {
    // The ledger forgets nothing.
    let line = &clean::line(line);
    let by = &line.by;
    let plain = |step: &str, said: String, figures| (step.to_owned(), said, 0, figures);
    let (step, said, took_ms, figures) = match &line.what {
        Event::Ended(ended) => done(run, number, by, ended)?,
        Event::Begun {
            sha256, incident, ..
        } => {
            let figures = json!({"by": by, "sha256": sha256, "incident": incident});
            plain("begin", format!("begun by {by}"), figures)
        }
        Event::Resumed => plain("resume", format!("{by} goes on"), json!({"by": by})),
        Event::Handed { to } => {
            let figures = json!({"by": by, "to": to});
            plain("hand over", format!("{by} hands over to {to}"), figures)
        }
        Event::Given { name, value } => {
            plain("given", format!("{name} is {value}"), json!({"by": by}))
        }
        Event::Noted { text, .. } => plain("note", format!("{by}: {text}"), json!({"by": by})),
        Event::WentBack { why } => plain("go back", why.clone(), json!({"by": by})),
        Event::Overdue => plain("overdue", "longer than its limit".to_owned(), json!({})),
        Event::Started { .. } | Event::Closed { .. } => return None,
    };
    Some(Entry {
        at: line.at,
        step,
        said: said.chars().take(SAID).collect(),
        took_ms,
        figures,
    })
}

fn done(
    run: &Run,
    number: usize,
    by: &str,
    ended: &Ended,
) -> Option<(String, String, u64, serde_json::Value)> {
    let section = run.book.sections.get(ended.section)?;
    let output = run.folder.output(number).unwrap_or_default();
    let figures = json!({"by": by, "how": ended.how, "exit": ended.exit, "sha256": ended.sha256, "output": told(&output)});
    let said = format!("{} · {}", section.title, ended.words());
    let step = format!("{}.{}", section.label(), ended.item + 1);
    Some((step, said, ended.took_ms, figures))
}

/// The end of an output, without our secrets.
pub(super) fn told(output: &[u8]) -> String {
    let text = scrubbed(&String::from_utf8_lossy(output));
    let skip = text.chars().count().saturating_sub(TOLD);
    text.chars().skip(skip).collect()
}
