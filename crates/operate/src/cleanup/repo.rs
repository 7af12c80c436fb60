use hub_base::Timestamp;
use hub_store::{Error, Tx};
use time::OffsetDateTime;

use super::Class;

type Figures = (i64, Option<OffsetDateTime>, i64);

/// How many are due, the oldest, and their bytes.
pub(super) async fn due(
    tx: &mut Tx,
    class: Class,
    until: Timestamp,
) -> Result<(i64, Option<Timestamp>, i64), Error> {
    let sql = match class {
        Class::Sessions => {
            "select count(*), min(least(ended_at, expires_at)), coalesce(sum(pg_column_size(t.*)), 0)::bigint
             from session t where tenant_id = $1 and least(ended_at, expires_at) < $2"
        }
        Class::ResetTokens => {
            "select count(*), min(expires_at), coalesce(sum(pg_column_size(t.*)), 0)::bigint
             from password_reset t where tenant_id = $1 and expires_at < $2"
        }
        Class::Events => {
            "select count(*), min(received_at), coalesce(sum(pg_column_size(t.*)), 0)::bigint
             from event t where tenant_id = $1 and received_at < $2"
        }
        Class::Quarantine => {
            "select count(*), min(received_at), coalesce(sum(pg_column_size(t.*)), 0)::bigint
             from quarantine t where tenant_id = $1 and received_at < $2"
        }
        Class::RunbookRuns => {
            "select count(*), min(told_at), coalesce(sum(pg_column_size(t.*) + (
               select coalesce(sum(pg_column_size(l.*)), 0) from runbook_line l
               where l.tenant_id = t.tenant_id and l.run_id = t.id)), 0)::bigint
             from runbook_run t where tenant_id = $1 and told_at < $2"
        }
    };
    let tenant = tx.tenant().uuid();
    let (count, oldest, bytes): Figures = sqlx::query_as(sql)
        .bind(tenant)
        .bind(until.to_offset())
        .fetch_one(tx.conn())
        .await?;
    Ok((count, oldest.map(Timestamp::from_offset), bytes))
}

/// Removes at most `limit` (of events: batches) and gives the ids of what is gone. Of a batch of events the receipt goes as
/// well, once nothing of it is in quarantine any more.
pub(super) async fn remove(
    tx: &mut Tx,
    class: Class,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<String>, Error> {
    let sql = match class {
        Class::Sessions => {
            "with due as (
               select id from session where tenant_id = $1 and least(ended_at, expires_at) < $2
               order by id limit $3 for update skip locked),
             tokens as (
               delete from refresh_token t using due where t.tenant_id = $1 and t.session_id = due.id)
             delete from session s using due where s.tenant_id = $1 and s.id = due.id returning s.id::text"
        }
        Class::ResetTokens => {
            "with due as (
               select hash from password_reset where tenant_id = $1 and expires_at < $2
               order by hash limit $3 for update skip locked)
             delete from password_reset r using due where r.tenant_id = $1 and r.hash = due.hash
             returning encode(r.hash, 'hex')"
        }
        Class::Events => {
            "with due as (
               select b.id from event_batch b where b.tenant_id = $1 and b.received_at < $2
                 and (exists (select from event e where e.tenant_id = $1 and e.batch_id = b.id and e.received_at < $2)
                   or not exists (select from quarantine q where q.tenant_id = $1 and q.batch_id = b.id))
               order by b.received_at limit $3 for update of b skip locked),
             receipts as (
               delete from event_batch b using due where b.tenant_id = $1 and b.id = due.id
                 and not exists (select from quarantine q where q.tenant_id = $1 and q.batch_id = b.id)
               returning 'batch ' || b.id::text as name),
             events as (
               delete from event e using due
               where e.tenant_id = $1 and e.batch_id = due.id and e.received_at < $2
               returning e.batch_id::text || '/' || e.ordinal::text as name)
             select name from events union all select name from receipts"
        }
        Class::Quarantine => {
            "with due as (
               select batch_id, ordinal from quarantine where tenant_id = $1 and received_at < $2
               order by batch_id, ordinal limit $3 for update skip locked)
             delete from quarantine q using due
             where q.tenant_id = $1 and q.batch_id = due.batch_id and q.ordinal = due.ordinal
             returning q.batch_id::text || '/' || q.ordinal::text"
        }
        // The application itself may remove nothing of a run.
        Class::RunbookRuns => "select run::text from hub_forget_runbook_runs($1, $2, $3) as run",
    };
    let tenant = tx.tenant().uuid();
    let rows: Vec<(String,)> = sqlx::query_as(sql)
        .bind(tenant)
        .bind(until.to_offset())
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
