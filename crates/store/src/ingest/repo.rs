use hub_base::{BatchId, Timestamp};
use hub_events::{Event, LogSource};
use sqlx::postgres::{PgConnection, PgCopyIn};
use time::OffsetDateTime;
use uuid::Uuid;

use super::copy::{Encoder, HEADER, TRAILER};
use super::{Batch, KeptLine, Quarantined, Receipt, StoredEvent};
use crate::error::Error;
use crate::tx::Tx;

pub(crate) async fn by_key(tx: &mut Tx, key: &str) -> Result<Option<Receipt>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(Uuid, i32, i32)> = sqlx::query_as(
        "select id, accepted, quarantined from event_batch where tenant_id = $1 and idempotency_key = $2",
    )
    .bind(tenant)
    .bind(key)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|(id, accepted, quarantined)| Receipt {
        batch: BatchId::from_uuid(id),
        accepted: accepted.unsigned_abs(),
        quarantined: quarantined.unsigned_abs(),
        fresh: false,
    }))
}

pub(crate) async fn insert_batch(
    tx: &mut Tx,
    id: BatchId,
    batch: &Batch,
    sha256: &[u8; 32],
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "insert into event_batch (tenant_id, id, source, received_at, accepted, quarantined, sha256, idempotency_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(&batch.source)
    .bind(now)
    .bind(i32::try_from(batch.events.len()).unwrap_or(i32::MAX))
    .bind(i32::try_from(batch.quarantined.len()).unwrap_or(i32::MAX))
    .bind(sha256.as_slice())
    .bind(batch.idempotency_key.as_deref())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether the day's partition is there already.
pub(crate) async fn partition_stands(tx: &mut Tx) -> Result<bool, Error> {
    let day = tx.now().to_offset().date();
    let name = format!(
        "public.event_{:04}{:02}{:02}",
        day.year(),
        u8::from(day.month()),
        day.day()
    );
    let (stands,): (bool,) = sqlx::query_as("select to_regclass($1) is not null")
        .bind(name)
        .fetch_one(tx.conn())
        .await?;
    Ok(stands)
}

/// Makes the partitions of the day and of the three days after.
pub(crate) async fn make_partitions(tx: &mut Tx) -> Result<(), Error> {
    let day = tx.now().to_offset().date();
    sqlx::query("select pg_advisory_xact_lock(hashtext('hub_prepare_event_days'))")
        .execute(tx.conn())
        .await?;
    sqlx::query("select hub_prepare_event_days($1, 4)")
        .bind(day)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// COPY into a staging table of the session, then one INSERT: PostgreSQL refuses COPY into a table behind
/// row-level security, and the INSERT is where the wall checks every row. Returns the digest of the bodies.
///
/// The staging table is temporary: it writes no log, and what is the same in every row stays out of it.
pub(crate) async fn copy_events(
    tx: &mut Tx,
    batch: BatchId,
    events: &[Event],
) -> Result<[u8; 32], Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let connection: &mut PgConnection = tx.conn();
    sqlx::raw_sql(
        "create temp table if not exists stage_event (
           ordinal integer, occurred_at timestamptz, class_uid integer, product text, service text, category text,
           body text) on commit delete rows",
    )
    .execute(&mut *connection)
    .await?;
    let mut encoder = Encoder::new(batch);
    for part in events.chunks(STAGED) {
        let mut copy = connection
            .copy_in_raw("copy stage_event from stdin (format binary)")
            .await?;
        if let Err(error) = send(&mut copy, &mut encoder, part).await {
            copy.abort("the hub stopped sending").await?;
            return Err(error);
        }
        copy.finish().await?;
        sqlx::query(
            "insert into event (tenant_id, batch_id, ordinal, received_at, occurred_at, class_uid, product, service,
               category, body)
             select $1, $2, ordinal, $3, occurred_at, class_uid, product, service, category, body from stage_event",
        )
        .bind(tenant)
        .bind(batch.uuid())
        .bind(now)
        .execute(&mut *connection)
        .await?;
        if events.len() > STAGED {
            sqlx::query("truncate stage_event")
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(encoder.sha256())
}

/// Rows staged at once, so that the staging table stays in memory.
const STAGED: usize = 8_192;
/// Bytes sent at once: large enough to be cheap, small enough that server and hub work at the same time.
const CHUNK: usize = 256 * 1024;

async fn send(
    copy: &mut PgCopyIn<&mut PgConnection>,
    encoder: &mut Encoder,
    events: &[Event],
) -> Result<(), Error> {
    let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 4);
    chunk.extend_from_slice(HEADER);
    for event in events {
        encoder.push(&mut chunk, event)?;
        if chunk.len() >= CHUNK {
            copy.send(chunk.as_slice()).await?;
            chunk.clear();
        }
    }
    chunk.extend_from_slice(TRAILER);
    copy.send(chunk.as_slice()).await?;
    Ok(())
}

