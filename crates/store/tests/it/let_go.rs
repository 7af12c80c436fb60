//! Work that nobody waits for any more: a client hung up, a limit passed. Whoever has the connection next notices nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hub_base::{SystemClock, TenantId};
use hub_events::{Act, Class, Event, LogSource};
use hub_store::ingest::{self, Batch};
use hub_store::{Cx, Endpoints, Error, Store, connect};
use hub_testkit::TestDb;
use serde_json::{Map, json};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

/// Goes on with `work` for so many polls and lets it go where it stands; what it gave if it was done before.
async fn let_go<T>(after: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls >= after => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A way to the database on which every answer takes a moment, so that whoever asks has to wait.
async fn slow_way(db: &TestDb) -> Endpoints {
    let mut endpoints = db.endpoints();
    let folder = endpoints.app.get_socket().expect("the way is a socket");
    let there = folder.join(format!(".s.PGSQL.{}", endpoints.app.get_port()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&there).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut part = [0; 8192];
                while let Ok(size @ 1..) = from_server.read(&mut part).await {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    if to_client.write_all(&part[..size]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let role = endpoints.app.get_username().to_owned();
    let database = endpoints.app.get_database().unwrap().to_owned();
    endpoints.app = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(here.port())
        .username(&role)
        .database(&database);
    endpoints
}

fn act() -> Act {
    Act::new("test.act", Class::Base, 1, "admin")
}

/// Has the connection next, as another tenant: asks who it is, what it may and how it counts, then writes. Which
/// connection it is: one that was given up for another would hide the fault.
async fn next_in_line(cx: &Cx) -> Result<i32, Error> {
    let mut tx = cx.write().await?;
    let mut process = 0;
    for n in 0..3 {
        let (tenant, read_only, same, server): (String, String, i32, i32) = sqlx::query_as(
            "select current_setting('app.tenant'), current_setting('transaction_read_only'), $1, pg_backend_pid()",
        )
        .bind(n)
        .fetch_one(tx.conn())
        .await?;
        assert_eq!(tenant, cx.tenant().to_string());
        assert_eq!((read_only.as_str(), same), ("off", n));
        process = server;
    }
    tx.commit(act()).await?;
    Ok(process)
}

/// `work` as `acme`, let go one poll later each time until it is done; the only connection goes to `other` each time.
async fn at_every_moment<T, F>(
    what: &str,
    cxs: &(Cx, Cx),
    mut work: impl FnMut(Cx) -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let (acme, other) = cxs;
    let process = next_in_line(other).await?;
    for after in 1..200 {
        let done = let_go(after, work(acme.clone())).await;
        match next_in_line(other).await {
            Ok(same) => assert_eq!(same, process, "after {after} polls of {what}"),
            Err(error) => panic!("after {after} polls of {what}: {error:?}"),
        }
        if let Some(done) = done {
            assert!(after > 1, "{what} never waited");
            return done.map(drop);
        }
    }
    panic!("{what} is never done");
}

async fn count(store: &Store, tenant: TenantId, sql: &'static str) -> i64 {
    let mut tx = store.read(tenant).await.unwrap();
    let row: (i64,) = sqlx::query_as(sql).fetch_one(tx.conn()).await.unwrap();
    row.0
}

#[tokio::test]
async fn work_that_is_let_go_at_any_moment_leaves_the_connection_in_order() {
    let db = hub_testkit::database().await;
    let store = connect(&slow_way(&db).await, 1, Arc::new(SystemClock));
    let tenants = (
        hub_testkit::tenant(&store, "acme").await,
        hub_testkit::tenant(&store, "other").await,
    );
    let cxs = (
        Cx::system(store.clone(), tenants.0, "test"),
        Cx::system(store.clone(), tenants.1, "test"),
    );
    let mut body = Map::new();
    body.insert("class_uid".into(), json!(3002));
    let event = Event {
        time: store.clock().now(),
        source: LogSource::new("linux", "sshd"),
        body,
    };
    let batch = Arc::new(Batch {
        source: "sshd".into(),
        events: vec![event; 3],
        ..Batch::default()
    });
    for _ in 0..5 {
        at_every_moment("a reader's begin", &cxs, |cx| async move {
            cx.read().await.map(drop)
        })
        .await
        .unwrap();
        at_every_moment("a writer", &cxs, |cx| async move {
            cx.write().await?.commit(act()).await
        })
        .await
        .unwrap();
        at_every_moment("a batch", &cxs, |cx| {
            let batch = Arc::clone(&batch);
            async move { ingest::append(&cx, batch).await }
        })
        .await
        .unwrap();
    }
    // Those that somebody waited for, whole; the others not at all: whoever was told to come again would send them twice.
    let batches = count(&store, tenants.0, "select count(*) from event_batch").await;
    let events = count(&store, tenants.0, "select count(*) from event").await;
    let entries = "select count(*) from ledger_outbox where operation = 'events.ingest'";
    let entries = count(&store, tenants.0, entries).await;
    assert_eq!((batches, events, entries), (5, 15, 5));
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_told_when_it_holds() {
    let db = hub_testkit::database().await;
    let store = connect(&slow_way(&db).await, 1, Arc::new(SystemClock));
    let cx = Cx::system(store.clone(), TenantId::SYSTEM, "test");
    let mut bus = store.bus().listen();
    let mut told = 0;
    // The statements are known to the connection from here on: each way takes the same steps.
    cx.write().await.unwrap().commit(act()).await.unwrap();
    for after in 1..50 {
        let tx = cx.write().await.unwrap();
        let done = let_go(after, tx.commit(act())).await;
        // Who reads after it sees what became of it; so does who listens.
        let sql = "select count(*) from ledger_outbox";
        let there = count(&store, TenantId::SYSTEM, sql).await;
        while bus.try_recv().is_ok() {
            told += 1;
        }
        assert_eq!(told, there, "after {after} polls");
        if done.is_some() {
            return;
        }
    }
    panic!("it is never done");
}
