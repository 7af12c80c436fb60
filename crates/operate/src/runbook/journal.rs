//! A run on disk: a folder with the runbook as it was, a line for each thing that happened, the output of each block.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hub_base::{NoteId, OperationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Runbook;
use super::block::Traces;
use crate::error::{Error, fault};

const LOG: &str = "journal.jsonl";
const BOOK: &str = "runbook.md";
const VARIABLES: &str = "variables.json";
const LOCK: &str = "lock";

/// One thing that happened, and who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub at: Timestamp,
    pub by: String,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    Begun {
        id: OperationId,
        runbook: String,
        /// Of the runbook's file.
        sha256: String,
        /// Where command blocks run.
        folder: PathBuf,
        /// The incident that it is for.
        #[serde(default)]
        incident: Option<String>,
    },
    /// Somebody goes on after the terminal was lost, or after a handover.
    Resumed,
    /// This is what is to be done now. Sections and items count from 0.
    Started {
        section: usize,
        item: usize,
    },
    Ended(Ended),
    /// To whom.
    Handed {
        to: String,
    },
    /// Somebody said what a variable is that the runbook asks for.
    Given {
        name: String,
        value: String,
    },
    /// Somebody has something to say.
    Noted {
        text: String,
        /// Which note it is, if it was written in the console.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        console: Option<NoteId>,
    },
    /// It took longer than its limit.
    Overdue,
    /// Somebody decided to go back; why.
    WentBack {
        why: String,
    },
    /// It is over: `done`, `rolled_back`, `failed`.
    Closed {
        outcome: String,
        why: Option<String>,
    },
}

/// How one item ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub section: usize,
    pub item: usize,
    pub how: How,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Of the output, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What was not as expected, what was decided, why it was left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    pub took_ms: u64,
}

impl Ended {
    /// How, and what there is to say.
    pub fn words(&self) -> String {
        match self.said.as_str() {
            "" => self.how.to_string(),
            said => format!("{}: {said}", self.how),
        }
    }
}

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The block came to what it must.
    Passed,
    Failed,
    /// Its command ran and nobody saw it end.
    CutOff,
    /// A person did what the block does, in another way.
    ByHand,
    Skipped,
    Confirmed,
    Decided,
}

impl How {
    /// Whether the next item's turn has come.
    pub const fn goes_on(self) -> bool {
        !matches!(self, Self::Failed | Self::CutOff)
    }
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::CutOff => "cut off",
            Self::ByHand => "done by hand",
            Self::Skipped => "skipped",
            Self::Confirmed => "confirmed",
            Self::Decided => "decided",
        })
    }
}

