//! What is told to the hub and kept: operations on the installation, a tenant's places, what is protected.

use reqwest::Method;
use serde_json::{Value, json};

use crate::tool::patiently;
use crate::world::{Answer, World};

const BACKUP: &str = "01a20bb2-53ed-76d3-bf7d-e684dac80295";

fn operation() -> Value {
    json!({"id": BACKUP, "kind": "backup", "subject": "20261123-100000F", "outcome": "failed", "why": "the disk is full",
        "began": "2026-11-23T10:00:00Z", "ended": "2026-11-23T10:00:07Z", "steps": [
            {"at": "2026-11-23T10:00:01Z", "step": "check", "said": "the stanza is good", "took_ms": 40, "figures": {"files": 3}},
            {"at": "2026-11-23T10:00:07Z", "step": "copy", "said": "no space left", "took_ms": 6000}]})
}

/// The same with one field changed.
fn but(field: &str, value: Value) -> Value {
    let mut changed = operation();
    changed[field] = value;
    changed
}

#[tokio::test]
async fn an_operation_is_taken_once_and_stands_in_the_ledger_with_its_steps() {
    let world = World::new().await;
    let record = |body: Value| world.operator.post("/api/v2/operations", body);
    assert_eq!(record(operation()).await.expect(200).body["recorded"], true);
    assert_eq!(
        record(operation()).await.expect(200).body["recorded"],
        false
    );
    let list = world.operator.get("/api/v2/operations").await;
    let items = list.expect(200).body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{items:?}");
    let told = &items[0];
    assert_eq!(
        (&told["kind"], &told["outcome"]),
        (&json!("backup"), &json!("failed"))
    );
    assert_eq!(told["why"], "the disk is full");
    assert_eq!(told["steps"][0]["figures"]["files"], 3, "{told}");
    let entries = patiently("its entries", || async {
        let end = "/api/v2/ledger/entries?operation=operation.end";
        let end = world.operator.get(end).await.body["items"]
            .as_array()?
            .clone();
        let step = "/api/v2/ledger/entries?operation=operation.step";
        let steps = world.operator.get(step).await.body["items"]
            .as_array()?
            .clone();
        (end.len() == 1).then_some((end, steps))
    })
    .await;
    assert_eq!(entries.1.len(), 2, "{entries:?}");
    assert!(
        entries.0[0].to_string().contains("20261123-100000F"),
        "{entries:?}"
    );
}

#[tokio::test]
async fn an_operation_that_cannot_be_is_refused_by_the_name_of_its_field() {
    let world = World::new().await;
    let step = operation()["steps"][0].clone();
    let cases = [
        (
            but("kind", json!("party")),
            "kind: must be one of deploy, rollback",
        ),
        (
            but("outcome", json!("splendid")),
            "outcome: must be one of deployed",
        ),
        (
            but("ended", json!("2026-11-23T09:59:59Z")),
            "ended: must not be before it began",
        ),
        (
            but("steps", json!(vec![step; 201])),
            "steps: must be at most 200",
        ),
        (
            but("subject", json!("x".repeat(2001))),
            "no text may be longer than 2000",
        ),
        (but("id", json!("no id")), "id"),
        (but("hurry", json!(true)), "hurry"),
    ];
    for (body, words) in cases {
        let answer = world.operator.post("/api/v2/operations", body).await;
        let detail = answer.expect(422).text("detail").to_owned();
        assert!(detail.contains(words), "{words}: {detail}");
    }
    let list = world.operator.get("/api/v2/operations").await;
    assert_eq!(list.expect(200).body["items"], json!([]));
    // A tenant's owner has no business with the installation.
    world
        .owner
        .post("/api/v2/operations", operation())
        .await
        .expect(403);
    let (member, _) = world.person("mia", &["member"]).await;
    member.get("/api/v2/operations").await.expect(403);
}

fn place(name: &str, network: &str) -> Value {
    json!({"name": name, "cidrs": [network], "country": "PT", "city": "Lisbon", "latitude": 38.72, "longitude": -9.14,
        "kind": "office", "trusted": true})
}

fn place_but(field: &str, value: Value) -> Value {
    let mut changed = place("lisbon", "192.0.2.0/24");
    changed[field] = value;
    changed
}

async fn put(world: &World, places: &[Value]) -> Answer {
    let body = json!({"locations": places});
    world
        .owner
        .send(Method::PUT, "/api/v2/locations", body)
        .await
}

