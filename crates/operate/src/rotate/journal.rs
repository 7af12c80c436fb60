//! How far each exchange is, on disk before its next step: whoever is killed goes on from here, or back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hub_base::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Thing, files};
use crate::error::{Error, fault};

const LOCK: &str = "lock";

/// The last stage that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Begun,
    /// The new one is made.
    Staged,
    /// Everybody would accept it.
    Known,
    /// It is the one to be used.
    Switched,
    /// Everybody uses it. The former one is accepted still.
    Settled,
    /// It was decided to go back to the former one.
    Returning,
    /// Everybody uses the former one again. The new one is accepted still.
    Returned,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Begun => "before its first step",
            Self::Staged => "after the new one was made",
            Self::Known => "when everybody would accept the new one",
            Self::Switched => "after the new one was put into use",
            Self::Settled => "when everybody uses the new one",
            Self::Returning => "on its way back",
            Self::Returned => "when everybody uses the former one again",
        })
    }
}

/// One exchange that is under way. There is none when only one key, password or certificate is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    pub thing: Thing,
    pub began: Timestamp,
    pub stage: Stage,
    /// What was in use before.
    pub former: String,
    /// What takes its place, once it is made.
    pub fresh: Option<String>,
    /// From when on what the one that is no longer used made is no longer good.
    pub until: Option<Timestamp>,
}

/// The journeys of one installation; holds their lock.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    _lock: File,
}

impl Journal {
    /// # Errors
    /// [`Error::Held`] if another operation has it, [`Error::File`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        files::private_folder(dir)?;
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(fault(&path, "written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Held(path)),
            Err(fs::TryLockError::Error(source)) => return Err(fault(&path, "locked")(source)),
        }
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    fn path(dir: &Path, thing: Thing) -> PathBuf {
        dir.join(format!("{thing}.json"))
    }

    /// The journey of a thing, without holding the journal.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Configuration`] if it cannot be understood.
    pub fn peek(dir: &Path, thing: Thing) -> Result<Option<Journey>, Error> {
        let path = Self::path(dir, thing);
        match fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str(&text)
                    .map(Some)
                    .map_err(|error| Error::Configuration {
                        what: format!("is no journal of ours: {error}"),
                        path,
                    })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(fault(&path, "read")(source)),
        }
    }

    pub(super) fn current(&self, thing: Thing) -> Result<Option<Journey>, Error> {
        Self::peek(&self.dir, thing)
    }

    /// Keeps how far it is; if that cannot be done, the next step must not be begun.
    pub(super) fn keep(&self, journey: &Journey) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(journey).unwrap_or_default();
        files::replace(&Self::path(&self.dir, journey.thing), &text)
    }

    /// It ended.
    pub(super) fn end(&self, thing: Thing) -> Result<(), Error> {
        files::remove(&Self::path(&self.dir, thing))
    }
}