/// The folder of one run, held by whoever works in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    /// Makes it, with the runbook as it is now.
    pub(super) fn make(state: &Path, id: OperationId, book: &Runbook) -> Result<Self, Error> {
        let path = state.join(id.to_string());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(fault(&path, "made"))?;
        let folder = Self::hold(path)?;
        folder.put(&format!("{}.{BOOK}", book.name), book.text.as_bytes())?;
        Ok(folder)
    }

    /// Takes it over.
    pub(super) fn open(state: &Path, id: OperationId) -> Result<Self, Error> {
        let path = state.join(id.to_string());
        if !path.is_dir() {
            return Err(Error::Lost(format!("run {id} (in {})", state.display())));
        }
        let folder = Self::hold(path)?;
        folder.mend()?;
        Ok(folder)
    }

    /// Takes away a last line that was cut off: what is written next would stand on it.
    fn mend(&self) -> Result<(), Error> {
        let path = self.path.join(LOG);
        if !path.exists() {
            return Ok(());
        }
        let mend = || {
            let bytes = fs::read(&path)?;
            let whole = bytes
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            if whole == bytes.len() {
                return Ok(());
            }
            let file = File::options().write(true).open(&path)?;
            file.set_len(whole as u64)?;
            file.sync_all()
        };
        mend().map_err(fault(&path, "mended"))
    }

    /// Looks into it.
    pub(super) fn look(path: PathBuf) -> Self {
        Self { path, _lock: None }
    }

    fn hold(path: PathBuf) -> Result<Self, Error> {
        let file = path.join(LOCK);
        let lock = File::create(&file).map_err(fault(&file, "written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Held(path)),
            Err(fs::TryLockError::Error(source)) => return Err(fault(&file, "locked")(source)),
        }
        Ok(Self {
            path,
            _lock: Some(lock),
        })
    }

    /// The runbook as it was when the run began.
    pub(super) fn book(&self) -> Result<Runbook, Error> {
        let files = fs::read_dir(&self.path).map_err(fault(&self.path, "read"))?;
        let names = files.flatten().map(|file| file.file_name());
        let mut names = names.filter_map(|name| name.into_string().ok());
        let ending = format!(".{BOOK}");
        let lost = || Error::Lost(format!("the runbook in {}", self.path.display()));
        let file = names
            .find(|name| name.ends_with(&ending))
            .ok_or_else(lost)?;
        let path = self.path.join(&file);
        let text = fs::read_to_string(&path).map_err(fault(&path, "read"))?;
        let name = file.trim_end_matches(&ending);
        Runbook::parse(name, &text).map_err(|faults| {
            let first = faults.first().map(|fault| fault.what.clone());
            let what = first.unwrap_or_default();
            Error::Configuration { path, what }
        })
    }

    /// Durably, before what it speaks of is done.
    pub(super) fn write(&self, line: &Line) -> Result<(), Error> {
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        crate::operation::append(&self.path.join(LOG), &text)
    }

    /// Everything that happened. A last line that was cut off did not.
    pub(super) fn lines(&self) -> Result<Vec<Line>, Error> {
        let path = self.path.join(LOG);
        let bytes = match fs::read(&path) {
            // Killed before the first line.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(fault(&path, "read"))?,
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        Ok(lines
            .map_while(|line| serde_json::from_slice(line).ok())
            .collect())
    }

    pub(super) fn variables(&self) -> Result<BTreeMap<String, String>, Error> {
        let text = crate::operation::read(&self.path.join(VARIABLES))?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    pub(super) fn keep_variables(&self, all: &BTreeMap<String, String>) -> Result<(), Error> {
        self.put(
            VARIABLES,
            &serde_json::to_vec_pretty(all).unwrap_or_default(),
        )
    }

    /// The files of the block that the journal's line `number` begins.
    pub(super) fn traces(&self, number: usize) -> Result<Traces, Error> {
        let folder = fs::canonicalize(&self.path).map_err(fault(&self.path, "read"))?;
        Ok(Traces::at(folder.join(format!("block-{number:04}"))))
    }

    /// Keeps the first `length` bytes of what a block said, whose end is the journal's line `number`: what it left in the
    /// background may say more.
    pub(super) fn keep_output(
        &self,
        number: usize,
        traces: &Traces,
        length: u64,
    ) -> Result<(), Error> {
        let said = traces.output();
        let from = File::open(&said).map_err(fault(&said, "read"))?;
        let path = self.path.join(output_name(number));
        let mut to = open(&path)?;
        std::io::copy(&mut from.take(length), &mut to)
            .and_then(|_| to.sync_all())
            .map_err(fault(&path, "written"))
    }

    pub(super) fn output(&self, number: usize) -> Result<Vec<u8>, Error> {
        let path = self.path.join(output_name(number));
        fs::read(&path).map_err(fault(&path, "read"))
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        // Whole or not at all: whoever writes it may be killed.
        let fresh = self.path.join(format!("{name}.new"));
        let mut file = open(&fresh)?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(fault(&path, "written"))
    }
}

/// For its owner alone.
fn open(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(fault(path, "written"))
}

fn output_name(number: usize) -> String {
    format!("output-{number:04}.txt")
}
