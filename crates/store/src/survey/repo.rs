use std::time::Duration;

use hub_base::{TenantId, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Recovery, Table, Tree, Wal};
use crate::error::Error;

/// An entry, as far as its place in the tree needs it.
pub(super) struct Leaf {
    pub(super) index: i64,
    pub(super) hash: Vec<u8>,
    pub(super) body: String,
    pub(super) sequenced_at: Timestamp,
}

pub(super) async fn trees(db: &mut PgConnection) -> Result<Vec<Tree>, Error> {
    let rows: Vec<(Uuid, String, i64, Vec<u8>, String)> = sqlx::query_as(
        "select h.tenant_id, t.slug, h.size, h.root, h.checkpoint
         from ledger_head h join tenant t on t.id = h.tenant_id where h.size > 0 order by t.slug",
    )
    .fetch_all(db)
    .await?;
    let tree =
        |(tenant, slug, size, root, checkpoint): (Uuid, String, i64, Vec<u8>, String)| Tree {
            tenant: TenantId::from_uuid(tenant),
            slug,
            size: size.unsigned_abs(),
            root: hex::encode(root),
            checkpoint,
        };
    Ok(rows.into_iter().map(tree).collect())
}

pub(super) async fn table_names(db: &mut PgConnection) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select format('%I', relname) from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition order by 1",
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// `table` is quoted already.
pub(super) async fn sum(db: &mut PgConnection, table: &str) -> Result<Table, Error> {
    let (rows, sum): (i64, String) = sqlx::query_as(AssertSqlSafe(format!(
        "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {table} t"
    )))
    .fetch_one(db)
    .await?;
    Ok(Table {
        name: table.to_owned(),
        rows,
        sum,
    })
}

/// Who owns the tables, and whether row-level security does not bind them.
pub(super) async fn owner(db: &mut PgConnection) -> Result<(String, bool), Error> {
    let row: Option<(String, bool)> = sqlx::query_as(
        "select r.rolname::text, r.rolsuper or r.rolbypassrls from pg_class c join pg_roles r on r.oid = c.relowner
         where c.oid = to_regclass('public.tenant')",
    )
    .fetch_optional(db)
    .await?;
    row.ok_or_else(|| Error::Invalid("this is no database of a hub".to_owned()))
}

pub(super) async fn size(db: &mut PgConnection) -> Result<u64, Error> {
    let (size,): (i64,) = sqlx::query_as("select pg_database_size(current_database())")
        .fetch_one(db)
        .await?;
    Ok(size.unsigned_abs())
}

pub(super) async fn recovery(db: &mut PgConnection) -> Result<Recovery, Error> {
    let (replays, last): (bool, Option<OffsetDateTime>) =
        sqlx::query_as("select pg_is_in_recovery(), pg_last_xact_replay_timestamp()")
            .fetch_one(db)
            .await?;
    Ok(Recovery {
        replays,
        last_commit: last.map(Timestamp::from_offset),
    })
}

/// Whether the server is a standby.
pub(crate) async fn follows(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let (follows,): (bool,) = sqlx::query_as("select pg_is_in_recovery()")
        .fetch_one(db)
        .await?;
    Ok(follows)
}

pub(super) async fn reload(db: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("select pg_reload_conf()").execute(db).await?;
    Ok(())
}

pub(super) async fn setting(db: &mut PgConnection, name: &str) -> Result<String, Error> {
    let (value,): (String,) = sqlx::query_as("select current_setting($1)")
        .bind(name)
        .fetch_one(db)
        .await?;
    Ok(value)
}

pub(super) async fn wal(db: &mut PgConnection) -> Result<Wal, Error> {
    // One byte further: at the end of a segment the function names the one that ended.
    let (current, offset, segment): (String, i64, i64) = sqlx::query_as(
        "select pg_walfile_name(lsn + 1), ((lsn - '0/0') % size)::bigint, size
         from pg_current_wal_lsn() lsn, pg_size_bytes(current_setting('wal_segment_size')) size",
    )
    .fetch_one(&mut *db)
    .await?;
    let rows: Vec<(String, f64, bool)> = sqlx::query_as(
        "select w.name, greatest(extract(epoch from clock_timestamp() - w.modification), 0)::float8, s.name is not null
         from pg_ls_waldir() w left join pg_ls_archive_statusdir() s on s.name = w.name || '.ready'
         where w.name ~ '^[0-9A-F]{24}$' and w.name < $1 and left(w.name, 8) = left($1, 8) order by w.name",
    )
    .bind(&current)
    .fetch_all(db)
    .await?;
    let whole = |(name, seconds, waits)| (name, Duration::from_secs_f64(seconds), waits);
    Ok(Wal {
        current,
        offset: offset.unsigned_abs(),
        segment: segment.unsigned_abs(),
        whole: rows.into_iter().map(whole).collect(),
    })
}

pub(super) async fn holds(db: &mut PgConnection) -> Result<Vec<(String, Timestamp)>, Error> {
    let rows: Vec<(String, OffsetDateTime)> = sqlx::query_as(
        "select reason, placed_at from legal_hold where released_at is null order by placed_at",
    )
    .fetch_all(db)
    .await?;
    let hold = |(reason, at)| (reason, Timestamp::from_offset(at));
    Ok(rows.into_iter().map(hold).collect())
}

pub(super) async fn switch_wal(db: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("select pg_switch_wal()").execute(db).await?;
    Ok(())
}

pub(super) async fn transaction_of(
    db: &mut PgConnection,
    slug: &str,
    index: i64,
) -> Result<Option<String>, Error> {
    let row: Option<(String,)> = sqlx::query_as(
        "select e.xmin::text from ledger_entry e join tenant t on t.id = e.tenant_id
         where t.slug = $1 and e.idx = $2",
    )
    .bind(slug)
    .bind(index)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|(xid,)| xid))
}

pub(super) async fn leaves(
    db: &mut PgConnection,
    tenant: TenantId,
    after: i64,
    limit: i64,
) -> Result<Vec<Leaf>, Error> {
    let rows: Vec<(i64, Vec<u8>, String, OffsetDateTime)> = sqlx::query_as(
        "select idx, leaf_hash, body, sequenced_at from ledger_entry
         where tenant_id = $1 and idx > $2 order by idx limit $3",
    )
    .bind(tenant.uuid())
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let leaf = |(index, hash, body, at)| Leaf {
        index,
        hash,
        body,
        sequenced_at: Timestamp::from_offset(at),
    };
    Ok(rows.into_iter().map(leaf).collect())
}
