use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::connect::APP_ROLE;
use crate::error::Error;

async fn open(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let options = options.clone().application_name("hubctl keys");
    Ok(PgConnection::connect_with(&options).await?)
}

/// Statements about roles take no parameters.
///
/// INVARIANT: callers pass names and verifiers without quotes.
async fn run(options: &PgConnectOptions, statements: String) -> Result<(), Error> {
    let mut db = open(options).await?;
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(&mut db)
        .await?;
    db.close().await?;
    Ok(())
}

pub(super) async fn prepare(
    owner: &PgConnectOptions,
    login: &str,
    verifier: &str,
) -> Result<(), Error> {
    let statements = format!(
        "begin;
         do $$ begin
           if not exists (select from pg_roles where rolname = '{login}') then
             create role {login} nosuperuser nobypassrls nocreatedb nocreaterole;
           end if;
           if not pg_has_role('{login}', '{APP_ROLE}', 'member') then
             grant {APP_ROLE} to {login};
           end if;
         end $$;
         alter role {login} login password '{verifier}';
         alter role {login} set role = '{APP_ROLE}';
         commit"
    );
    run(owner, statements).await
}

pub(super) async fn prove(options: &PgConnectOptions) -> Result<String, Error> {
    let mut db = open(options).await?;
    let (role,): (String,) =
        sqlx::query_as("select current_user::text from (select count(*) from tenant) readable")
            .fetch_one(&mut db)
            .await?;
    db.close().await?;
    Ok(role)
}

pub(super) async fn retire(owner: &PgConnectOptions, login: &str) -> Result<(), Error> {
    run(owner, format!("alter role {login} nologin password null")).await
}
