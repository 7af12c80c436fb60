//! The worker: reads a tenant's ledger, and the batches it names, in order, and commits findings together with the
//! position, so that after a crash nothing is lost and nothing is found twice.
//!
//! What is in memory only (windows, streams) is rebuilt from the ledger: whenever the detector does not stand where
//! the database says (first start, another worker's turn, a commit that failed), the longest window before that
//! position is read again with its findings unsaid.

mod repo;

use hub_base::{BatchId, Timestamp};
use hub_events::Event;
use hub_store::sequence::{self, LedgerEntry};
use hub_store::{Cx, Store, WriteTx, ingest};

use crate::detector::TenantDetector;
use crate::error::Error;
use crate::finding::Finding;
use crate::{findings, locations, profiles};

/// Entries and events read again at most after a restart.
const REPLAY: i64 = 100_000;
/// Events of one batch read at a time while replaying.
const CHUNK: i64 = 2000;
/// Sessions that began longer ago are forgotten.
const SESSION_MEMORY: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// How far detection has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// All entries up to this index are done; -1 at the start.
    pub(crate) entry: i64,
    /// Of the next entry, an ingested batch, all events below this ordinal are done.
    pub(crate) ordinal: i32,
}

impl Position {
    const START: Self = Self {
        entry: -1,
        ordinal: 0,
    };
}

/// What a step did.
#[derive(Debug)]
pub enum Step {
    /// The ledger is read to its end.
    Idle,
    /// Events were read and nothing was found; the position is committed.
    Read { events: usize, at_end: bool },
    /// Something was found; nothing is committed yet.
    Found(Box<Found>),
}

/// Findings with the open transaction that they were written in. Do in `tx` what must stand or fall with them, then
/// [`commit`](Self::commit). Dropped without it, the next step finds the same again.
#[derive(Debug)]
pub struct Found {
    pub tx: WriteTx,
    /// In the order of their events.
    pub findings: Vec<Finding>,
    pub events: usize,
    /// Whether the ledger is read to its end with this.
    pub at_end: bool,
}

impl Found {
    pub async fn commit(self) -> Result<Vec<Finding>, Error> {
        self.tx.commit_progress().await?;
        Ok(self.findings)
    }
}

/// Reads on by about `limit` events in the tenant of `cx`.
///
/// # Errors
/// [`Error::Overtaken`] if another worker moved on in the same tenant; [`Error::Store`]. The position stays.
pub async fn step(cx: &Cx, detector: &mut TenantDetector, limit: usize) -> Result<Step, Error> {
    let mut tx = cx.read().await?;
    let from = repo::position(&mut tx).await?.unwrap_or(Position::START);
    if detector.position != Some(from) {
        drop(tx);
        rebuild(cx, detector, from).await?;
        tx = cx.read().await?;
    }
    // Unknown until the commit: whatever fails from here on, the next step rebuilds.
    detector.position = None;
    let mut read = Reading {
        position: from,
        findings: Vec::new(),
        events: 0,
        at_end: true,
    };
    let moved = read.on(&mut tx, detector, limit).await?;
    drop(tx);
    if !moved {
        detector.position = Some(from);
        return Ok(Step::Idle);
    }
    let Reading {
        position,
        findings,
        events,
        at_end,
    } = read;
    let mut tx = cx.write().await?;
    repo::advance(&mut tx, from, position).await?;
    profiles::repo::save(&mut tx, &detector.profiles).await?;
    let mut fresh = Vec::with_capacity(findings.len());
    for finding in findings {
        if findings::repo::insert(&mut tx, &finding).await? {
            tx.record(findings::act(&finding)).await?;
            fresh.push(finding);
        }
    }
    detector.profiles.dirty = profiles::Dirty::default();
    if fresh.is_empty() {
        tx.commit_progress().await?;
        detector.position = Some(position);
        return Ok(Step::Read { events, at_end });
    }
    // The database decides at the next step whether this came to be.
    detector.position = Some(position);
    Ok(Step::Found(Box::new(Found {
        tx,
        findings: fresh,
        events,
        at_end,
    })))
}

/// A detector for a tenant, with what the database knows; the first [`step`] does this by itself.
pub async fn catch_up_at(
    store: &Store,
    tenant: hub_base::TenantId,
    detector: &mut TenantDetector,
) -> Result<(), Error> {
    let cx = Cx::system(store.clone(), tenant, "detect");
    let mut tx = cx.read().await?;
    let stored = repo::position(&mut tx).await?.unwrap_or(Position::START);
    drop(tx);
    if detector.position == Some(stored) {
        return Ok(());
    }
    rebuild(&cx, detector, stored).await
}

/// Brings the detector to the stored position.
async fn rebuild(cx: &Cx, detector: &mut TenantDetector, stored: Position) -> Result<(), Error> {
    let mut tx = cx.read().await?;
    let mut fresh = detector.fresh();
    fresh.set_locations(locations::list(&mut tx).await?);
    profiles::repo::load(&mut tx, &mut fresh.profiles).await?;
    drop(tx);
    replay(cx, &mut fresh, stored).await?;
    fresh.profiles.dirty = profiles::Dirty::default();
    fresh.position = Some(stored);
    *detector = fresh;
    let mut tx = cx.write().await?;
    let horizon = tx.now().minus(SESSION_MEMORY);
    profiles::repo::prune(&mut tx, horizon).await?;
    tx.commit_progress().await.map_err(Error::from)
}

