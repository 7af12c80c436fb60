use hub_store::{Error, Tx};
use hub_vault::SecretHash;

/// Inserts the first enrolment of all; false if there was one before. Replicas that start together take turns.
pub(crate) async fn insert_first(tx: &mut Tx, hash: &SecretHash) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query("select pg_advisory_xact_lock(hashtext('hub_enrolment'))")
        .execute(tx.conn())
        .await?;
    let done = sqlx::query(
        "insert into enrolment (tenant_id, hash, issued_at) select $1, $2, $3
         where not exists (select from enrolment where tenant_id = $1)",
    )
    .bind(tenant)
    .bind(hash.bytes().as_slice())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn waits(tx: &mut Tx, hash: &SecretHash) -> Result<bool, Error> {
    let tenant = tx.tenant().uuid();
    let (waits,): (bool,) = sqlx::query_as(
        "select exists (select from enrolment where tenant_id = $1 and hash = $2 and used_at is null)",
    )
    .bind(tenant)
    .bind(hash.bytes().as_slice())
    .fetch_one(tx.conn())
    .await?;
    Ok(waits)
}

pub(crate) async fn spend(tx: &mut Tx, hash: &SecretHash) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let done = sqlx::query(
        "update enrolment set used_at = $3 where tenant_id = $1 and hash = $2 and used_at is null",
    )
    .bind(tenant)
    .bind(hash.bytes().as_slice())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
