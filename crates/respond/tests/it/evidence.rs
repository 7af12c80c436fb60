use hub_base::ErrorKind;
use hub_events::{Act, Class, Event, LogSource};
use hub_respond::{actions::State, evidence};
use hub_store::ingest;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sqlx::Connection;

use crate::world::{World, lines};

#[tokio::test]
async fn evidence_shows_what_was_before_containment() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let session = world.session(&ada).await;
    // One of the hub's own acts, one event of a batch, and one that nobody has.
    let tx = world.system().write().await.unwrap();
    let act = tx
        .commit(Act::new("session.begin", Class::Authentication, 1, "auth"))
        .await
        .unwrap();
    let mut body = Map::new();
    body.insert("activity_name".into(), Value::from("read"));
    let event = Event {
        time: world.system().now(),
        source: LogSource::new("x", "y"),
        body,
    };
    let batch = ingest::Batch {
        source: "x".into(),
        events: vec![event],
        ..ingest::Batch::default()
    };
    let receipt = ingest::append(&world.system(), batch).await.unwrap();
    let user = format!("user:{ada}");
    let mut found = world.finding("T1078", &user, &[&user, "address:192.0.2.1"]);
    found.events = vec![
        act.to_string(),
        format!("{}/0", receipt.batch),
        "lost".to_owned(),
    ];
    let id = world.absorb(&[found]).await[0];
    world.run().await;
    assert_eq!(world.live_sessions(&ada).await, 0);

    let case = world.case(id).await;
    let bundle = evidence::show(&world.operator(), id, case.evidence[0].id)
        .await
        .unwrap();
    let all = lines(&bundle.bytes);
    let of = |kind: &str| {
        all.iter()
            .filter(|line| line["kind"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(all[0]["format"], evidence::FORMAT);
    assert_eq!(
        of("session")[0]["id"],
        session.as_str(),
        "the session that was live"
    );
    assert_eq!(of("user")[0]["locked_at"], Value::Null, "before the lock");
    assert_eq!(of("event").len(), 2);
    assert_eq!(of("finding").len(), 1);
    let end = all.last().unwrap();
    assert_eq!(
        (&end["kind"], &end["first_not_found"][0]),
        (&"end".into(), &"lost".into())
    );
    assert!(!bundle.evidence.complete);
    assert_eq!(
        bundle.evidence.size,
        i64::try_from(bundle.bytes.len()).unwrap()
    );
    assert_eq!(
        bundle.evidence.sha256,
        hex::encode(Sha256::digest(&bundle.bytes))
    );
    let recorded = "select count(*) from ledger_outbox where operation = 'evidence.preserve' \
                    and body like '%' || $1 || '%'";
    assert_eq!(world.count(recorded, &bundle.evidence.sha256).await, 1);
    let secret = String::from_utf8(bundle.bytes).unwrap();
    assert!(!secret.contains("password_phc") && !secret.contains("secret_hash"));
}

#[tokio::test]
async fn changed_evidence_is_found_out() {
    let world = World::new().await;
    let id = world
        .absorb(&[world.finding("T1", "address:192.0.2.1", &[])])
        .await[0];
    world.run().await;
    let evidence_id = world.case(id).await.evidence[0].id;
    let mut tx = world.system().write().await.unwrap();
    let refused = sqlx::query("update evidence set bundle = '\\x00'")
        .execute(tx.conn())
        .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("permission denied")
    );
    drop(tx);
    // Only somebody above the application's role can, and that shows.
    let mut owner = sqlx::PgConnection::connect(&world.db.url_superuser)
        .await
        .unwrap();
    sqlx::query("update evidence set bundle = set_byte(bundle, 5, 0)")
        .execute(&mut owner)
        .await
        .unwrap();
    let error = evidence::show(&world.operator(), id, evidence_id)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("does not match"));
}

#[tokio::test]
async fn new_targets_get_new_evidence_within_bounds() {
    let world = World::new().await;
    let mut id = None;
    for n in 0..30 {
        let address = format!("address:192.0.2.{n}");
        let found = world.finding("T1110.004", "campaign:stuffing", &[&address]);
        id = world.absorb(&[found]).await.pop();
        world.run().await;
    }
    let case = world.case(id.unwrap()).await;
    assert_eq!(case.evidence.len(), 16);
    let applied = case.actions.iter().filter(|a| a.kind.is_containment());
    assert_eq!(applied.filter(|a| a.state == State::Applied).count(), 30);
}
