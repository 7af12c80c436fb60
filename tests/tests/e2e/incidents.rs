//! An attack through the public door: found, contained, released; its ledger exported and checked.

use serde_json::{Value, json};

use crate::world::{Actor, PASSWORD, World, until};

/// A password spray from an address of its own; the incident it becomes, contained.
pub(crate) async fn spray(world: &World) -> Value {
    let attacker = Actor::at(&world.hub, [127, 66, 0, 9]);
    for number in 0..14 {
        attacker
            .sign_in("acme", &format!("user{number}"), "Winter2026! guess")
            .await;
    }
    until("a contained incident", || async {
        let list = world.owner.get("/api/v2/incidents").await.body;
        let incident = list["items"].as_array()?.first()?.clone();
        (!incident["contained_at"].is_null()).then_some(incident)
    })
    .await
}

#[tokio::test]
async fn a_spray_is_one_incident_contained_and_reversible() {
    let world = World::new().await;
    let incident = spray(&world).await;
    assert_eq!(incident["techniques"][0], "T1110.003", "{incident}");
    let attacker = Actor::at(&world.hub, [127, 66, 0, 9]);
    let refused = attacker.sign_in("acme", "ada", PASSWORD).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (403, "address-blocked")
    );
    world
        .nobody()
        .sign_in("acme", "ada", PASSWORD)
        .await
        .expect(200);
    assert_eq!(
        world.owner.get("/api/v2/incidents").await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let id = incident["id"].as_str().unwrap();
    let case = world
        .owner
        .get(&format!("/api/v2/incidents/{id}"))
        .await
        .body;
    let evidence = case["evidence"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no evidence: {case}"));
    world
        .owner
        .get(&format!("/api/v2/incidents/{id}/evidence/{evidence}"))
        .await
        .expect(200);
    let block = case["actions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|action| action["kind"] == "block_address");
    let path = format!(
        "/api/v2/incidents/{id}/actions/{}/release",
        block.unwrap()["id"].as_str().unwrap()
    );
    world
        .owner
        .post(&path, json!({"reason": "ours after all"}))
        .await
        .expect(200);
    until("the release", || async {
        (attacker.sign_in("acme", "ada", PASSWORD).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_exported_ledger_verifies_and_every_entry_has_its_proof() {
    let world = World::new().await;
    spray(&world).await;
    let export = world.owner.get("/api/v2/ledger/export").await;
    let Value::String(text) = &export.expect(200).body else {
        panic!("not lines: {}", export.body)
    };
    let report =
        hub_ledger::export::verify(text.as_bytes(), &hub_ledger::export::Expect::default());
    assert!(report.is_whole(), "{report:?}");
    let forged = text.replacen("session.refuse", "session.refusE", 1);
    let report =
        hub_ledger::export::verify(forged.as_bytes(), &hub_ledger::export::Expect::default());
    assert!(!report.is_whole());
    let proof = world.owner.get("/api/v2/ledger/entries/3/proof").await;
    assert_eq!(proof.expect(200).body["index"], 3);
    world
        .owner
        .get("/api/v2/ledger/entries/999999/proof")
        .await
        .expect(404);
}

#[tokio::test]
async fn who_tries_every_door_is_contained() {
    let world = World::new().await;
    let (member, id) = world.person("mallory", &["member"]).await;
    for path in [
        "users",
        "roles",
        "sessions",
        "api-keys",
        "incidents",
        "ledger/head",
        "blocks",
        "findings",
    ] {
        let answer = member.get(&format!("/api/v2/{path}")).await;
        assert!(
            [401, 403].contains(&answer.status),
            "{path}: {}",
            answer.body
        );
    }
    until("the lock", || async {
        let user = world.owner.get(&format!("/api/v2/users/{id}")).await.body;
        (!user["locked_at"].is_null()).then_some(())
    })
    .await;
    member.get("/api/v2/me").await.expect(401);
}
