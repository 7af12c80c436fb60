//! Batches of foreign events: stored whole, once, and read back in order.

use hub_base::TenantId;
use hub_events::{Event, LogSource};
use hub_store::ingest::{self, Batch, Quarantined};
use hub_store::{Cx, Store};
use serde_json::{Map, json};

fn cx(store: &Store, tenant: TenantId) -> Cx {
    Cx::system(store.clone(), tenant, "test")
}

fn event(store: &Store, n: u32, message: &str) -> Event {
    let mut body = Map::new();
    body.insert("class_uid".into(), json!(3002));
    body.insert("message".into(), json!(message));
    body.insert("n".into(), json!(n));
    Event {
        time: store.clock().now(),
        source: LogSource::new("linux", "sshd"),
        body,
    }
}

#[tokio::test]
async fn a_batch_comes_back_as_it_was_sent() {
    let db = hub_testkit::database().await;
    let store = db.store();
    let tenant = hub_testkit::tenant(&store, "acme").await;
    let nasty = [
        "plain",
        "tab\tand\nnewline\r",
        r"back\slash \N \.",
        "nul \u{0} here",
        "ü 🦀 \u{7f}",
    ];
    let events: Vec<Event> = nasty
        .iter()
        .enumerate()
        .map(|(n, text)| event(&store, n as u32, text))
        .collect();
    let quarantined = vec![
        Quarantined {
            line: 7,
            reason: "not JSON".into(),
            raw: "{\u{0}nope".into(),
        },
        Quarantined {
            line: 7,
            reason: "not JSON".into(),
            raw: "x".repeat(20_000),
        },
    ];
    let batch = Batch {
        source: "sshd".into(),
        events: events.clone(),
        quarantined,
        idempotency_key: None,
    };
    let receipt = ingest::append(&cx(&store, tenant), batch).await.unwrap();
    assert_eq!(
        (receipt.accepted, receipt.quarantined, receipt.fresh),
        (5, 2, true)
    );

    let mut tx = store.read(tenant).await.unwrap();
    let stored = ingest::batch(&mut tx, receipt.batch, 0, 100).await.unwrap();
    let back: Vec<Event> = stored.iter().map(|stored| stored.event.clone()).collect();
    assert_eq!(back, events);
    assert_eq!(stored[2].uid, format!("{}/2", receipt.batch));
    let page = ingest::batch(&mut tx, receipt.batch, 3, 1).await.unwrap();
    assert_eq!(
        page.iter().map(|event| event.ordinal).collect::<Vec<_>>(),
        [3]
    );
    let kept = ingest::quarantine(&mut tx, 10).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(
        kept.iter()
            .all(|line| line.line.raw.len() <= 8192 && line.line.line == 7)
    );
}

#[tokio::test]
async fn a_large_batch_is_whole_and_its_digest_stands_in_the_outbox() {
    let db = hub_testkit::database().await;
    let store = db.store();
    let tenant = hub_testkit::tenant(&store, "acme").await;
    let events: Vec<Event> = (0..9_000).map(|n| event(&store, n, "line")).collect();
    let batch = Batch {
        source: "sshd".into(),
        events,
        ..Batch::default()
    };
    let receipt = ingest::append(&cx(&store, tenant), batch).await.unwrap();

    let mut tx = store.read(tenant).await.unwrap();
    let stored = ingest::batch(&mut tx, receipt.batch, 0, 10_000)
        .await
        .unwrap();
    assert_eq!(stored.len(), 9_000);
    assert!(
        stored
            .iter()
            .enumerate()
            .all(|(n, event)| event.ordinal as usize == n)
    );
    let bodies: Vec<String> = stored
        .iter()
        .map(|event| serde_json::to_string(&event.event.body).unwrap())
        .collect();
    let digest = hex::encode(ingest::digest(bodies.iter().map(String::as_str)));
    let (act,): (String,) =
        sqlx::query_as("select body from ledger_outbox where operation = 'events.ingest'")
            .fetch_one(tx.conn())
            .await
            .unwrap();
    let act: serde_json::Value = serde_json::from_str(&act).unwrap();
    assert_eq!(act["body"]["unmapped"]["batch"]["sha256"], json!(digest));
    assert_eq!(act["body"]["unmapped"]["batch"]["accepted"], json!(9_000));
}

#[tokio::test]
async fn the_same_key_is_stored_once_however_many_send_it_at_once() {
    let db = hub_testkit::database().await;
    let store = db.store();
    let tenant = hub_testkit::tenant(&store, "acme").await;
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let cx = cx(&store, tenant);
        let batch = Batch {
            source: "sshd".into(),
            events: vec![event(&store, 1, "once")],
            quarantined: Vec::new(),
            idempotency_key: Some("upload-1".into()),
        };
        senders.spawn(async move { ingest::append(&cx, batch).await.unwrap() });
    }
    let receipts = senders.join_all().await;
    assert_eq!(receipts.iter().filter(|receipt| receipt.fresh).count(), 1);
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.batch == receipts[0].batch && receipt.accepted == 1)
    );
    let mut tx = store.read(tenant).await.unwrap();
    let (rows,): (i64,) = sqlx::query_as("select count(*) from event")
        .fetch_one(tx.conn())
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn events_of_another_day_get_that_days_partition() {
    let db = hub_testkit::database().await;
    let store = db.store();
    let tenant = hub_testkit::tenant(&store, "acme").await;
    for _ in 0..3 {
        let batch = Batch {
            events: vec![event(&store, 1, "x")],
            ..Batch::default()
        };
        ingest::append(&cx(&store, tenant), batch).await.unwrap();
        db.clock.advance(std::time::Duration::from_hours(24 * 5));
    }
    let mut owner = <sqlx::PgConnection as sqlx::Connection>::connect(&db.url_superuser)
        .await
        .unwrap();
    let (partitions, strays): (i64, i64) = sqlx::query_as(
        "select count(distinct tableoid), (select count(*) from event_rest) from event",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!((partitions, strays), (3, 0));
}

#[tokio::test]
async fn a_lease_has_one_owner_until_it_ends() {
    use hub_store::lease::{acquire, release};
    use std::time::Duration;
    let db = hub_testkit::database().await;
    let store = db.store();
    let tenant = hub_testkit::tenant(&store, "acme").await;
    let take = async |owner: &str, ttl: Duration| {
        let mut tx = store.write(&cx(&store, tenant)).await.unwrap();
        let taken = acquire(&mut tx, "detect", owner, ttl).await.unwrap();
        tx.commit_progress().await.unwrap();
        taken
    };
    let minute = Duration::from_mins(1);
    assert!(take("a", minute).await);
    assert!(!take("b", minute).await, "held");
    assert!(take("a", Duration::ZERO).await, "renewed, to end at once");
    assert!(take("b", minute).await, "over, so it changes hands");
    let mut tx = store.write(&cx(&store, tenant)).await.unwrap();
    release(&mut tx, "detect", "a").await.unwrap();
    tx.commit_progress().await.unwrap();
    assert!(!take("a", minute).await, "only its owner gives it back");
}

/// The figure itself is `cargo bench`'s; here a small run shows that the measuring works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ingest_bench_measures() {
    let rows = std::env::var("HUB_INGEST_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4_000_usize);
    let writers = std::env::var("HUB_INGEST_WRITERS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2);
    let batch = 4_000.min(rows);
    let figures = hub_testkit::measure_ingest(rows / batch, batch, writers)
        .await
        .unwrap();
    println!("{figures:?} ratio {:.2}", figures.ratio());
    assert_eq!(figures.rows, rows);
}
