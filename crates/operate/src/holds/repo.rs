use hub_base::{HoldId, TenantId, Timestamp};
use hub_store::{Error, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Hold;

/// A number of ours for the lock between removing and holding.
const LOCK: i64 = 0x4855_4248_4f4c_4401;

type Row = (
    Uuid,
    Option<Uuid>,
    String,
    String,
    OffsetDateTime,
    Option<OffsetDateTime>,
);

/// Removals hold it together; whoever places a hold waits for them.
pub(super) async fn keep_out(tx: &mut Tx) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)")
        .bind(LOCK)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn wait_for_removals(tx: &mut Tx) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn insert(tx: &mut Tx, hold: &Hold) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into legal_hold (tenant_id, id, covers, reason, placed_by, placed_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant)
    .bind(hold.id.uuid())
    .bind(hold.covers.map(TenantId::uuid))
    .bind(&hold.reason)
    .bind(&hold.placed_by)
    .bind(hold.placed_at.to_offset())
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn release(tx: &mut Tx, id: HoldId, by: &str, reason: &str) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "update legal_hold set released_at = $3, released_by = $4, release_reason = $5
         where tenant_id = $1 and id = $2 and released_at is null",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(now)
    .bind(by)
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Newest first.
pub(super) async fn all(tx: &mut Tx) -> Result<Vec<Hold>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, covers, reason, placed_by, placed_at, released_at from legal_hold
         where tenant_id = $1 order by placed_at desc, id desc",
    )
    .bind(tenant)
    .fetch_all(tx.conn())
    .await?;
    let hold = |(id, covers, reason, placed_by, placed_at, released_at): Row| Hold {
        id: HoldId::from_uuid(id),
        covers: covers.map(TenantId::from_uuid),
        reason,
        placed_by,
        placed_at: Timestamp::from_offset(placed_at),
        released_at: released_at.map(Timestamp::from_offset),
    };
    Ok(rows.into_iter().map(hold).collect())
}
