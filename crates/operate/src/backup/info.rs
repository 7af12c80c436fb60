//! What `pgbackrest info --output=json` says (pgBackRest 2.45 and newer).

use std::time::Duration;

use hub_base::Timestamp;
use serde::{Deserialize, Serialize};

use super::said;

/// A backup's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    #[serde(rename = "incr")]
    Incremental,
    #[serde(rename = "diff")]
    Differential,
    #[serde(rename = "full")]
    Full,
}

impl Kind {
    /// As pgBackRest calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Differential => "diff",
            Self::Incremental => "incr",
        }
    }
}

/// One backup in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// `20261124-023000F`, with `_20261124-033000I` behind it if it stands on another.
    pub label: String,
    pub kind: Kind,
    pub start: Timestamp,
    pub stop: Timestamp,
    /// Bytes of the database.
    pub size: u64,
    /// Bytes in the repository.
    pub stored: u64,
    /// Whether a page's checksum was wrong.
    pub error: bool,
    /// The repository's number.
    pub repository: u8,
    pub wal_start: String,
    pub wal_stop: String,
    /// The major version of the server that it is of.
    pub postgres: String,
}

/// What is in the repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Oldest first.
    pub backups: Vec<Backup>,
    /// What pgBackRest says of the whole, such as `ok`.
    pub status: String,
    /// The newest WAL segment that is archived.
    pub newest_wal: Option<String>,
    /// How each repository stands.
    pub repositories: Vec<Stand>,
}

/// One repository, as far as pgBackRest tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stand {
    pub repository: u8,
    /// Why it cannot be asked.
    pub away: Option<String>,
    /// The folder of the WAL of the present server in it.
    #[serde(skip)]
    pub(super) archive: Option<String>,
    pub(super) oldest_wal: Option<String>,
    pub newest_wal: Option<String>,
}

#[derive(Deserialize)]
struct Stanza {
    #[serde(default)]
    archive: Vec<Archive>,
    #[serde(default)]
    backup: Vec<Line>,
    #[serde(default)]
    repo: Vec<Repo>,
    #[serde(default)]
    db: Vec<Server>,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: i64,
    message: String,
}

/// pgBackRest's code for what it could not find out.
const UNKNOWN: i64 = 99;

#[derive(Deserialize)]
struct Repo {
    key: u8,
    status: Status,
}

#[derive(Deserialize)]
struct Archive {
    database: At,
    id: String,
    min: Option<String>,
    max: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    archive: Span<Option<String>>,
    database: At,
    #[serde(default)]
    error: Option<bool>,
    info: Sizes,
    label: String,
    timestamp: Span<i64>,
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Deserialize)]
struct Span<T> {
    start: T,
    stop: T,
}

#[derive(PartialEq, Eq, Deserialize)]
struct At {
    id: u32,
    #[serde(rename = "repo-key")]
    repository: u8,
}

#[derive(Deserialize)]
struct Server {
    #[serde(flatten)]
    at: At,
    version: String,
}

#[derive(Deserialize)]
struct Sizes {
    size: u64,
    repository: Stored,
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    delta: u64,
}

impl Info {
    /// # Errors
    /// What does not parse.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let stanzas: Vec<Stanza> = serde_json::from_str(text)?;
        let mut info = Self::default();
        for stanza in stanzas {
            info.status = stanza.status.message;
            info.repositories = stanza.repo.into_iter().map(Stand::from).collect();
            // The last one of a repository is of the present server; those before it, of older ones.
            for archive in stanza.archive {
                let number = archive.database.repository;
                let mut stands = info.repositories.iter_mut();
                if let Some(stand) = stands.find(|stand| stand.repository == number) {
                    stand.archive = Some(archive.id);
                    stand.oldest_wal = archive.min;
                    stand.newest_wal.clone_from(&archive.max);
                }
                info.newest_wal = info.newest_wal.max(archive.max);
            }
            let servers = stanza.db;
            info.backups.extend(stanza.backup.into_iter().map(|line| {
                Backup {
                    label: line.label,
                    kind: line.kind,
                    start: Timestamp::from_unix_seconds(line.timestamp.start),
                    stop: Timestamp::from_unix_seconds(line.timestamp.stop),
                    size: line.info.size,
                    stored: line.info.repository.delta,
                    error: line.error == Some(true),
                    repository: line.database.repository,
                    wal_start: line.archive.start.unwrap_or_default(),
                    wal_stop: line.archive.stop.unwrap_or_default(),
                    postgres: servers
                        .iter()
                        .find(|server| server.at == line.database)
                        .map_or_else(String::new, |server| server.version.clone()),
                }
            }));
        }
        info.backups.sort_by_key(|backup| backup.stop);
        Ok(info)
    }

    /// The newest good one of a kind, or of a kind that does as well, of every repository that answers: what the repository
    /// that has the oldest one has. What was made in the future was made by a clock that is wrong, and counts for nothing.
    pub fn newest(&self, kind: Kind, now: Timestamp) -> Option<&Backup> {
        let newest = |number: u8| {
            self.backups.iter().rev().find(|backup| {
                backup.repository == number
                    && backup.kind >= kind
                    && !backup.error
                    && !backup.is_ahead(now)
            })
        };
        let answering = self.repositories.iter().filter(|one| one.away.is_none());
        let mut all: Vec<Option<&Backup>> = answering.map(|one| newest(one.repository)).collect();
        all.sort_by_key(|backup| backup.map(|backup| backup.stop));
        all.into_iter().next().flatten()
    }

    /// What was made by a clock that is ahead of this one.
    pub fn ahead(&self, now: Timestamp) -> Vec<&Backup> {
        let backups = self.backups.iter();
        backups.filter(|backup| backup.is_ahead(now)).collect()
    }

    /// Why a repository cannot be asked, if it is so.
    pub(crate) fn away(&self) -> Option<String> {
        self.repositories.iter().find_map(|one| one.away.clone())
    }

    /// With what another repository has.
    #[must_use]
    pub(super) fn and(mut self, other: Self) -> Self {
        self.backups.extend(other.backups);
        self.backups.sort_by_key(|backup| backup.stop);
        self.repositories.extend(other.repositories);
        self.newest_wal = self.newest_wal.max(other.newest_wal);
        if self.status.is_empty() {
            self.status = other.status;
        } else if self.status != other.status && !other.status.is_empty() {
            "different across repositories".clone_into(&mut self.status);
        }
        self
    }

    /// A repository that cannot be asked.
    pub(super) fn without(repository: u8, away: String) -> Self {
        Self {
            status: "away".to_owned(),
            repositories: vec![Stand {
                repository,
                away: Some(away),
                ..Stand::default()
            }],
            ..Self::default()
        }
    }
}

impl Backup {
    /// Whether it says that it was made after now, by more than clocks differ that are in order.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        const DIFFER: Duration = Duration::from_mins(2);
        self.stop > now.plus(DIFFER)
    }
}

impl From<Repo> for Stand {
    fn from(repo: Repo) -> Self {
        let is_away = repo.status.code == UNKNOWN;
        Self {
            repository: repo.key,
            away: is_away.then(|| said::told(&repo.status.message)),
            ..Self::default()
        }
    }
}
