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
    Event { time: store.clock().now(), source: LogSource::new("linux", "sshd"), body }
}

#[tokio::test]
async fn a_batch_comes_back_as_it_was_sent() {
    let db = hub_testkit::database().await;
    let store = db.store();
    let tenant = hub_testkit::tenant(&store, "acme").await;
    let nasty = ["plain", "tab\tand\nnewline\r", r"back\slash \N \.", "nul \u{0} here", "ü 🦀 \u{7f}"];
    let events: Vec<Event> =
        nasty.iter().enumerate().map(|(n, text)| event(&store, n as u32, text)).collect();
    let quarantined = vec![
        Quarantined { line: 7, reason: "not JSON".into(), raw: "{\u{0}nope".into() },
        Quarantined { line: 7, reason: "not JSON".into(), raw: "x".repeat(20_000) },
    ];
    let batch = Batch { source: "sshd".into(), events: events.clone(), quarantined, idempotency_key: None };
    let receipt = ingest::append(&cx(&store, tenant), &batch).await.unwrap();
    assert_eq!((receipt.accepted, receipt.quarantined, receipt.fresh), (5, 2, true));

    let mut tx = store.read(tenant).await.unwrap();
    let stored = ingest::batch(&mut tx, receipt.batch, 0, 100).await.unwrap();
    let back: Vec<Event> = stored.iter().map(|stored| stored.event.clone()).collect();
    assert_eq!(back, events);
    assert_eq!(stored[2].uid, format!("{}/2", receipt.batch));
    let page = ingest::batch(&mut tx, receipt.batch, 3, 1).await.unwrap();
    assert_eq!(page.iter().map(|event| event.ordinal).collect::<Vec<_>>(), [3]);
    let kept = ingest::quarantine(&mut tx, 10).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|line| line.line.raw.len() <= 8192 && line.line.line == 7));
}
