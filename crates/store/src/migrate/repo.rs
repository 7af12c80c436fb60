use sqlx::{Connection as _, PgConnection};

/// The advisory lock that lets one replica migrate at a time: "hub migr" in ASCII.
const LOCK: i64 = 0x6875_6220_6d69_6772;

pub(crate) async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // Another replica may have much to do; but a lock that is never given back must not hang us for ever.
    sqlx::raw_sql("set lock_timeout = '15min'; set client_min_messages = 'warning'")
        .execute(&mut *connection)
        .await?;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn unlock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_unlock($1)")
        .bind(LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

/// The migrations' own table. `needs`: the oldest release that this migration leaves working, by its newest migration.
pub(crate) async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "create table if not exists hub_migration (
           number integer primary key, name text not null, checksum bytea not null,
           applied_at timestamptz not null default now());
         do $$ begin
           if not exists (select from pg_attribute where attrelid = 'hub_migration'::regclass and attname = 'needs') then
             alter table hub_migration add column needs integer;
           end if;
         end $$",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A server asks as the application's role, which the first migration makes, whether it is too old.
pub(crate) async fn publish(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "do $$ begin
           if not has_table_privilege('hub_app', 'hub_migration', 'select') then
             grant select on hub_migration to hub_app;
           end if;
         end $$",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The strictest `needs` of what was applied. None where nobody contracted yet, or nobody may ask.
pub(crate) async fn needs(connection: &mut PgConnection) -> Result<Option<i32>, sqlx::Error> {
    let (may,): (Option<bool>,) =
        sqlx::query_as("select has_table_privilege(to_regclass('hub_migration')::oid, 'select')")
            .fetch_one(&mut *connection)
            .await?;
    if may != Some(true) {
        return Ok(None);
    }
    // By way of JSON: a database that only older releases have migrated has no such column.
    let (needs,): (Option<i32>,) =
        sqlx::query_as("select max((to_jsonb(m)->>'needs')::integer) from hub_migration m")
            .fetch_one(connection)
            .await?;
    Ok(needs)
}

pub(crate) async fn applied(
    connection: &mut PgConnection,
) -> Result<Vec<(i32, String, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("select number, name, checksum from hub_migration order by number")
        .fetch_all(connection)
        .await
}

/// Runs a migration's text, with limits on how long it may wait for a lock or run.
pub(crate) async fn run_script(
    connection: &mut PgConnection,
    text: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("set local lock_timeout = '10s'; set local statement_timeout = '15min';")
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(text).execute(connection).await?;
    Ok(())
}

pub(crate) async fn record(
    connection: &mut PgConnection,
    number: i32,
    name: &str,
    checksum: &[u8],
    needs: Option<i32>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into hub_migration (number, name, checksum, needs) values ($1, $2, $3, $4)",
    )
    .bind(number)
    .bind(name)
    .bind(checksum)
    .bind(needs)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn forget(connection: &mut PgConnection, number: i32) -> Result<(), sqlx::Error> {
    sqlx::query("delete from hub_migration where number = $1")
        .bind(number)
        .execute(connection)
        .await?;
    Ok(())
}

/// The owner sees every tenant's rows until [`raise_walls`]; nobody else sees more than before.
pub(crate) async fn lift_walls(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    walls(
        connection,
        "do $$ declare walled regclass; begin
           for walled in select oid from pg_class where relnamespace = 'public'::regnamespace
             and relkind in ('r', 'p') and relrowsecurity and relforcerowsecurity
           loop execute format('alter table %s no force row level security', walled); end loop;
         end $$",
    )
    .await
}

/// Every table with row-level security forces it on its owner too, as `hub_protect` makes it.
pub(crate) async fn raise_walls(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    walls(
        connection,
        "do $$ declare walled regclass; begin
           for walled in select oid from pg_class where relnamespace = 'public'::regnamespace
             and relkind in ('r', 'p') and relrowsecurity and not relforcerowsecurity
           loop execute format('alter table %s force row level security', walled); end loop;
         end $$",
    )
    .await
}

/// All tables or none, with a limit on how long each is waited for.
async fn walls(connection: &mut PgConnection, text: &'static str) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::raw_sql("set local lock_timeout = '10s'")
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(text).execute(&mut *tx).await?;
    tx.commit().await
}

/// As [`applied`], for a database that may never have seen a migration.
pub(crate) async fn applied_if_any(
    connection: &mut PgConnection,
) -> Result<Vec<(i32, String, Vec<u8>)>, sqlx::Error> {
    let (there,): (bool,) = sqlx::query_as("select to_regclass('hub_migration') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if there {
        applied(connection).await
    } else {
        Ok(Vec::new())
    }
}
