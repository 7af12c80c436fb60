use std::sync::Arc;
use std::time::Duration;

use hub_base::{PageRequest, TenantId};
use hub_events::{Act, Class, Event, LogSource, Outcome};
use hub_store::ingest::Batch;
use hub_testkit::TestDb;
use serde_json::json;

use super::*;
use crate::finding::EntityKind;
use crate::rules::RuleSet;
use crate::testing::NoSigner;

struct Bench {
    db: TestDb,
    store: Store,
    tenant: TenantId,
    rules: Arc<RuleSet>,
}

impl Bench {
    async fn new() -> Self {
        let db = hub_testkit::database().await;
        let store = db.store();
        let tenant = hub_testkit::tenant(&store, "acme").await;
        let (rules, faults) = RuleSet::embedded();
        assert!(faults.is_empty(), "{faults:?}");
        Self {
            db,
            store,
            tenant,
            rules: Arc::new(rules),
        }
    }

    fn cx(&self) -> Cx {
        Cx::system(self.store.clone(), self.tenant, "test")
    }

    fn detector(&self) -> TenantDetector {
        TenantDetector::new(Arc::clone(&self.rules), Arc::clone(self.store.clock()))
    }

    /// A sign-in refused five seconds after the one before.
    async fn refuse(&self, user: u32) {
        self.db.clock.advance(Duration::from_secs(5));
        let act = Act::new("session.refuse", Class::Authentication, 1, "auth")
            .outcome(Outcome::Failure)
            .with("user.name", format!("user{user}"))
            .with("src_endpoint.ip", "203.0.113.9");
        self.cx().write().await.unwrap().commit(act).await.unwrap();
    }

    async fn sequence(&self) {
        while sequence::run_once(&self.store, self.tenant, &NoSigner)
            .await
            .unwrap()
            .is_some()
        {}
    }

    /// Reads to the end and commits; the rules of what was found.
    async fn drain(&self, detector: &mut TenantDetector, limit: usize) -> Vec<String> {
        self.sequence().await;
        let mut out = Vec::new();
        loop {
            match step(&self.cx(), detector, limit).await.unwrap() {
                Step::Idle => return out,
                Step::Read { .. } => {}
                Step::Found(found) => {
                    let findings = found.commit().await.unwrap();
                    out.extend(findings.into_iter().map(|finding| finding.rule));
                }
            }
        }
    }

    async fn stored(&self) -> Vec<Finding> {
        let mut tx = self.store.read(self.tenant).await.unwrap();
        findings::list(&mut tx, &PageRequest::new(None, Some(500)))
            .await
            .unwrap()
            .items
    }
}

fn refusal(second: i64, address: &str) -> Event {
    let time = Timestamp::from_unix_seconds(1_700_000_000 + second);
    let mut event = Event {
        time,
        source: LogSource::new("linux", "sshd"),
        body: serde_json::Map::new(),
    };
    for (path, value) in [("class_uid", 3002), ("activity_id", 1), ("status_id", 2)] {
        event.set(path, value);
    }
    event.set("time", json!(time.unix_millis()));
    event.set("user.name", "root");
    event.set("src_endpoint.ip", address);
    event
}

#[tokio::test]
async fn a_spray_is_found_once_and_stands_in_the_ledger() {
    let bench = Bench::new().await;
    let mut detector = bench.detector();
    for user in 0..12 {
        bench.refuse(user).await;
    }
    assert_eq!(
        bench.drain(&mut detector, 1000).await,
        ["hub-password-spray"]
    );
    let stored = bench.stored().await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].primary.value, "203.0.113.9");
    assert_eq!(stored[0].primary.kind, EntityKind::Address);
    assert_eq!(stored[0].techniques, ["T1110.003"]);
    assert_eq!(stored[0].events.len(), 10);
    bench.sequence().await;
    let mut tx = bench.store.read(bench.tenant).await.unwrap();
    let entries = sequence::entries(&mut tx, None, 100).await.unwrap();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.operation == "finding.create")
            .count(),
        1
    );
}

#[tokio::test]
async fn findings_that_were_not_committed_are_found_again_once() {
    let bench = Bench::new().await;
    let mut detector = bench.detector();
    for user in 0..10 {
        bench.refuse(user).await;
    }
    bench.sequence().await;
    // What stands or falls with the findings failed.
    assert!(matches!(
        step(&bench.cx(), &mut detector, 100).await.unwrap(),
        Step::Found(_)
    ));
    assert!(bench.stored().await.is_empty());
    assert_eq!(
        bench.drain(&mut detector, 100).await,
        ["hub-password-spray"]
    );
    assert!(bench.drain(&mut bench.detector(), 100).await.is_empty());
    assert_eq!(bench.stored().await.len(), 1);
}

#[tokio::test]
async fn a_restart_remembers_the_window_before_it() {
    let bench = Bench::new().await;
    for user in 0..6 {
        bench.refuse(user).await;
    }
    assert!(bench.drain(&mut bench.detector(), 100).await.is_empty());
    for user in 6..9 {
        bench.refuse(user).await;
    }
    assert!(bench.drain(&mut bench.detector(), 2).await.is_empty());
    bench.refuse(9).await;
    assert_eq!(
        bench.drain(&mut bench.detector(), 100).await,
        ["hub-password-spray"]
    );
    bench.refuse(10).await;
    assert!(bench.drain(&mut bench.detector(), 100).await.is_empty());
}

