//! Statements about tables that the catalogue names. Each name is quoted by [`quoted`]; everything else is a parameter.

mod picks;
pub(super) mod rules;
mod words;

use futures_util::TryStreamExt as _;
use hub_base::TenantId;
use hub_store::{Error, Tx};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::AssertSqlSafe;

pub(super) use self::picks::{
    Left, decide, insert, orphans, pick, picked, replace, revived, taken, undecided, unknown,
};
use self::rules::Rule;
use self::words::{columns, pairs};
use super::shape::{Table, quoted};

/// A number of ours: one merge at a time.
const LOCK: i64 = 0x4855_4252_4553_5401;

async fn run(tx: &mut Tx, sql: String) -> Result<u64, Error> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(tx.conn()).await?;
    Ok(done.rows_affected())
}

fn parsed<T: DeserializeOwned>(value: Value, column: &'static str) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Inconsistent {
        table: "pg_catalog",
        column,
        id: error.to_string(),
    })
}

/// Every table with rows of tenants, partitions by their parent alone.
pub(super) async fn tables(tx: &mut Tx) -> Result<Vec<Table>, Error> {
    let rows: Vec<(Value,)> = sqlx::query_as(
        "select jsonb_build_object('name', c.relname, 'owner', o.owner,
           'columns', (select jsonb_agg(jsonb_build_object('name', a.attname, 'kind', format_type(a.atttypid, null)) order by a.attnum)
              from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''),
           'key', coalesce((select jsonb_agg(a.attname order by k.n) from pg_index i
              cross join unnest(i.indkey) with ordinality k (attnum, n)
              join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
              where i.indrelid = c.oid and i.indisprimary and a.attname <> o.owner), '[]'),
           'parents', coalesce((select jsonb_agg(jsonb_build_object('table', (select relname from pg_class where oid = f.confrelid),
                'from', (select jsonb_agg(a.attname order by k.n) from unnest(f.conkey) with ordinality k (attnum, n)
                   join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.attnum),
                'to', (select jsonb_agg(a.attname order by k.n) from unnest(f.confkey) with ordinality k (attnum, n)
                   join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.attnum)))
              from pg_constraint f where f.conrelid = c.oid and f.contype = 'f' and f.conparentid = 0), '[]'),
           'unique', coalesce((select jsonb_agg((select jsonb_agg(a.attname order by k.n)
                from unnest(i.indkey) with ordinality k (attnum, n)
                join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum))
              from pg_index i where i.indrelid = c.oid and i.indisunique and not i.indisprimary
                and i.indpred is null and i.indexprs is null), '[]'))
         from pg_class c
         cross join lateral (select case when c.relname = 'tenant' then 'id' else 'tenant_id' end as owner) o
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
           and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = o.owner and not a.attisdropped)
         order by c.relname",
    )
    .fetch_all(tx.conn())
    .await?;
    let tables = rows.into_iter().map(|(row,)| parsed(row, "tables"));
    tables.collect()
}

