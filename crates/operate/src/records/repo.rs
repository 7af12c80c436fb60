use hub_base::{OperationId, Timestamp};
use hub_store::Tx;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Record;
use crate::disaster::SUBJECT;
use crate::error::Error;

type Row = (
    Uuid,
    String,
    String,
    String,
    Option<String>,
    OffsetDateTime,
    OffsetDateTime,
    Value,
);

fn read(row: Row) -> Result<Record, Error> {
    let (id, kind, subject, outcome, why, began, ended, steps) = row;
    Ok(Record {
        id: OperationId::from_uuid(id),
        kind,
        subject,
        outcome,
        why,
        began: Timestamp::from_offset(began),
        ended: Timestamp::from_offset(ended),
        steps: serde_json::from_value(steps).map_err(|_| Error::Inconsistent {
            table: "operation",
            column: "steps",
            id: id.to_string(),
        })?,
    })
}

/// False if it is there already.
pub(super) async fn insert(tx: &mut Tx, record: &Record) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let steps = serde_json::to_value(&record.steps).unwrap_or_default();
    let done = sqlx::query(
        "insert into operation
           (tenant_id, id, kind, subject, outcome, why, began_at, ended_at, steps, recorded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
    )
    .bind(tenant)
    .bind(record.id.uuid())
    .bind(&record.kind)
    .bind(&record.subject)
    .bind(&record.outcome)
    .bind(&record.why)
    .bind(record.began.to_offset())
    .bind(record.ended.to_offset())
    .bind(steps)
    .bind(now)
    .execute(tx.conn())
    .await
    .map_err(hub_store::Error::from)?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn list(tx: &mut Tx, limit: i64) -> Result<Vec<Record>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, kind, subject, outcome, why, began_at, ended_at, steps from operation
         where tenant_id = $1 order by began_at desc, id desc limit $2",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(hub_store::Error::from)?;
    rows.into_iter().map(read).collect()
}

/// Deploys and rollbacks that began at `since` or later.
pub(super) async fn deploys(tx: &mut Tx, since: Timestamp) -> Result<Vec<Record>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, kind, subject, outcome, why, began_at, ended_at, steps from operation
         where tenant_id = $1 and began_at >= $2 and kind in ('deploy', 'rollback')
         order by began_at, id",
    )
    .bind(tenant)
    .bind(since.to_offset())
    .fetch_all(tx.conn())
    .await
    .map_err(hub_store::Error::from)?;
    rows.into_iter().map(read).collect()
}

/// When an operation of each kind last went well. A scenario rehearses a disaster; it proves no backup of this installation.
pub(super) async fn newest(tx: &mut Tx) -> Result<Vec<(String, Timestamp)>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(String, OffsetDateTime)> = sqlx::query_as(
        "select kind, max(ended_at) from operation
         where tenant_id = $1 and outcome in ('deployed', 'done') and not starts_with(subject, $2) group by kind",
    )
    .bind(tenant)
    .bind(SUBJECT)
    .fetch_all(tx.conn())
    .await
    .map_err(hub_store::Error::from)?;
    let newest = rows.into_iter();
    Ok(newest
        .map(|(kind, ended)| (kind, Timestamp::from_offset(ended)))
        .collect())
}
