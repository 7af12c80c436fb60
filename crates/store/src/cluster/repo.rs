use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// The roles and the database that the hub uses, where they are missing. `name` is an identifier of ours.
pub(crate) async fn prepare(superuser: &PgConnectOptions, name: &str) -> Result<(), sqlx::Error> {
    let mut db = PgConnection::connect_with(superuser).await?;
    sqlx::raw_sql(
        "do $$ begin
           if not exists (select from pg_roles where rolname = 'hub_owner') then
             create role hub_owner login nosuperuser nobypassrls nocreatedb nocreaterole;
           end if;
           if not exists (select from pg_roles where rolname = 'hub_app') then
             create role hub_app login nosuperuser nobypassrls nocreatedb nocreaterole;
           end if;
           grant hub_app to hub_owner;
         exception when duplicate_object or unique_violation then null;
         end $$",
    )
    .execute(&mut db)
    .await?;
    let (there,): (bool,) =
        sqlx::query_as("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut db)
            .await?;
    if !there {
        // CREATE DATABASE takes no parameters.
        sqlx::raw_sql(AssertSqlSafe(format!(
            "create database {name} owner hub_owner"
        )))
        .execute(&mut db)
        .await?;
    }
    db.close().await
}
