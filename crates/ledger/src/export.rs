//! An exported ledger: newline-delimited JSON that is checked without the server that wrote it.
//!
//! Line 1 is the [`Header`] (log, size, verifier key, signed checkpoint); each further line is a [`Line`]: index, id,
//! leaf hash and the entry's exact text. Every leaf is hashed again from the text, and the root from the leaves.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::note::VerifierKey;
use crate::succession;

/// The format's name and version.
pub const FORMAT: &str = "security-hub-ledger/1";

/// The first line of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    pub format: String,
    pub tenant: String,
    pub origin: String,
    pub size: u64,
    /// The verifier key of the checkpoint's signature.
    pub key: String,
    pub checkpoint: String,
    /// How earlier keys lead to this one: see [`crate::succession`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub successions: Vec<String>,
}

/// One entry of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line<'a> {
    pub index: u64,
    pub id: std::borrow::Cow<'a, str>,
    /// The leaf hash in hex.
    pub leaf: std::borrow::Cow<'a, str>,
    /// The entry's exact text.
    pub body: std::borrow::Cow<'a, str>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The entry at fault; `None` if it is the file or the checkpoint.
    pub index: Option<u64>,
    /// The line of the file, from 1.
    pub line: u64,
    pub what: String,
}

/// What a check found. `faults` is empty if and only if the export is whole and signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub origin: String,
    /// Entries read.
    pub entries: u64,
    /// The root computed from the entries' text, in hex.
    pub root: String,
    /// The size that the signed checkpoint states.
    pub signed_size: u64,
    /// At most [`Report::MAX_FAULTS`]; `more_faults` counts the rest.
    pub faults: Vec<Fault>,
    pub more_faults: u64,
}

impl Report {
    pub const MAX_FAULTS: usize = 100;

    pub const fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, index: Option<u64>, line: u64, what: impl Into<String>) {
        if self.faults.len() < Self::MAX_FAULTS {
            self.faults.push(Fault {
                index,
                line,
                what: what.into(),
            });
        } else {
            self.more_faults += 1;
        }
    }
}

/// What the check is held against besides the export's own checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// The key that must have signed, as published, or one that leads to it; without it the export's own key is believed.
    pub key: Option<VerifierKey>,
    /// A checkpoint kept from earlier: its tree must be the beginning of this one.
    pub earlier: Option<Checkpoint>,
}

/// Checks an export line by line, in constant memory. Never fails on content: everything wrong is in the report.
pub fn verify(mut reader: impl BufRead, expect: &Expect) -> Report {
    let mut report = Report {
        origin: String::new(),
        entries: 0,
        root: String::new(),
        signed_size: 0,
        faults: Vec::new(),
        more_faults: 0,
    };
    let mut buffer = Vec::new();
    let signed = if read_line(&mut reader, &mut buffer, 1, &mut report).is_some() {
        header(&buffer, expect, &mut report)
    } else {
        report.fault(None, 1, "the file is empty");
        None
    };
    let mut tree = Frontier::default();
    let mut line = 1;
    let mut expected = 0;
    let mut earlier_root = None;
    loop {
        line += 1;
        if read_line(&mut reader, &mut buffer, line, &mut report).is_none() {
            break;
        }
        tree.push(entry(&buffer, line, &mut expected, &mut report));
        if expect
            .earlier
            .as_ref()
            .is_some_and(|earlier| earlier.size == tree.size())
        {
            earlier_root = Some(tree.root());
        }
    }
    report.entries = tree.size();
    report.root = tree.root().to_string();
    conclude(
        signed.as_ref(),
        &tree,
        expect,
        earlier_root,
        line,
        &mut report,
    );
    report
}

/// The next line without its newline; `None` at the end.
fn read_line(
    reader: &mut impl BufRead,
    buffer: &mut Vec<u8>,
    line: u64,
    report: &mut Report,
) -> Option<()> {
    buffer.clear();
    match reader.read_until(b'\n', buffer) {
        Ok(0) => None,
        Ok(_) => {
            if buffer.last() == Some(&b'\n') {
                buffer.pop();
            } else {
                report.fault(
                    None,
                    line,
                    "the last line is cut off (no newline at its end)",
                );
            }
            Some(())
        }
        Err(error) => {
            report.fault(None, line, format!("the file cannot be read: {error}"));
            None
        }
    }
}

