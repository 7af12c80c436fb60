use sqlx::{Connection as _, PgConnection};

use crate::error::Error;

pub(super) async fn drop_table(db: &mut PgConnection, table: &str) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    // Utility statements take no parameters: they read them from a setting of the transaction.
    sqlx::query("select set_config('harm.table', $1, true)")
        .bind(table)
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(
        "do $$ begin execute format('drop table public.%I cascade', current_setting('harm.table')); end $$",
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub(super) async fn migrate_badly(
    db: &mut PgConnection,
    table: &str,
    column: &str,
) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    sqlx::query("select set_config('harm.table', $1, true), set_config('harm.column', $2, true)")
        .bind(table)
        .bind(column)
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(
        "do $$ begin
           execute format('alter table public.%I drop column %I cascade',
             current_setting('harm.table'), current_setting('harm.column'));
         end $$",
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into hub_migration (number, name, checksum)
         select max(number) + 1, 'a_bad_one', ''::bytea from hub_migration",
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub(super) async fn alter_entry(
    db: &mut PgConnection,
    slug: &str,
    index: i64,
) -> Result<bool, Error> {
    let mut tx = db.begin().await?;
    sqlx::raw_sql("set local session_replication_role = replica")
        .execute(&mut *tx)
        .await?;
    let done = sqlx::query(
        "update ledger_entry e set body = overlay(e.body placing
           case substr(e.body, length(e.body) / 2, 1) when 'X' then 'Y' else 'X' end from length(e.body) / 2 for 1)
         from tenant t where t.id = e.tenant_id and t.slug = $1 and e.idx = $2",
    )
    .bind(slug)
    .bind(index)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn file_of(db: &mut PgConnection, table: &str) -> Result<String, Error> {
    sqlx::raw_sql("checkpoint").execute(&mut *db).await?;
    let (file,): (String,) = sqlx::query_as(
        "select pg_relation_filepath(c.oid) from pg_class c
         where c.relnamespace = 'public'::regnamespace and c.relname = $1",
    )
    .bind(table)
    .fetch_one(db)
    .await?;
    Ok(file)
}