pub(crate) async fn insert_quarantined(
    tx: &mut Tx,
    batch: BatchId,
    lines: &[Quarantined],
) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let numbers: Vec<i64> = lines.iter().map(|line| i64::from(line.line)).collect();
    let reasons: Vec<&str> = lines.iter().map(|line| line.reason.as_str()).collect();
    let raws: Vec<String> = lines.iter().map(|line| bounded(&line.raw)).collect();
    sqlx::query(
        "insert into quarantine (tenant_id, batch_id, ordinal, line, reason, raw, received_at)
         select $1, $2, ordinal, line, reason, raw, $6
         from unnest($3::bigint[], $4::text[], $5::text[]) with ordinality as t (line, reason, raw, ordinal)",
    )
    .bind(tenant)
    .bind(batch.uuid())
    .bind(numbers)
    .bind(reasons)
    .bind(raws)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// At most 8 KiB, without the NUL that PostgreSQL cannot hold.
fn bounded(raw: &str) -> String {
    let clean = raw.replace('\0', "\u{fffd}");
    let end = (0..=clean.len().min(8192))
        .rev()
        .find(|at| clean.is_char_boundary(*at))
        .unwrap_or(0);
    clean.get(..end).unwrap_or_default().to_owned()
}

type EventRow = (i32, OffsetDateTime, String, String, Option<String>, String);

pub(crate) async fn batch(
    tx: &mut Tx,
    batch: BatchId,
    from_ordinal: i32,
    limit: i64,
) -> Result<Vec<StoredEvent>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<EventRow> = sqlx::query_as(
        "select ordinal, occurred_at, product, service, category, body from event
         where tenant_id = $1 and batch_id = $2 and ordinal >= $3
           and received_at = (select received_at from event_batch where tenant_id = $1 and id = $2)
         order by ordinal limit $4",
    )
    .bind(tenant)
    .bind(batch.uuid())
    .bind(from_ordinal)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| stored(batch, row)).collect()
}

fn stored(batch: BatchId, row: EventRow) -> Result<StoredEvent, Error> {
    let (ordinal, occurred_at, product, service, category, body) = row;
    let body = serde_json::from_str(&body).map_err(|_| Error::Inconsistent {
        table: "event",
        column: "body",
        id: format!("{batch}/{ordinal}"),
    })?;
    let event = Event {
        time: Timestamp::from_offset(occurred_at),
        source: LogSource {
            product,
            service,
            category,
        },
        body,
    };
    let uid = event
        .text("metadata.uid")
        .map_or_else(|| format!("{batch}/{ordinal}"), str::to_owned);
    Ok(StoredEvent {
        uid,
        ordinal,
        event,
    })
}

pub(crate) async fn quarantine(tx: &mut Tx, limit: i64) -> Result<Vec<KeptLine>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Uuid, i64, String, String, OffsetDateTime)> = sqlx::query_as(
        "select batch_id, line, reason, raw, received_at from quarantine
         where tenant_id = $1 order by received_at desc, batch_id, line limit $2",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(batch, line, reason, raw, received_at)| KeptLine {
            batch: BatchId::from_uuid(batch),
            received_at: Timestamp::from_offset(received_at),
            line: Quarantined {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                reason,
                raw,
            },
        })
        .collect())
}