fn header(text: &[u8], expect: &Expect, report: &mut Report) -> Option<Checkpoint> {
    let header: Header = match serde_json::from_slice(text) {
        Ok(header) => header,
        Err(error) => {
            report.fault(
                None,
                1,
                format!("the first line is not the header of an export: {error}"),
            );
            return None;
        }
    };
    report.origin.clone_from(&header.origin);
    if header.format != FORMAT {
        report.fault(
            None,
            1,
            format!("the format is `{}`, expected `{FORMAT}`", header.format),
        );
    }
    let key = match VerifierKey::parse(&header.key) {
        Ok(key) => key,
        Err(error) => {
            report.fault(None, 1, error.to_string());
            return None;
        }
    };
    if let Some(pinned) = &expect.key
        && !succession::leads(pinned, &key, &header.successions)
    {
        report.fault(
            None,
            1,
            format!("it is signed by `{key}`, expected `{pinned}`"),
        );
    }
    match Checkpoint::open(&header.checkpoint, &key) {
        Ok(checkpoint) => {
            if checkpoint.origin != header.origin || checkpoint.size != header.size {
                report.fault(
                    None,
                    1,
                    "the header and its signed checkpoint name different logs or sizes",
                );
            }
            report.signed_size = checkpoint.size;
            Some(checkpoint)
        }
        Err(error) => {
            report.fault(None, 1, format!("the checkpoint does not verify: {error}"));
            None
        }
    }
}

/// The leaf of an entry's line, by its text; faults are noted on the way.
fn entry(text: &[u8], line: u64, expected: &mut u64, report: &mut Report) -> Hash {
    let entry: Line<'_> = match serde_json::from_slice(text) {
        Ok(entry) => entry,
        Err(error) => {
            report.fault(
                Some(*expected),
                line,
                format!("it is not readable: {error}"),
            );
            *expected += 1;
            // The stated leaf is lost with the line; a zero leaf keeps the later indices in place.
            return Hash([0; 32]);
        }
    };
    if entry.index != *expected {
        let what = format!("entry {} stands in its place", entry.index);
        report.fault(Some(*expected), line, what);
    }
    *expected = entry.index.saturating_add(1);
    let leaf = leaf_hash(entry.body.as_bytes());
    if entry.leaf != leaf.to_string() {
        report.fault(
            Some(entry.index),
            line,
            format!(
                "it was changed: its text hashes to {leaf}, its leaf is {}",
                entry.leaf
            ),
        );
    } else if !body_names(&entry) {
        report.fault(
            Some(entry.index),
            line,
            "it was changed: its id is not the one in its text".to_owned(),
        );
    }
    leaf
}

/// Whether the line's id stands in its text: ids outside the text are not covered by the leaf hash.
fn body_names(entry: &Line<'_>) -> bool {
    !entry.id.is_empty() && entry.body.contains(entry.id.as_ref())
}

fn conclude(
    signed: Option<&Checkpoint>,
    tree: &Frontier,
    expect: &Expect,
    earlier_root: Option<Hash>,
    line: u64,
    report: &mut Report,
) {
    if let Some(signed) = signed {
        if signed.size != tree.size() {
            let what = format!(
                "the checkpoint signs {} entries, {} are here",
                signed.size,
                tree.size()
            );
            report.fault(None, line, what);
        } else if signed.root != tree.root() {
            report.fault(None, 1, "the entries' root is not the root that was signed");
        }
    }
    if let Some(earlier) = &expect.earlier {
        let matches = if earlier.size == 0 {
            true
        } else {
            earlier_root == Some(earlier.root)
        };
        if !matches {
            let what = format!(
                "history was rewritten: its first {} entries had another root",
                earlier.size
            );
            report.fault(None, line, what);
        }
    }
}

#[cfg(test)]
mod tests;