#[tokio::test]
async fn a_big_batch_is_read_in_chunks_across_restarts() {
    let bench = Bench::new().await;
    let events: Vec<Event> = (0..40)
        .map(|n| refusal(n, if n < 35 { "192.0.2.1" } else { "192.0.2.2" }))
        .collect();
    let batch = Batch {
        source: "sshd".into(),
        events,
        ..Batch::default()
    };
    ingest::append(&bench.cx(), batch).await.unwrap();
    bench.sequence().await;
    let mut rules = Vec::new();
    // A new worker for each step of three events.
    loop {
        match step(&bench.cx(), &mut bench.detector(), 3).await.unwrap() {
            Step::Idle => break,
            Step::Read { events, .. } => assert!(events <= 3),
            Step::Found(found) => {
                rules.extend(found.commit().await.unwrap());
                bench.sequence().await;
            }
        }
    }
    let firsts: Vec<&Finding> = rules
        .iter()
        .filter(|f| f.dedup_key.ends_with("/0"))
        .collect();
    assert_eq!(firsts.len(), 1, "{rules:?}");
    assert_eq!(firsts[0].primary.value, "192.0.2.1");
    assert_eq!(firsts[0].count, 6);
}

#[tokio::test]
async fn two_workers_do_not_both_move_on() {
    let bench = Bench::new().await;
    let (mut one, mut two) = (bench.detector(), bench.detector());
    for user in 0..10 {
        bench.refuse(user).await;
    }
    bench.sequence().await;
    let Step::Found(first) = step(&bench.cx(), &mut one, 100).await.unwrap() else {
        panic!()
    };
    let cx = bench.cx();
    let second = step(&cx, &mut two, 100);
    let (committed, overtaken) = tokio::join!(first.commit(), second);
    assert_eq!(committed.unwrap().len(), 1);
    match overtaken {
        Err(Error::Overtaken) | Ok(Step::Read { .. } | Step::Idle) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.stored().await.len(), 1);
}

#[tokio::test]
async fn what_was_learned_outlives_the_worker() {
    let bench = Bench::new().await;
    let login = |session: &str, address: &str, agent: &str| {
        Act::new("session.begin", Class::Authentication, 1, "auth")
            .with("user.uid", "ada")
            .with("session.uid", session)
            .with("device.uid", "d1")
            .with("src_endpoint.ip", address)
            .with("http_request.user_agent", agent)
    };
    bench
        .cx()
        .write()
        .await
        .unwrap()
        .commit(login("s1", "198.51.100.1", "Firefox"))
        .await
        .unwrap();
    assert!(bench.drain(&mut bench.detector(), 100).await.is_empty());
    // Long after the replayed window.
    bench.db.clock.advance(Duration::from_hours(2));
    let moved = Act::new("token.refresh", Class::Authentication, 5, "auth")
        .with("user.uid", "ada")
        .with("actor.session.uid", "s1")
        .with("src_endpoint.ip", "203.0.113.9")
        .with("http_request.user_agent", "curl");
    bench
        .cx()
        .write()
        .await
        .unwrap()
        .commit(moved)
        .await
        .unwrap();
    assert_eq!(
        bench.drain(&mut bench.detector(), 100).await,
        ["hub-session-moved"]
    );
}

#[tokio::test]
async fn locations_are_replaced_and_known_at_once() {
    let bench = Bench::new().await;
    let place = |name: &str, cidr: &str, latitude: f64| crate::Location {
        name: name.into(),
        cidrs: vec![cidr.parse().unwrap()],
        country: "CH".into(),
        city: name.into(),
        latitude,
        longitude: 8.0,
        kind: crate::LocationKind::Other,
        trusted: false,
    };
    let both = [
        place("near", "198.51.100.0/24", 47.0),
        place("far", "203.0.113.0/24", -30.0),
    ];
    locations::replace(&bench.cx(), &both).await.unwrap();
    let mut tx = bench.store.read(bench.tenant).await.unwrap();
    let mut listed = locations::list(&mut tx).await.unwrap();
    listed.sort_by(|a, b| b.name.cmp(&a.name));
    assert_eq!(listed, both);
    drop(tx);
    for address in ["198.51.100.1", "203.0.113.1"] {
        bench.db.clock.advance(Duration::from_mins(1));
        let act = Act::new("session.begin", Class::Authentication, 1, "auth")
            .with("user.uid", "ada")
            .with("session.uid", address)
            .with("src_endpoint.ip", address);
        bench.cx().write().await.unwrap().commit(act).await.unwrap();
    }
    assert_eq!(
        bench.drain(&mut bench.detector(), 100).await,
        ["hub-impossible-travel"]
    );
}

#[tokio::test]
async fn the_way_is_measured() {
    let bench = Bench::new().await;
    bench.refuse(1).await;
    bench.sequence().await;
    let mut tx = bench.store.read(bench.tenant).await.unwrap();
    let (behind, _) = lag(&mut tx).await.unwrap();
    assert!(behind >= 1);
    drop(tx);
    bench.drain(&mut bench.detector(), 10).await;
    let mut tx = bench.store.read(bench.tenant).await.unwrap();
    assert_eq!(lag(&mut tx).await.unwrap().0, 0);
}
