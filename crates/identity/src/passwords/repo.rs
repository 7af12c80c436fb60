use hub_base::{Timestamp, UserId};
use hub_store::{Error, Tx};
use hub_vault::SecretHash;

pub(crate) async fn insert_reset(
    tx: &mut Tx,
    user: UserId,
    hash: &SecretHash,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "insert into password_reset (tenant_id, hash, user_id, issued_at, expires_at) values ($1, $2, $3, $4, $5)",
    )
    .bind(tenant)
    .bind(hash.bytes().as_slice())
    .bind(user.uuid())
    .bind(now)
    .bind(expires_at.to_offset())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Spends a reset token and every other of the same person; false if it was not good.
pub(crate) async fn use_reset(tx: &mut Tx, user: UserId, hash: &SecretHash) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let done = sqlx::query(
        "update password_reset set used_at = $4
         where tenant_id = $1 and hash = $2 and user_id = $3 and used_at is null and expires_at > $4",
    )
    .bind(tenant)
    .bind(hash.bytes().as_slice())
    .bind(user.uuid())
    .bind(now)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "update password_reset set used_at = $3 where tenant_id = $1 and user_id = $2 and used_at is null",
    )
    .bind(tenant)
    .bind(user.uuid())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(true)
}

/// Whether a token that is still good was issued to the person since then.
pub(crate) async fn issued_since(
    tx: &mut Tx,
    user: UserId,
    since: Timestamp,
) -> Result<bool, Error> {
    let tenant = tx.tenant().uuid();
    let (found,): (bool,) = sqlx::query_as(
        "select exists (select 1 from password_reset
         where tenant_id = $1 and user_id = $2 and used_at is null and issued_at > $3)",
    )
    .bind(tenant)
    .bind(user.uuid())
    .bind(since.to_offset())
    .fetch_one(tx.conn())
    .await?;
    Ok(found)
}
