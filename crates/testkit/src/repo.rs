use std::str::FromStr as _;
use std::time::{Duration, Instant};

use hub_base::TenantId;
use hub_events::Event;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// One statement as the superuser. CREATE and DROP DATABASE take no parameters; the names are our own.
async fn run(superuser: &str, statement: String) -> anyhow::Result<()> {
    let mut db = open(superuser).await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut db)
        .await?;
    db.close().await?;
    Ok(())
}

/// One statement, whoever's URL it is.
pub(crate) async fn execute(url: &str, statement: &str) -> anyhow::Result<()> {
    run(url, statement.to_owned()).await
}

/// As whom the sessions of that name logged in, each once. Their role is another one: `usename` is the login.
pub(crate) async fn logins(url: &str, application: &str) -> anyhow::Result<Vec<String>> {
    let mut db = open(url).await?;
    let names: Vec<(String,)> = sqlx::query_as(
        "select distinct usename::text from pg_stat_activity where application_name = $1 order by 1",
    )
    .bind(application)
    .fetch_all(&mut db)
    .await?;
    db.close().await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

async fn open(url: &str) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect_with(&PgConnectOptions::from_str(url)?).await?)
}

pub(crate) async fn exists(superuser: &str, name: &str) -> anyhow::Result<bool> {
    let mut db = open(superuser).await?;
    let (there,): (bool,) =
        sqlx::query_as("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut db)
            .await?;
    db.close().await?;
    Ok(there)
}

/// The owner's role and an empty database of that name.
pub(crate) async fn prepare(superuser: &str, name: &str) -> anyhow::Result<()> {
    run(
        superuser,
        "do $$ begin
           if not exists (select from pg_roles where rolname = 'hub_owner') then
             create role hub_owner login createrole;
           end if;
         end $$"
            .to_owned(),
    )
    .await?;
    run(
        superuser,
        format!("drop database if exists {name} with (force)"),
    )
    .await?;
    run(superuser, format!("create database {name} owner hub_owner")).await
}

pub(crate) async fn rename(superuser: &str, from: &str, to: &str) -> anyhow::Result<()> {
    run(superuser, format!("alter database {from} rename to {to}")).await
}

pub(crate) async fn clone(superuser: &str, template: &str, name: &str) -> anyhow::Result<()> {
    run(
        superuser,
        format!("create database {name} template {template} owner hub_owner"),
    )
    .await
}

pub(crate) async fn drop_database(superuser: &str, name: &str) -> anyhow::Result<()> {
    run(
        superuser,
        format!("drop database if exists {name} with (force)"),
    )
    .await
}

/// What killed test processes left behind, and templates of other schemas.
pub(crate) async fn drop_leftovers(superuser: &str) -> anyhow::Result<()> {
    let mut db = open(superuser).await?;
    let names: Vec<(String,)> =
        sqlx::query_as("select datname::text from pg_database where datname ~ '^(t|build|tmpl)_'")
            .fetch_all(&mut db)
            .await?;
    db.close().await?;
    for (name,) in names {
        drop_database(superuser, &name).await?;
    }
    Ok(())
}

/// The time that a plain COPY of `events`, `times` times over, takes into a table like `event` without the wall.
/// Each round is a transaction, as each batch is.
pub(crate) async fn raw_copy(
    owner: &str,
    times: usize,
    events: &[Event],
) -> anyhow::Result<Duration> {
    let mut db = open(owner).await?;
    sqlx::raw_sql("create table raw_event (like event including all)")
        .execute(&mut db)
        .await?;
    let mut spent = Duration::ZERO;
    for round in 0..times {
        let rows = text(round, events);
        let started = Instant::now();
        let mut copy = db.copy_in_raw("copy raw_event from stdin").await?;
        for chunk in rows.chunks(256 * 1024) {
            copy.send(chunk).await?;
        }
        copy.finish().await?;
        spent += started.elapsed();
    }
    db.close().await?;
    Ok(spent)
}

/// The rows as COPY's text.
fn text(round: usize, events: &[Event]) -> Vec<u8> {
    let mut rows = Vec::new();
    for (ordinal, event) in events.iter().enumerate() {
        let body = serde_json::to_string(&event.body)
            .unwrap_or_default()
            .replace('\\', "\\\\");
        let (source, at) = (&event.source, event.time);
        let line = format!(
            "{}\t00000000-0000-7000-8000-{round:012}\t{ordinal}\t{at}\t{at}\t{}\t{}\t{}\t\\N\t{body}\n",
            TenantId::SYSTEM,
            event.class_uid(),
            source.product,
            source.service,
        );
        rows.extend_from_slice(line.as_bytes());
    }
    rows
}