#[tokio::test]
async fn a_tenants_places_are_replaced_as_a_whole() {
    let world = World::new().await;
    let (lisbon, tokyo) = (
        place("lisbon", "192.0.2.0/24"),
        place("tokyo", "2001:db8::/48"),
    );
    put(&world, &[lisbon.clone(), tokyo.clone()])
        .await
        .expect(200);
    let list = world.owner.get("/api/v2/locations").await;
    assert_eq!(list.expect(200).body["locations"], json!([lisbon, tokyo]));
    let bare = json!({"name": "road", "cidrs": ["198.51.100.0/24"], "kind": "mobile"});
    let answer = put(&world, &[bare]).await;
    let kept = answer.expect(200).body["locations"].clone();
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(
        (&kept[0]["kind"], &kept[0]["trusted"]),
        (&json!("mobile"), &json!(false))
    );
    put(&world, &[]).await.expect(200);
    let list = world.owner.get("/api/v2/locations").await;
    assert_eq!(list.expect(200).body["locations"], json!([]));
    let (member, _) = world.person("mia", &["member"]).await;
    member.get("/api/v2/locations").await.expect(403);
}

#[tokio::test]
async fn a_place_that_cannot_be_is_named_and_changes_nothing() {
    let world = World::new().await;
    let lisbon = place("lisbon", "192.0.2.0/24");
    put(&world, std::slice::from_ref(&lisbon)).await.expect(200);
    let alone = [
        (
            "kind",
            json!("castle"),
            "`castle` is not office, vpn, mobile or other",
        ),
        ("name", json!(" "), "its name must have 1 to 100 characters"),
        (
            "latitude",
            json!(91),
            "its latitude must be between -90 and 90",
        ),
        (
            "longitude",
            json!(-181),
            "its longitude must be between -180 and 180",
        ),
        ("country", json!("x".repeat(101)), "its country and city"),
        ("cidrs", json!([]), "it names no network"),
        (
            "cidrs",
            json!(["192.0.2.0/24", "192.0.2.77/24"]),
            "is named twice",
        ),
        ("cidrs", json!(["192.0.2.0/99"]), "cidrs"),
        ("planet", json!("Mars"), "planet"),
    ];
    let mut cases: Vec<(Vec<Value>, &str)> = Vec::new();
    cases.extend(alone.map(|(field, value, words)| (vec![place_but(field, value)], words)));
    let twins = vec![lisbon.clone(), place("lisbon", "198.51.100.0/24")];
    cases.push((twins, "there are two of that name"));
    let many = (0..1001).map(|n| {
        place(
            &format!("p{n}"),
            &format!("10.{}.{}.0/24", n / 256, n % 256),
        )
    });
    cases.push((many.collect(), "more than 1000 locations"));
    for (places, words) in cases {
        let answer = put(&world, &places).await;
        let detail = answer.expect(422).text("detail").to_owned();
        assert!(detail.contains(words), "{words}: {detail}");
    }
    let list = world.owner.get("/api/v2/locations").await;
    assert_eq!(list.expect(200).body["locations"], json!([lisbon]));
}

#[tokio::test]
async fn what_is_protected_is_listed_and_can_be_given_up() {
    let world =
        World::with(|setting| setting.with("HUB_RESPOND_PROTECTED_ADDRESSES", "192.0.2.0/28"))
            .await;
    let wish = |kind: &str, value: &str, reason: &str| {
        let body = json!({"kind": kind, "value": value, "reason": reason});
        world.owner.post("/api/v2/protected", body)
    };
    let made = wish("address", "198.51.100.7", "the auditor").await;
    let id = made.expect(201).text("id").to_owned();
    wish("address", "198.51.100.7", "again").await.expect(409);
    for (kind, value, reason, words) in [
        ("planet", "Mars", "x", "kind: must be"),
        ("address", "the neighbour", "x", "value"),
        ("api_key", "ci", "x", "value"),
        ("address", "198.51.100.8", " ", "reason"),
    ] {
        let answer = wish(kind, value, reason).await;
        let detail = answer.expect(422).text("detail").to_owned();
        assert!(detail.contains(words), "{words}: {detail}");
    }
    let list = world.owner.get("/api/v2/protected").await.body.to_string();
    assert!(
        list.contains("198.51.100.7") && list.contains("192.0.2.0/28"),
        "{list}"
    );
    let path = format!("/api/v2/protected/{id}");
    let gone = |path: String| {
        let owner = world.owner.clone();
        async move { owner.send(Method::DELETE, &path, json!({})).await }
    };
    gone(path.clone()).await.expect(204);
    gone(path).await.expect(404);
    let list = world.owner.get("/api/v2/protected").await.body.to_string();
    assert!(!list.contains("198.51.100.7"), "{list}");
}
