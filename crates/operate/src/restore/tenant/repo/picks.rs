//! What is chosen of a copy, in tables that last as long as the transaction, and taken from there.

use hub_store::{Error, Tx};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::rules::{self, Rule};
use super::words::{self, columns, is_same, key, pairs, same_key};
use crate::restore::tenant::shape::{Parent, Table, quoted};

/// Takes in what was decided of single rows: of which table, which row, what.
pub(in crate::restore::tenant) async fn decide(
    tx: &mut Tx,
    rows: &[(String, String, String)],
) -> Result<(), Error> {
    let tables: Vec<&str> = rows.iter().map(|(table, ..)| table.as_str()).collect();
    let keys: Vec<&str> = rows.iter().map(|(_, key, _)| key.as_str()).collect();
    let words: Vec<&str> = rows.iter().map(|(.., what)| what.as_str()).collect();
    sqlx::query(
        "insert into pg_temp.decision select * from unnest($1::text[], $2::text[], $3::text[])",
    )
    .bind(tables)
    .bind(keys)
    .bind(words)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Decisions about rows that are on neither side.
pub(in crate::restore::tenant) async fn unknown(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
) -> Result<Vec<String>, Error> {
    let name = quoted(&table.name);
    let sql = format!(
        "select d.key from pg_temp.decision d where d.tbl = $1
           and not exists (select from {}.{name} b where {} = d.key)
           and not exists (select from public.{name} l where l.{} = $2 and {} = d.key) order by 1",
        quoted(schema),
        key(table, "b"),
        quoted(&table.owner),
        key(table, "l")
    );
    let tenant = tx.tenant().uuid();
    let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(&table.name)
        .bind(tenant)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

/// Which rows of a table are taken: `whole` is what was decided of the table.
pub(in crate::restore::tenant) async fn pick(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
    rule: &Rule,
    whole: &str,
) -> Result<(), Error> {
    let sql = format!(
        "insert into pg_temp.pick
         select * from (
           select $2::text, p.key, p.label,
             case when p.side = 'live' then null
               when d.what is not null then
                 case when p.side = 'backup' and d.what in ('missing', 'backup') then 'insert'
                   when p.side = 'differs' and d.what = 'backup' then case when $4 then 'row' else 'refused' end end
               when p.side = 'backup' and $3 in ('missing', 'backup')
                 then case when p.own is null then 'insert' else 'own' end
               when p.side = 'differs' and $3 = 'backup' and $4 and p.changed - $5::text[] <> '{{}}'
                 then case when p.own is null then 'columns' else 'own' end
             end as how, d.what is not null,
             case when p.own is not null then p.own
               when d.what = 'backup' and p.side = 'differs' and p.changed ?| $5::text[] then 'by name' end
           from ({}) p left join pg_temp.decision d on d.tbl = $2 and d.key = p.key) chosen
         where how is not null",
        pairs(table, schema, rule)
    );
    let tenant = tx.tenant().uuid();
    sqlx::query(AssertSqlSafe(sql))
        .bind(tenant)
        .bind(&table.name)
        .bind(whole)
        .bind(rule.may == rules::May::Replace)
        .bind(rule.kept)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A row that was chosen and cannot be taken, and why.
#[derive(Debug)]
pub(in crate::restore::tenant) struct Left {
    pub(in crate::restore::tenant) key: String,
    pub(in crate::restore::tenant) label: Option<String>,
    /// Whether it had a decision of its own.
    pub(in crate::restore::tenant) by_name: bool,
    pub(in crate::restore::tenant) why: Option<String>,
}

type LeftRow = (String, Option<String>, bool, Option<String>);

fn left((key, label, by_name, why): LeftRow) -> Left {
    Left {
        key,
        label,
        by_name,
        why,
    }
}

/// Those that wait for a decision of their own, or may not be changed.
pub(in crate::restore::tenant) async fn undecided(
    tx: &mut Tx,
    table: &Table,
) -> Result<Vec<Left>, Error> {
    let rows: Vec<LeftRow> = sqlx::query_as(
        "delete from pg_temp.pick where tbl = $1 and how in ('own', 'refused')
         returning key, label, by_name, case how when 'own' then why end as why",
    )
    .bind(&table.name)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(left).collect())
}

/// Those whose name, or what else must be unique, another row has now.
pub(in crate::restore::tenant) async fn taken(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
    unique: &[String],
) -> Result<Vec<Left>, Error> {
    let name = quoted(&table.name);
    let sql = format!(
        "delete from pg_temp.pick k using {}.{name} b
         where k.tbl = $1 and k.key = {} and exists (
           select from public.{name} l where {} and not ({}))
         returning k.key, k.label, k.by_name, null::text as why",
        quoted(schema),
        key(table, "b"),
        is_same(unique, unique),
        same_key(table)
    );
    let rows: Vec<LeftRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(&table.name)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(left).collect())
}

/// Those that refer to a row that is neither there nor taken.
pub(in crate::restore::tenant) async fn orphans(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
    parent: &Parent,
    above: &Table,
) -> Result<Vec<Left>, Error> {
    let (schema, name, up) = (quoted(schema), quoted(&table.name), quoted(&above.name));
    let set: Vec<String> = parent
        .from
        .iter()
        .map(|from| format!("b.{} is not null", quoted(from)))
        .collect();
    let sql = format!(
        "delete from pg_temp.pick k using {schema}.{name} b
         where k.tbl = $1 and k.how = 'insert' and k.key = {} and {}
           and not exists (select from public.{up} l where {same})
           and not exists (select from {schema}.{up} l join pg_temp.pick q
             on q.tbl = $2 and q.how = 'insert' and q.key = {} where {same})
         returning k.key, k.label, k.by_name, null::text as why",
        key(table, "b"),
        set.join(" and "),
        key(above, "l"),
        same = is_same(&parent.from, &parent.to),
    );
    let rows: Vec<LeftRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(&table.name)
        .bind(&above.name)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(left).collect())
}

