//! The database goes away and comes back; callers hear "unavailable" and then go on.

use std::sync::Arc;

use hub_base::{ErrorKind, SystemClock, TenantId};
use hub_events::{Act, Class};
use hub_store::{Cx, Error, PrivateCluster, connect, migrate};
use sqlx::Executor as _;

fn act() -> Act {
    Act::new("test.act", Class::Base, 1, "admin")
}

#[tokio::test]
async fn a_database_that_stops_mid_flight_is_unavailable_and_then_back() {
    let home = tempfile::tempdir().unwrap();
    let cluster = PrivateCluster::start(home.path()).await.unwrap();
    let endpoints = cluster.endpoints().unwrap();
    migrate::run(&endpoints).await.unwrap();
    let store = connect(&endpoints, 4, Arc::new(SystemClock));
    let cx = Cx::system(store.clone(), TenantId::SYSTEM, "test");
    let tx = cx.write().await.unwrap();

    cluster.server().stop().unwrap();
    assert_eq!(
        tx.commit(act()).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );

    // As an operator would; the cluster's watch may be quicker.
    cluster.server().start().unwrap();
    cx.write().await.unwrap().commit(act()).await.unwrap();
    let mut tx = cx.read().await.unwrap();
    let (count,): (i64,) = sqlx::query_as("select count(*) from ledger_outbox")
        .fetch_one(tx.conn())
        .await
        .unwrap();
    assert_eq!(
        count, 1,
        "what failed was not stored, what succeeded was stored once"
    );
    drop(tx);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn killed_sessions_are_replaced_without_the_next_caller_noticing() {
    let db = hub_testkit::database().await;
    let store = db.store();
    let cx = Cx::system(store.clone(), TenantId::SYSTEM, "test");
    cx.write().await.unwrap().commit(act()).await.unwrap();
    let mut root = <sqlx::PgConnection as sqlx::Connection>::connect(&db.url_superuser)
        .await
        .unwrap();
    root.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'hub_app' and datname = current_database()")
        .await
        .unwrap();
    cx.write().await.unwrap().commit(act()).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_and_a_shutdown_are_no_fault_of_the_statement() {
    let db = hub_testkit::database().await;
    let mut tx = db.store().read(TenantId::SYSTEM).await.unwrap();
    let fault =
        sqlx::raw_sql("do $$ begin raise exception 'no space' using errcode = 'disk_full'; end $$")
            .execute(tx.conn())
            .await
            .map_err(Error::from)
            .unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_server_that_became_a_standby_is_unavailable() {
    let db = hub_testkit::database().await;
    let mut tx = db.store().read(TenantId::SYSTEM).await.unwrap();
    // A standby refuses as a read-only transaction does, with the same code.
    let fault = sqlx::raw_sql("create table t (n int)")
        .execute(tx.conn())
        .await
        .map_err(Error::from)
        .unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Unavailable, "{fault:?}");
}