/// The numbers and digests of the migrations that were applied.
pub(super) async fn migrations(tx: &mut Tx) -> Result<Vec<(i32, String)>, Error> {
    let rows = sqlx::query_as(
        "select number, name || ' ' || encode(checksum, 'hex') from hub_migration order by number",
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}

/// Has PostgreSQL write a statement: `format` with names (`%I`) and texts (`%L`), for statements that take no parameters.
async fn written(tx: &mut Tx, form: &'static str, words: &[&str]) -> Result<String, Error> {
    let (sql,): (String,) = sqlx::query_as("select format($1, variadic $2)")
        .bind(form)
        .bind(words)
        .fetch_one(tx.conn())
        .await?;
    Ok(sql)
}

/// Makes the schema, for the owner of the tables alone. Making schemas may be the superuser's right only, as whom the session
/// logged in.
pub(super) async fn create(tx: &mut Tx, schema: &str, about: &str) -> Result<(), Error> {
    let (owner,): (String,) = sqlx::query_as("select current_user::text")
        .fetch_one(tx.conn())
        .await?;
    let form = "set local role none; create schema %1$I authorization %2$I; set local role %2$I;
        revoke all on schema %1$I from public; comment on schema %1$I is %3$L";
    let sql = written(tx, form, &[schema, &owner, about]).await?;
    run(tx, sql).await?;
    Ok(())
}

/// Says anew what the schema holds.
pub(super) async fn describe(tx: &mut Tx, schema: &str, about: &str) -> Result<(), Error> {
    let sql = written(tx, "comment on schema %I is %L", &[schema, about]).await?;
    run(tx, sql).await?;
    Ok(())
}

pub(super) async fn drop(tx: &mut Tx, schema: &str) -> Result<(), Error> {
    let sql = written(tx, "drop schema %I cascade", &[schema]).await?;
    run(tx, sql).await?;
    Ok(())
}

/// Schemas that may be ours, with what their comments say and their bytes.
pub(super) async fn schemas(tx: &mut Tx) -> Result<Vec<(String, String, i64)>, Error> {
    let rows = sqlx::query_as(
        "select n.nspname::text, obj_description(n.oid, 'pg_namespace'),
           coalesce((select sum(pg_total_relation_size(c.oid)) from pg_class c
             where c.relnamespace = n.oid and c.relkind = 'r'), 0)::bigint
         from pg_namespace n
         where n.nspname like 'restored\\_%' and obj_description(n.oid, 'pg_namespace') is not null
           and pg_has_role(n.nspowner, 'usage') order by 1",
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}

/// An empty table of the same columns beside.
pub(super) async fn make(tx: &mut Tx, schema: &str, table: &Table) -> Result<(), Error> {
    let (schema, name) = (quoted(schema), quoted(&table.name));
    let sql = format!(
        "create table {schema}.{name} (like public.{name});
         revoke all on {schema}.{name} from public, hub_app"
    );
    run(tx, sql).await?;
    Ok(())
}

/// A key, for what is asked of it later.
pub(super) async fn index(tx: &mut Tx, schema: &str, table: &Table) -> Result<(), Error> {
    let (schema, name) = (quoted(schema), quoted(&table.name));
    let own = std::iter::once(&table.owner);
    let columns: Vec<String> = own.chain(&table.key).map(|name| quoted(name)).collect();
    let columns = columns.join(", ");
    let sql =
        format!("alter table {schema}.{name} add primary key ({columns}); analyze {schema}.{name}");
    run(tx, sql).await?;
    Ok(())
}

/// One tenant's rows, from one database into another's schema; nothing is held in memory but a chunk. How many.
///
/// INVARIANT: `from` reads as the owner, on whom row-level security is forced: no other tenant's row can come.
pub(super) async fn stream(
    from: &mut Tx,
    to: &mut Tx,
    schema: &str,
    table: &Table,
    tenant: TenantId,
) -> Result<u64, Error> {
    let (columns, name) = (columns(table, ""), quoted(&table.name));
    let out = format!(
        "copy (select {columns} from public.{name} where {} = '{tenant}') to stdout",
        quoted(&table.owner)
    );
    let into = format!("copy {}.{name} ({columns}) from stdin", quoted(schema));
    let mut rows = from.conn().copy_out_raw(&out).await?;
    let mut copy = to.conn().copy_in_raw(&into).await?;
    let sent = async {
        while let Some(chunk) = rows.try_next().await? {
            copy.send(chunk).await?;
        }
        Ok::<_, sqlx::Error>(())
    };
    match sent.await {
        Ok(()) => Ok(copy.finish().await?),
        Err(error) => {
            copy.abort("the other side broke off").await?;
            Err(error.into())
        }
    }
}

/// How many rows of a tenant a table has, and the sum of their hashes.
pub(super) async fn sum(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
    tenant: TenantId,
) -> Result<(i64, String), Error> {
    let sql = format!(
        "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text
         from (select {} from {}.{} where {} = $1) t",
        columns(table, ""),
        quoted(schema),
        quoted(&table.name),
        quoted(&table.owner)
    );
    let row = sqlx::query_as(AssertSqlSafe(sql))
        .bind(tenant.uuid())
        .fetch_one(tx.conn())
        .await?;
    Ok(row)
}

/// One merge at a time; and what was done since the backup, by its ledger and what waits to be in it.
pub(super) async fn prepare(tx: &mut Tx, schema: &str) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(tx.conn())
        .await?;
    let schema = quoted(schema);
    let sql = format!(
        "create temp table since (operation text, uid text) on commit drop;
         create temp table decision (tbl text, key text, what text, primary key (tbl, key)) on commit drop;
         create temp table pick (tbl text, key text, label text, how text, by_name boolean, why text) on commit drop;
         insert into since
         select a.operation, coalesce(a.body::jsonb #>> '{{body,user,uid}}', a.body::jsonb #>> '{{body,resource,uid}}')
         from (select id, operation, body from public.ledger_entry where tenant_id = '{tenant}'
                 and idx >= coalesce((select size from {schema}.ledger_head), 0)
               union all select id, operation, body from public.ledger_outbox where tenant_id = '{tenant}') a
         where a.operation in ('user.lock', 'password.change', 'password.reset', 'role.update', 'role.assign')
           and not exists (select from {schema}.ledger_outbox o where o.id = a.id)"
    );
    run(tx, sql).await?;
    Ok(())
}

/// A row that is not the same on both sides.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) side: String,
    pub(super) key: String,
    pub(super) label: Option<String>,
    pub(super) changed: Option<Value>,
    pub(super) own: Option<String>,
    /// How many are of its side.
    pub(super) total: i64,
}

type PairRow = (
    String,
    String,
    Option<String>,
    Option<Value>,
    Option<String>,
    i64,
);

/// At most `limit` of each side.
pub(super) async fn compare(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
    rule: &Rule,
    limit: i64,
) -> Result<Vec<Pair>, Error> {
    let tenant = tx.tenant().uuid();
    let sql = format!(
        "select side, key, label, changed, own, total from (
           select p.*, count(*) over (partition by side) as total, row_number() over (partition by side order by key) as nth
           from ({}) p) counted
         where nth <= $2 order by side, key",
        pairs(table, schema, rule)
    );
    let rows: Vec<PairRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(tenant)
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    let pair = |(side, key, label, changed, own, total)| Pair {
        side,
        key,
        label,
        changed,
        own,
        total,
    };
    Ok(rows.into_iter().map(pair).collect())
}
