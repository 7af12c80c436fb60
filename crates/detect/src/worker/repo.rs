use std::time::Duration;

use hub_base::Timestamp;
use hub_store::Tx;
use time::OffsetDateTime;

use super::Position;
use crate::error::Error;

pub(super) async fn position(tx: &mut Tx) -> Result<Option<Position>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(i64, i32)> =
        sqlx::query_as("select entry_idx, ordinal from detect_cursor where tenant_id = $1")
            .bind(tenant)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|(entry, ordinal)| Position { entry, ordinal }))
}

/// Moves the position, if it still is where the reader began.
pub(super) async fn advance(tx: &mut Tx, from: Position, to: Position) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    let now = tx.now().to_offset();
    let done = sqlx::query(
        "insert into detect_cursor (tenant_id, entry_idx, ordinal, updated_at) values ($1, $4, $5, $6)
         on conflict (tenant_id) do update
           set entry_idx = excluded.entry_idx, ordinal = excluded.ordinal, updated_at = excluded.updated_at
           where detect_cursor.entry_idx = $2 and detect_cursor.ordinal = $3",
    )
    .bind(tenant)
    .bind(from.entry)
    .bind(from.ordinal)
    .bind(to.entry)
    .bind(to.ordinal)
    .bind(now)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::Overtaken)
    }
}

/// The first entry of the `window` before entry `to`, at most `most` entries back.
pub(super) async fn replay_from(
    tx: &mut Tx,
    to: i64,
    window: Duration,
    most: i64,
) -> Result<i64, Error> {
    let tenant = tx.tenant().uuid();
    let seconds = window.as_secs_f64();
    let (from,): (Option<i64>,) = sqlx::query_as(
        "select min(idx) from ledger_entry
         where tenant_id = $1 and idx > $2 - $4 and idx <= $2
           and sequenced_at >= (select sequenced_at from ledger_entry where tenant_id = $1 and idx = $2)
             - make_interval(secs => $3)",
    )
    .bind(tenant)
    .bind(to)
    .bind(seconds)
    .bind(most)
    .fetch_one(tx.conn())
    .await?;
    Ok(from.unwrap_or(to + 1).max(0))
}

pub(super) async fn lag(tx: &mut Tx) -> Result<(i64, Option<Timestamp>), Error> {
    let tenant = tx.tenant().uuid();
    let (behind, at): (i64, Option<OffsetDateTime>) = sqlx::query_as(
        "select coalesce((select max(idx) from ledger_entry where tenant_id = $1), -1)
              - coalesce((select entry_idx from detect_cursor where tenant_id = $1), -1),
           (select updated_at from detect_cursor where tenant_id = $1)",
    )
    .bind(tenant)
    .fetch_one(tx.conn())
    .await?;
    Ok((behind, at.map(Timestamp::from_offset)))
}
