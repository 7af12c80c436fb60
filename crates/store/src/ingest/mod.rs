//! The durable store of events from outside the hub's own acts: a batch is stored whole, with one ledger entry, and
//! only then acknowledged.

mod copy;
pub(crate) mod repo;

use std::sync::Arc;

use hub_base::{BatchId, Timestamp};
use hub_events::{Act, Class, Event, Subject};
use sha2::{Digest, Sha256};

use crate::cx::Cx;
use crate::error::Error;
use crate::tx::Tx;
use crate::whole::{Audience, whole_before};

/// The operation of the ledger entry that stands for a batch.
pub const OPERATION: &str = "events.ingest";

/// A line that did not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The line's number in its batch, from 1.
    pub line: u32,
    pub reason: String,
    /// The line's beginning, at most 8 KiB.
    pub raw: String,
}

/// A quarantined line as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    pub batch: BatchId,
    pub received_at: Timestamp,
    pub line: Quarantined,
}

/// The answer to a stored batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub batch: BatchId,
    pub accepted: u32,
    pub quarantined: u32,
    /// False if the same idempotency key had been acknowledged before; nothing was stored again.
    pub fresh: bool,
}

/// A batch to store.
#[derive(Debug, Default)]
pub struct Batch {
    /// What sent it: `sshd`, `cloudtrail`, `hub.access`.
    pub source: String,
    pub events: Vec<Event>,
    pub quarantined: Vec<Quarantined>,
    /// The same key is stored once, however often it is sent.
    pub idempotency_key: Option<String>,
}

/// An event of a batch, with the uid that findings and evidence name it by.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// `metadata.uid` of the event, or `<batch>/<ordinal>`.
    pub uid: String,
    pub ordinal: i32,
    pub event: Event,
}

/// Stores a batch; when this returns, it is durable and has its ledger entry.
///
/// # Errors
/// [`Error::Unavailable`] if the database does not answer or its disk is full: nothing is stored then.
pub async fn append(cx: &Cx, batch: impl Into<Arc<Batch>>) -> Result<Receipt, Error> {
    let batch = batch.into();
    if let Some(key) = &batch.idempotency_key
        && let Some(receipt) = repo::by_key(&mut *cx.read().await?, key).await?
    {
        return Ok(receipt);
    }
    prepare_partition(cx).await?;
    let stored = {
        let (cx, batch) = (cx.clone(), Arc::clone(&batch));
        whole_before(async move |waits| store(&cx, &batch, &waits).await).await
    };
    match stored {
        // Another replica was quicker with the same key: its receipt is ours.
        Err(error) if error.constraint() == Some("event_batch_idempotency_key") => {
            let key = batch.idempotency_key.as_deref().unwrap_or_default();
            repo::by_key(&mut *cx.read().await?, key)
                .await?
                .ok_or(error)
        }
        result => result,
    }
}

/// Makes the day's partition in a transaction of its own: that locks the table, and a batch may take long.
async fn prepare_partition(cx: &Cx) -> Result<(), Error> {
    if repo::partition_stands(&mut *cx.read().await?).await? {
        return Ok(());
    }
    let mut tx = cx.write().await?;
    repo::make_partitions(&mut tx).await?;
    tx.commit_progress().await
}

async fn store(cx: &Cx, batch: &Batch, waits: &Audience) -> Result<Receipt, Error> {
    let mut tx = cx.write().await?;
    let id = BatchId::new(&**cx.clock());
    let accepted = u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
    let quarantined = u32::try_from(batch.quarantined.len()).unwrap_or(u32::MAX);
    let sha256 = repo::copy_events(&mut tx, id, &batch.events).await?;
    repo::insert_batch(&mut tx, id, batch, &sha256).await?;
    repo::insert_quarantined(&mut tx, id, &batch.quarantined).await?;
    let act = Act::new(OPERATION, Class::ApiActivity, 1, "ingest")
        .on(Subject::new("batch", id).named(batch.source.clone()))
        .with("unmapped.batch.uid", id.to_string())
        .with("unmapped.batch.source", batch.source.clone())
        .with("unmapped.batch.accepted", accepted)
        .with("unmapped.batch.quarantined", quarantined)
        .with("unmapped.batch.sha256", hex::encode(sha256));
    if !waits.is_there() {
        // Told to come again, the sender will: what it has sent twice would stand twice.
        return Err(Error::LetGo);
    }
    tx.commit(act).await?;
    Ok(Receipt {
        batch: id,
        accepted,
        quarantined,
        fresh: true,
    })
}

/// The events of a batch from `from_ordinal` on, in order.
pub async fn batch(
    tx: &mut Tx,
    batch: BatchId,
    from_ordinal: i32,
    limit: i64,
) -> Result<Vec<StoredEvent>, Error> {
    repo::batch(tx, batch, from_ordinal, limit).await
}

/// One event of a batch, by its ordinal.
pub async fn event(
    tx: &mut Tx,
    batch: BatchId,
    ordinal: i32,
) -> Result<Option<StoredEvent>, Error> {
    Ok(repo::batch(tx, batch, ordinal, 1)
        .await?
        .into_iter()
        .find(|event| event.ordinal == ordinal))
}

/// The newest quarantined lines, at most `limit`.
pub async fn quarantine(tx: &mut Tx, limit: i64) -> Result<Vec<KeptLine>, Error> {
    repo::quarantine(tx, limit).await
}

/// The digest that a batch's ledger entry states: SHA-256 over each event's body and a newline.
pub fn digest<'a>(bodies: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for body in bodies {
        hasher.update(body.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().into()
}