/// Reads the longest window before `to` again. What comes of it was said before.
async fn replay(cx: &Cx, detector: &mut TenantDetector, to: Position) -> Result<(), Error> {
    let mut tx = cx.read().await?;
    let window = detector.rules().longest_window();
    let from = repo::replay_from(&mut tx, to.entry, window, REPLAY).await?;
    let mut at = from - 1;
    loop {
        let entries = sequence::entries(&mut tx, Some(at), CHUNK).await?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            let is_partial = entry.index == to.entry + 1;
            if entry.index > to.entry + 1 || (is_partial && to.ordinal == 0) {
                return Ok(());
            }
            at = entry.index;
            if let Some((batch, _)) = batch_of(&entry) {
                let end = if is_partial { to.ordinal } else { i32::MAX };
                replay_batch(&mut tx, detector, batch, end).await?;
            } else {
                let (mut event, uid) = event_of(&entry)?;
                detector.observe(&mut event, &uid);
            }
        }
    }
}

async fn replay_batch(
    tx: &mut hub_store::Tx,
    detector: &mut TenantDetector,
    batch: BatchId,
    end: i32,
) -> Result<(), Error> {
    let mut from = if end == i32::MAX {
        0
    } else {
        end.saturating_sub(50_000).max(0)
    };
    loop {
        let events = ingest::batch(tx, batch, from, CHUNK).await?;
        let Some(last) = events.last().map(|event| event.ordinal) else {
            return Ok(());
        };
        for mut stored in events.into_iter().filter(|event| event.ordinal < end) {
            detector.observe(&mut stored.event, &stored.uid);
        }
        if last >= end {
            return Ok(());
        }
        from = last + 1;
    }
}

struct Reading {
    position: Position,
    findings: Vec<Finding>,
    events: usize,
    at_end: bool,
}

impl Reading {
    /// Reads about `limit` events on; false if there was nothing.
    async fn on(
        &mut self,
        tx: &mut hub_store::Tx,
        detector: &mut TenantDetector,
        limit: usize,
    ) -> Result<bool, Error> {
        let limit = limit.max(1);
        let entries = sequence::entries(tx, Some(self.position.entry), count(limit)).await?;
        let moved = !entries.is_empty();
        self.at_end = entries.len() < limit;
        for entry in entries {
            if self.events >= limit {
                self.at_end = false;
                break;
            }
            if entry.operation == "location.update" {
                detector.set_locations(locations::list(tx).await?);
            }
            if let Some((batch, accepted)) = batch_of(&entry) {
                if !self.batch(tx, detector, batch, accepted, limit).await? {
                    self.at_end = false;
                    break;
                }
            } else {
                let (mut event, uid) = event_of(&entry)?;
                self.findings.extend(detector.observe(&mut event, &uid));
                self.events += 1;
            }
            self.position = Position {
                entry: entry.index,
                ordinal: 0,
            };
        }
        Ok(moved)
    }

    /// Reads on in a batch; true if it is done.
    async fn batch(
        &mut self,
        tx: &mut hub_store::Tx,
        detector: &mut TenantDetector,
        batch: BatchId,
        accepted: i32,
        limit: usize,
    ) -> Result<bool, Error> {
        let room = count(limit.saturating_sub(self.events).max(1));
        let events = ingest::batch(tx, batch, self.position.ordinal, room).await?;
        let got = events.len();
        for mut stored in events {
            self.position.ordinal = stored.ordinal + 1;
            self.findings
                .extend(detector.observe(&mut stored.event, &stored.uid));
        }
        self.events += got.max(1);
        let is_short = count(got) < room;
        Ok(is_short || self.position.ordinal >= accepted)
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The batch that the entry stands for, and how many events it has.
fn batch_of(entry: &LedgerEntry) -> Option<(BatchId, i32)> {
    if entry.operation != ingest::OPERATION {
        return None;
    }
    let event: Event = serde_json::from_str(&entry.body).ok()?;
    let batch = event.text("unmapped.batch.uid")?.parse().ok()?;
    let accepted = event
        .at("unmapped.batch.accepted")
        .and_then(serde_json::Value::as_i64)?;
    Some((batch, i32::try_from(accepted).unwrap_or(i32::MAX)))
}

fn event_of(entry: &LedgerEntry) -> Result<(Event, String), Error> {
    let event = serde_json::from_str(&entry.body).map_err(|_| Error::Inconsistent {
        table: "ledger_entry",
        column: "body",
        id: entry.index.to_string(),
    })?;
    Ok((event, entry.id.to_string()))
}

/// How far detection in this tenant is behind: entries of the ledger that it has not read, and when it last moved.
pub async fn lag(tx: &mut hub_store::Tx) -> Result<(i64, Option<Timestamp>), Error> {
    repo::lag(tx).await
}

#[cfg(test)]
mod tests;
