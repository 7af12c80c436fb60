//! The one place that prints: tables and words for people, one JSON document for machines, notes on standard error.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Failure;

/// Where a command's results go.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    colour: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colour =
            !json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour }
    }

    /// Whether standard error is a terminal, where progress may be drawn.
    pub(crate) fn is_live() -> bool {
        std::io::stderr().is_terminal()
    }

    /// The one document of `--json`.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Failure::new(crate::exit::Exit::Bug, e))?;
        self.line(&text)
    }

    /// A line for people (or a document's text).
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the one who may print"
    )]
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
        Ok(())
    }

    /// A note for people, on standard error.
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the one who may print"
    )]
    pub(crate) fn note(&self, text: &str) {
        // Nobody reads standard error: then there is nobody to tell.
        let _unread = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A question, whose answer follows on the same line, on standard error.
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the one who may print"
    )]
    pub(crate) fn prompt(&self, text: &str) {
        Self::heard(text.as_bytes());
    }

    /// What another program says, as it says it.
    pub(crate) fn heard(bytes: &[u8]) {
        let mut to = std::io::stderr().lock();
        // The terminal may be lost; what it would have shown is written down.
        let _unread = to.write_all(bytes).and_then(|()| to.flush());
    }

    pub(crate) fn table(&self, head: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        if rows.is_empty() {
            return self.line("Nothing to show.");
        }
        let mut table = Table::new();
        table
            .load_preset(if self.colour {
                presets::UTF8_FULL_CONDENSED
            } else {
                presets::ASCII_MARKDOWN
            })
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(head.to_vec())
            .add_rows(rows);
        if !self.colour && !std::io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        self.line(&table.to_string())
    }

    /// A word in green or red on a terminal, plain elsewhere.
    pub(crate) fn verdict(&self, good: bool, text: &str) -> String {
        match (self.colour, good) {
            (true, true) => format!("\u{1b}[32m{text}\u{1b}[0m"),
            (true, false) => format!("\u{1b}[31m{text}\u{1b}[0m"),
            (false, _) => text.to_owned(),
        }
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        let mut text = format!("error: {}", failure.error);
        for cause in failure.error.chain().skip(1) {
            text = format!("{text}\n  because: {cause}");
        }
        if let Some(help) = &failure.help {
            text = format!("{text}\n  help: {help}");
        }
        self.note(&text);
    }
}