/// The rows that are taken though their table's rule asks for a decision of their own.
pub(in crate::restore::tenant) async fn revived(tx: &mut Tx) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select tbl || '/' || key from pg_temp.pick where by_name and why is not null order by 1 limit 100",
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// How many were picked to be added and to be changed.
pub(in crate::restore::tenant) async fn picked(
    tx: &mut Tx,
    table: &Table,
) -> Result<(u64, u64), Error> {
    let (added, changed): (i64, i64) = sqlx::query_as(
        "select count(*) filter (where how = 'insert'), count(*) filter (where how <> 'insert')
         from pg_temp.pick where tbl = $1",
    )
    .bind(&table.name)
    .fetch_one(tx.conn())
    .await?;
    Ok((added.unsigned_abs(), changed.unsigned_abs()))
}

/// Adds what was picked. How many.
pub(in crate::restore::tenant) async fn insert(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
) -> Result<u64, Error> {
    let name = quoted(&table.name);
    let sql = format!(
        "insert into public.{name} ({}) overriding system value
         select {} from {}.{name} b join pg_temp.pick k on k.tbl = $1 and k.how = 'insert' and k.key = {}",
        columns(table, ""),
        columns(table, "b."),
        quoted(schema),
        key(table, "b")
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(&table.name)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected())
}

/// Puts back what differs: every column where the row was decided of, else not those that the rule keeps. How many.
pub(in crate::restore::tenant) async fn replace(
    tx: &mut Tx,
    schema: &str,
    table: &Table,
    rule: &Rule,
) -> Result<u64, Error> {
    let (schema, name) = (quoted(schema), quoted(&table.name));
    let mut count = 0;
    for (how, kept) in [("row", &[][..]), ("columns", rule.kept)] {
        let set = words::assignments(table, kept);
        if set.is_empty() {
            continue;
        }
        let sql = format!(
            "update public.{name} l set {set} from {schema}.{name} b join pg_temp.pick k
               on k.tbl = $1 and k.how = $2 and k.key = {} where l.{} = $3 and {}",
            key(table, "b"),
            quoted(&table.owner),
            same_key(table)
        );
        let tenant: Uuid = tx.tenant().uuid();
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(&table.name)
            .bind(how)
            .bind(tenant)
            .execute(tx.conn())
            .await?;
        count += done.rows_affected();
    }
    Ok(count)
}
