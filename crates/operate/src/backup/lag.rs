//! How far each repository lies behind the database: the WAL that is written and not in it.

use std::collections::HashSet;
use std::time::Duration;

use hub_base::HumanDuration;
use hub_store::survey::Wal;
use serde::Serialize;

use super::info::{Info, Stand};
use super::pgbackrest::{PgBackRest, STANZA};
use super::site::Site;
use crate::error::Error;

/// One repository's distance from the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lag {
    pub repository: u8,
    /// A folder, or bucket and endpoint.
    pub place: String,
    /// Why it cannot be asked. Then what the server waits to archive counts.
    pub away: Option<String>,
    /// The newest segment that it has.
    pub newest_wal: Option<String>,
    /// How long the oldest segment that it lacks has been whole, by the database's own clock. A segment becomes whole after
    /// `archive_timeout` at the latest, so this and that is the time that a disaster would cost. Nothing if the database is
    /// not there to be asked.
    pub behind: Option<HumanDuration>,
    /// Whole segments that it lacks.
    pub segments: Option<u64>,
    /// Bytes of WAL that it lacks, with those of the segment that is being written.
    pub bytes: Option<u64>,
    /// What it may lie behind.
    pub limit: HumanDuration,
    pub is_late: bool,
}

impl Lag {
    fn of(
        stand: &Stand,
        site: &Site,
        wal: Option<&Wal>,
        lacks: &[&(String, Duration, bool)],
    ) -> Self {
        let number = usize::from(stand.repository).saturating_sub(1);
        let repository = site.repositories().into_iter().nth(number);
        let limit = repository
            .as_ref()
            .map_or(HumanDuration(Duration::ZERO), |one| one.lag);
        let oldest = lacks.first().map_or(Duration::ZERO, |(_, age, _)| *age);
        let segments = lacks.len() as u64;
        Self {
            repository: stand.repository,
            place: repository.map_or_else(String::new, |repository| repository.place()),
            away: stand.away.clone(),
            newest_wal: stand.newest_wal.clone(),
            behind: wal.map(|_| HumanDuration(Duration::from_secs(oldest.as_secs()))),
            segments: wal.map(|_| segments),
            bytes: wal.map(|wal| segments * wal.segment + wal.offset),
            limit,
            is_late: stand.away.is_some() || (wal.is_some() && oldest > limit.0),
        }
    }

    /// In words, for whoever is alarmed.
    pub fn words(&self) -> String {
        let behind = match (&self.behind, self.segments, self.bytes) {
            (Some(behind), Some(segments), Some(bytes)) => format!(
                "{behind} behind ({segments} segments, {} KiB; {} are allowed)",
                bytes >> 10,
                self.limit
            ),
            _ => "how far behind is not known".to_owned(),
        };
        match &self.away {
            Some(why) => format!("repository {} is away, {behind}: {why}", self.repository),
            None => format!("repository {} lags: {behind}", self.repository),
        }
    }
}

/// Measures each repository of `info`.
///
/// # Errors
/// If a repository that answers cannot be listed.
pub async fn measure(site: &Site, info: &Info) -> Result<Vec<Lag>, Error> {
    // A private database that is stopped writes nothing that could be behind; one that is lost is another alarm's.
    let wal = match site.cluster.overseer() {
        Ok(overseer) => overseer.wal().await.ok(),
        Err(_) => None,
    };
    let mut lags = Vec::new();
    for stand in &info.repositories {
        let lacks = match (&wal, &stand.archive) {
            (None, _) => Vec::new(),
            (Some(wal), Some(archive)) if stand.away.is_none() => {
                let since = stand.oldest_wal.as_deref().unwrap_or_default();
                let tool = site.alone(stand.repository)?;
                let has = listed(&tool, stand.repository, archive, wal).await?;
                let whole = wal.whole.iter();
                let lacks = whole.filter(|(name, ..)| &**name >= since && !has.contains(&**name));
                lacks.collect()
            }
            (Some(wal), _) => wal.whole.iter().filter(|(.., waits)| *waits).collect(),
        };
        lags.push(Lag::of(stand, site, wal.as_ref(), &lacks));
    }
    Ok(lags)
}

/// The segments in a repository, of those folders of it that could have what the server has.
async fn listed(
    tool: &PgBackRest,
    number: u8,
    archive: &str,
    wal: &Wal,
) -> Result<HashSet<String>, Error> {
    let mut folders: Vec<&str> = wal
        .whole
        .iter()
        .filter_map(|(name, ..)| name.get(..16))
        .collect();
    folders.dedup();
    let mut names = HashSet::new();
    for folder in folders {
        let path = format!("archive/{STANZA}/{archive}/{folder}");
        let text = tool
            .ask("repo-ls", &[&format!("--repo={number}"), &path])
            .await?;
        // `….00000028.backup` is no segment.
        let segments = text.lines().filter(|line| line.get(24..25) == Some("-"));
        names.extend(
            segments
                .filter_map(|line| line.get(..24))
                .map(str::to_owned),
        );
    }
    Ok(names)
}
