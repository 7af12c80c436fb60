//! What `pgbackrest info --output=json` says (pgBackRest 2.45 and newer).

use hub_base::Timestamp;
use serde::{Deserialize, Serialize};

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
}

#[derive(Deserialize)]
struct Stanza {
    #[serde(default)]
    archive: Vec<Archive>,
    #[serde(default)]
    backup: Vec<Line>,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    message: String,
}

#[derive(Deserialize)]
struct Archive {
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

#[derive(Deserialize)]
struct At {
    #[serde(rename = "repo-key")]
    repository: u8,
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
            info.newest_wal = stanza.archive.into_iter().filter_map(|one| one.max).max();
            info.backups
                .extend(stanza.backup.into_iter().map(|line| Backup {
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
                }));
        }
        info.backups.sort_by_key(|backup| backup.stop);
        Ok(info)
    }

    /// The newest good one of a kind, or of a kind that does as well.
    pub fn newest(&self, kind: Kind) -> Option<&Backup> {
        self.backups
            .iter()
            .rev()
            .find(|backup| backup.kind >= kind && !backup.error)
    }
}
