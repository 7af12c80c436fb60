//! An operation of any kind: its steps as they are done, and the log of those that ended and wait to be told to the
//! hub's ledger.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hub_base::{Clock, OperationId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::{Error, fault};

const LOG: &str = "operations.jsonl";
const TOLD: &str = "told";

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    /// `start`, `share`, `roll_back` and so on.
    pub step: String,
    /// In words.
    pub said: String,
    pub took_ms: u64,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub figures: Value,
}

/// An operation that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: OperationId,
    /// One of [`crate::records::KINDS`].
    pub kind: String,
    /// What it was done to: a release's name, a backup's label.
    pub subject: String,
    /// One of [`crate::records::OUTCOMES`].
    pub outcome: String,
    /// Why it failed or was taken back.
    #[serde(default)]
    pub why: Option<String>,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub steps: Vec<Entry>,
}

/// Who looks on.
pub trait Witness: Send + Sync {
    /// A step begins; it may take long.
    fn begins(&self, step: &str, words: &str);
    /// How far the step is, in per cent.
    fn progress(&self, _percent: f32) {}
    /// A step ended.
    fn did(&self, entry: &Entry);
}

/// An operation under way.
pub struct Operation<'a> {
    kind: &'static str,
    id: OperationId,
    began: Timestamp,
    steps: Vec<Entry>,
    clock: Arc<dyn Clock>,
    witness: &'a dyn Witness,
    step: Instant,
    under_way: String,
}

impl<'a> Operation<'a> {
    pub fn begin(kind: &'static str, clock: Arc<dyn Clock>, witness: &'a dyn Witness) -> Self {
        Self {
            kind,
            id: OperationId::new(&*clock),
            began: clock.now(),
            steps: Vec::new(),
            clock,
            witness,
            step: Instant::now(),
            under_way: String::new(),
        }
    }

    pub const fn id(&self) -> OperationId {
        self.id
    }

    pub(crate) const fn witness(&self) -> &'a dyn Witness {
        self.witness
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A step begins, with a word for whoever waits.
    pub fn at(&mut self, step: &str, words: &str) {
        self.step = Instant::now();
        step.clone_into(&mut self.under_way);
        self.witness.begins(step, words);
    }

    /// A word on the step that is under way.
    pub fn note(&self, words: &str) {
        self.witness.begins(&self.under_way, words);
    }

    /// The step that began last is done. Its milliseconds.
    pub fn did(&mut self, step: &str, said: impl Into<String>, figures: Value) -> u64 {
        let took_ms = u64::try_from(self.step.elapsed().as_millis()).unwrap_or(u64::MAX);
        let entry = Entry {
            at: self.clock.now(),
            step: step.to_owned(),
            said: said.into(),
            took_ms,
            figures,
        };
        self.witness.did(&entry);
        self.steps.push(entry);
        self.step = Instant::now();
        took_ms
    }

    /// What is written down of it. With a `why` it failed.
    pub fn end(self, subject: impl Into<String>, why: Option<String>) -> Record {
        Record {
            id: self.id,
            kind: self.kind.to_owned(),
            subject: subject.into(),
            outcome: if why.is_some() { "failed" } else { "done" }.to_owned(),
            why,
            began: self.began,
            ended: self.clock.now(),
            steps: self.steps,
        }
    }
}

/// What ended, in a folder: whoever could not be told of it is told later.
#[derive(Debug)]
pub struct OperationLog {
    dir: PathBuf,
}

impl OperationLog {
    /// # Errors
    /// [`Error::File`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(fault(dir, "made"))?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Keeps what ended.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep(&self, record: &Record) -> Result<(), Error> {
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        append(&self.dir.join(LOG), &line)
    }

    /// Everything, oldest first. A line that was cut off is left out.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn all(&self) -> Result<Vec<Record>, Error> {
        Self::look(&self.dir)
    }

    /// The same of a folder that somebody else writes; nothing if there is none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn look(dir: &Path) -> Result<Vec<Record>, Error> {
        let text = read(&dir.join(LOG))?;
        let lines = text.lines().map(serde_json::from_str);
        Ok(lines.filter_map(Result::ok).collect())
    }

    /// What has not been told to the hub's ledger.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn untold(&self) -> Result<Vec<Record>, Error> {
        let told = told(&self.dir)?;
        let mut all = self.all()?;
        all.retain(|record| !told.contains(&record.id.to_string()));
        Ok(all)
    }

    /// Remembers that it was told.
    ///
    /// # Errors
    /// [`Error::File`]: it is told once more then, and taken once.
    pub fn tell(&self, id: OperationId) -> Result<(), Error> {
        tell(&self.dir, id)
    }
}

/// The operations of a folder that were told.
pub(crate) fn told(dir: &Path) -> Result<HashSet<String>, Error> {
    let text = read(&dir.join(TOLD))?;
    Ok(text.lines().map(str::to_owned).collect())
}

pub(crate) fn tell(dir: &Path, id: OperationId) -> Result<(), Error> {
    append(&dir.join(TOLD), format!("{id}\n").as_bytes())
}

/// Nothing if there is no such file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(fault(path, "read")(source)),
    }
}

/// Durably. A line that was cut off before (a full disk) is ended first, so that it spoils no other.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = File::options();
    let mut file = options
        .append(true)
        .read(true)
        .create(true)
        .open(path)
        .map_err(fault(path, "written"))?;
    let torn = is_torn(&mut file).map_err(fault(path, "read"))?;
    let bytes = if torn {
        [b"\n", bytes].concat()
    } else {
        bytes.to_vec()
    };
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .map_err(fault(path, "written"))
}

/// Whether its last line has no end.
fn is_torn(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        append(&path, b"one\n").unwrap();
        append(&path, b"tw").unwrap();
        append(&path, b"three\n").unwrap();
        assert_eq!(read(&path).unwrap(), "one\ntw\nthree\n");
    }
}
