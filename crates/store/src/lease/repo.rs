use std::time::Duration;

use crate::error::Error;
use crate::tx::Tx;

pub(crate) async fn acquire(
    tx: &mut Tx,
    work: &str,
    owner: &str,
    ttl: Duration,
) -> Result<bool, Error> {
    let tenant = tx.tenant().uuid();
    let done = sqlx::query(
        "insert into worker_lease (tenant_id, partition, owner, epoch, until)
         values ($1, $2, $3, 1, clock_timestamp() + make_interval(secs => $4))
         on conflict (tenant_id, partition) do update set owner = excluded.owner, until = excluded.until,
           epoch = worker_lease.epoch + (worker_lease.owner <> excluded.owner)::int
         where worker_lease.owner = excluded.owner or worker_lease.until < clock_timestamp()",
    )
    .bind(tenant)
    .bind(work)
    .bind(owner)
    .bind(ttl.as_secs_f64())
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn release(tx: &mut Tx, work: &str, owner: &str) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query("delete from worker_lease where tenant_id = $1 and partition = $2 and owner = $3")
        .bind(tenant)
        .bind(work)
        .bind(owner)
        .execute(tx.conn())
        .await?;
    Ok(())
}
