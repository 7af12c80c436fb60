//! What an operation has done so far, on disk before the next step is begun: whoever is killed is gone on from here, or
//! taken back.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hub_base::{OperationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Colour, Figures};
use crate::error::{Error, fault};
use crate::operation::{self, Entry};
use crate::release::Release;

const CURRENT: &str = "current.json";
const HISTORY: &str = "history.jsonl";
const LOCK: &str = "lock";

/// The last stage that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Begun,
    Migrated,
    Started,
    Ready,
    Smoked,
    /// That share was watched to its end.
    Shifted(u8),
    Baked,
    Retired,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Begun => f.write_str("before its first step"),
            Self::Migrated => f.write_str("after the migrations"),
            Self::Started => f.write_str("after the start"),
            Self::Ready => f.write_str("after it was ready"),
            Self::Smoked => f.write_str("after the smoke test"),
            Self::Shifted(share) => write!(f, "with a share of {share} %"),
            Self::Baked => f.write_str("before the old release was stopped"),
            Self::Retired => f.write_str("after its last step"),
        }
    }
}

/// A release as a journal names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub dir: PathBuf,
    pub name: String,
}

/// A deploy under way, or one that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    pub id: OperationId,
    pub kind: String,
    pub began: Timestamp,
    pub to: Held,
    /// When the change in `to` was committed, or it was built, if its manifest says so.
    pub built: Option<Timestamp>,
    pub colour: Colour,
    /// What ran before, at the other colour; `None` at the first deploy.
    pub from: Option<Held>,
    pub stage: Stage,
    /// Why it is taken back, once that is decided.
    pub back: Option<String>,
    pub entries: Vec<Entry>,
    /// `deployed` or `rolled_back`, at the end; `failed` if somebody else deployed before it had one.
    pub outcome: Option<String>,
    pub ended: Option<Timestamp>,
}

/// The step that gives a share of the traffic; its figures tell of both releases.
pub(super) const SHARE: &str = "share";

/// What became of a journey that somebody else's overtook.
pub(super) const LEFT: &str = "failed";

/// The kind of a journey to a release that was kept.
pub(super) const ROLLBACK: &str = "rollback";

impl Journey {
    /// Whether it returns to a release that was kept: only `hubctl rollback` goes on with it.
    pub fn is_rollback(&self) -> bool {
        self.kind == ROLLBACK
    }

    /// Whether it brought its release all the traffic, to stay.
    pub fn is_deployed(&self) -> bool {
        self.outcome.as_deref() == Some("deployed")
    }

    /// Whether it was left where it stood, since somebody else had deployed.
    pub fn is_left(&self) -> bool {
        self.outcome.as_deref() == Some(LEFT)
    }

    /// Whether it can be gone on with to that release: it is the same, and it is not on its way back. The name tells it
    /// from another one that was put in the same folder meanwhile.
    pub fn leads_to(&self, release: &Release) -> bool {
        self.back.is_none() && self.to.dir == release.dir && self.to.name == release.name()
    }

    /// What the old release did at the last share at which enough of its requests were timed.
    pub(super) fn old_figures(&self, enough: u64) -> Option<Figures> {
        let shares = self.entries.iter().filter(|entry| entry.step == SHARE);
        shares
            .rev()
            .filter_map(|entry| serde_json::from_value(entry.figures.get("old")?.clone()).ok())
            .find(|old: &Figures| old.timed >= enough)
    }

    /// What keeps anything else from being begun.
    pub fn unfinished(&self) -> Error {
        let what = format!("the {} of {}", self.kind, self.to.name);
        Error::Unfinished(what, self.stage.to_string())
    }
}

/// The journal of one target; holds its lock.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    current: Option<Journey>,
    _lock: File,
}

impl Journal {
    /// # Errors
    /// [`Error::Held`] if another operation has it, [`Error::File`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(fault(dir, "made"))?;
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(fault(&path, "written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Held(path)),
            Err(fs::TryLockError::Error(source)) => return Err(fault(&path, "locked")(source)),
        }
        Ok(Self {
            current: Self::peek(dir)?,
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// What is under way, without holding it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Configuration`] if it cannot be understood.
    pub fn peek(dir: &Path) -> Result<Option<Journey>, Error> {
        let path = dir.join(CURRENT);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(fault(&path, "read")(source)),
        };
        let current: Journey =
            serde_json::from_str(&text).map_err(|error| Error::Configuration {
                what: format!("is no journal of ours: {error}"),
                path,
            })?;
        // Killed when it had ended and was only to be taken away: to go on with it, or to take it back, would be a second time.
        let last = Self::history(dir)?.pop();
        Ok(Some(current).filter(|current| last.is_none_or(|last| last.id != current.id)))
    }

    /// What ended, oldest first. A last line that was cut off is left out.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn history(dir: &Path) -> Result<Vec<Journey>, Error> {
        let text = operation::read(&dir.join(HISTORY))?;
        let lines = text.lines().map(serde_json::from_str);
        Ok(lines.filter_map(Result::ok).collect())
    }

    /// What ended and has not been told to the hub's ledger.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn untold(&self) -> Result<Vec<Journey>, Error> {
        let told = operation::told(&self.dir)?;
        let history = Self::history(&self.dir)?;
        let untold = history
            .into_iter()
            .filter(|one| !told.contains(&one.id.to_string()));
        Ok(untold.collect())
    }

    /// Remembers that it was told.
    ///
    /// # Errors
    /// [`Error::File`]: it is told once more then, and taken once.
    pub fn tell(&self, id: OperationId) -> Result<(), Error> {
        operation::tell(&self.dir, id)
    }

    /// The folder that it is in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub const fn current(&self) -> Option<&Journey> {
        self.current.as_ref()
    }

    /// Keeps the state of what is under way.
    ///
    /// # Errors
    /// [`Error::File`]: then the next step must not be begun.
    pub fn keep(&mut self, journey: &Journey) -> Result<(), Error> {
        let path = self.dir.join(CURRENT);
        let text = serde_json::to_vec_pretty(journey).unwrap_or_default();
        let mut file =
            tempfile::NamedTempFile::new_in(&self.dir).map_err(fault(&path, "written"))?;
        file.write_all(&text)
            .and_then(|()| file.as_file().sync_all())
            .map_err(fault(&path, "written"))?;
        file.persist(&path)
            .map_err(|error| fault(&path, "written")(error.error))?;
        self.current = Some(journey.clone());
        self.synced(&path)
    }

    /// How something that is on disk stands by now, where that cannot be written.
    pub(super) fn knows(&mut self, journey: &Journey) {
        if self.current.is_some() {
            self.current = Some(journey.clone());
        }
    }

    /// Moves what ended into the history.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn finish(&mut self, journey: &Journey) -> Result<(), Error> {
        let path = self.dir.join(HISTORY);
        let known = Self::history(&self.dir)?;
        // It stands there already if it could not be taken away after that.
        if known.last().is_none_or(|last| last.id != journey.id) {
            let mut line = serde_json::to_vec(journey).unwrap_or_default();
            line.push(b'\n');
            operation::append(&path, &line)?;
        }
        self.current = None;
        // It has ended now: what stays of it is told from the history to be no news.
        let current = self.dir.join(CURRENT);
        let _stays = fs::remove_file(&current).and_then(|()| File::open(&self.dir)?.sync_all());
        Ok(())
    }

    fn synced(&self, path: &Path) -> Result<(), Error> {
        File::open(&self.dir)
            .and_then(|folder| folder.sync_all())
            .map_err(fault(path, "written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journey(name: &str) -> Journey {
        serde_json::from_value(serde_json::json!({
            "id": OperationId::new(&hub_base::SystemClock), "kind": "deploy",
            "began": "2026-11-23T12:00:00Z", "to": {"dir": "/releases/next", "name": name},
            "built": null, "colour": "green", "from": null, "stage": "started", "back": null,
            "entries": [], "outcome": null, "ended": null,
        }))
        .unwrap()
    }

    /// Killed after it was written into the history and before it was taken away.
    #[test]
    fn what_has_ended_is_not_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let ended = journey("1.1.0");
        journal.keep(&ended).unwrap();
        assert!(Journal::peek(folder.path()).unwrap().is_some());
        let current = fs::read(folder.path().join(CURRENT)).unwrap();
        journal.finish(&ended).unwrap();
        drop(journal);
        fs::write(folder.path().join(CURRENT), current).unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.current(), None);
        // The next one is.
        let next = journey("1.2.0");
        journal.keep(&next).unwrap();
        assert_eq!(Journal::peek(folder.path()).unwrap(), Some(next.clone()));
        journal.finish(&next).unwrap();
        assert_eq!(Journal::history(folder.path()).unwrap(), [ended, next]);
    }

    #[test]
    fn what_the_old_release_did_is_known_after_a_stop() {
        let share = |timed: u64| {
            serde_json::json!({
                "at": "2026-11-23T12:00:00Z", "step": "share", "said": "", "took_ms": 1,
                "figures": {"old": {"requests": 900, "errors": 1, "timed": timed, "p95": 12}},
            })
        };
        let mut journey = journey("1.1.0");
        assert_eq!(journey.old_figures(50), None);
        journey.entries = [share(900), share(3)]
            .map(|entry| serde_json::from_value(entry).unwrap())
            .to_vec();
        let old = journey.old_figures(50).unwrap();
        assert_eq!((old.timed, old.p95), (900, 12));
    }

    #[test]
    fn another_release_in_the_same_folder_is_not_gone_on_with() {
        let release = |version: &str| Release {
            dir: "/releases/next".into(),
            version: version.to_owned(),
            commit: "c".to_owned(),
            built: "b".to_owned(),
            digest: "0".repeat(64),
            image: None,
            has_server: true,
            has_scan: false,
            has_lint: false,
            signed: false,
            has_sbom: false,
        };
        let begun = release("1.1.0");
        let journey = journey(&begun.name());
        assert!(journey.leads_to(&begun));
        assert!(!journey.leads_to(&release("1.1.1")));
    }
}
