//! An attack through the public door: found, contained, released; its ledger exported and checked.

use reqwest::Method;
use serde_json::{Value, json};

use crate::tool::patiently;
use crate::world::{Actor, PASSWORD, World};

/// A password spray from an address of its own; the incident it becomes, contained.
pub(crate) async fn spray(world: &World) -> Value {
    let attacker = Actor::at(&world.hub, [127, 66, 0, 9]);
    for number in 0..14 {
        attacker
            .sign_in("acme", &format!("user{number}"), "Winter2026! guess")
            .await;
    }
    patiently("a contained incident", || async {
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
    // The front door learns of it a moment after it is written down.
    patiently("the refusal at the door", || async {
        let answer = attacker.sign_in("acme", "nobody", PASSWORD).await;
        (answer.status == 403).then_some(())
    })
    .await;
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
    patiently("the release", || async {
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
    patiently("the lock", || async {
        let user = world.owner.get(&format!("/api/v2/users/{id}")).await.body;
        (!user["locked_at"].is_null()).then_some(())
    })
    .await;
    member.get("/api/v2/me").await.expect(401);
}

/// What people decide, in whatever order they work; a closed case is only reopened.
#[tokio::test]
async fn an_incident_goes_from_state_to_state_and_back() {
    let world = World::new().await;
    let incident = spray(&world).await;
    let path = format!("/api/v2/incidents/{}", incident["id"].as_str().unwrap());
    let change = |body: Value| world.owner.send(Method::PATCH, &path, body);
    for status in ["triaged", "eradicated", "recovered", "contained", "closed"] {
        let answer = change(json!({"status": status})).await;
        assert_eq!(answer.expect(200).body["status"], status);
        let closed = !answer.body["closed_at"].is_null();
        assert_eq!(closed, status == "closed", "{}", answer.body);
    }
    for status in ["recovered", "new"] {
        let answer = change(json!({"status": status})).await;
        assert!(answer.expect(409).text("detail").contains("cannot become"));
    }
    let reopened =
        change(json!({"status": "triaged", "verdict": "suspicious", "note": "it goes on"})).await;
    let reopened = &reopened.expect(200).body;
    assert_eq!(
        (&reopened["verdict"], &reopened["closed_at"]),
        (&json!("suspicious"), &Value::Null)
    );
    for (body, words) in [
        (json!({}), "give a status, a verdict or a note"),
        (json!({"note": " "}), "give a status, a verdict or a note"),
        (
            json!({"note": "x".repeat(2001)}),
            "note: longer than 2000 characters",
        ),
        (json!({"status": "asleep"}), "status: `asleep` is not known"),
        (json!({"verdict": "nice"}), "verdict: `nice` is not known"),
    ] {
        let answer = change(body).await;
        assert!(
            answer.expect(422).text("detail").contains(words),
            "{}",
            answer.body
        );
    }
    let case = world.owner.get(&path).await.body;
    let told: Vec<&str> = case["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["text"].as_str())
        .collect();
    for text in [
        "contained → closed",
        "closed → triaged",
        "verdict: suspicious",
        "it goes on",
    ] {
        assert!(told.contains(&text), "{text}: {told:?}");
    }
}

/// Each kind of containment, by hand: what it does at once, and what its release gives back.
#[tokio::test]
async fn what_is_contained_by_hand_stops_at_once_and_comes_back_with_its_release() {
    let world = World::new().await;
    let incident = spray(&world).await;
    let path = format!(
        "/api/v2/incidents/{}/actions",
        incident["id"].as_str().unwrap()
    );
    let order = async |kind: &str, target: &str| {
        let body = json!({"kind": kind, "target": target, "reason": "by hand"});
        let answer = world.owner.post(&path, body).await;
        assert_eq!(
            answer.expect(201).body["state"],
            "applied",
            "{kind}: {}",
            answer.body
        );
        format!("{path}/{}/release", answer.text("id"))
    };
    let release = |path: String| {
        let owner = world.owner.clone();
        async move {
            owner
                .post(&path, json!({"reason": "it was a colleague"}))
                .await
        }
    };
    let (eve, id) = world.person("eve", &["member"]).await;
    let back = order("lock_account", &id).await;
    eve.get("/api/v2/me").await.expect(401);
    world
        .nobody()
        .sign_in("acme", "eve", PASSWORD)
        .await
        .expect(401);
    assert_eq!(
        release(back.clone()).await.expect(200).body["state"],
        "released"
    );
    release(back).await.expect(409);
    let eve = world.nobody().signed_in("acme", "eve").await;

    let back = order("end_sessions", &id).await;
    eve.get("/api/v2/me").await.expect(401);
    release(back).await.expect(200);
    // What was ended stays ended.
    eve.get("/api/v2/me").await.expect(401);
    world.nobody().signed_in("acme", "eve").await;

    let body = json!({"name": "ci", "scopes": ["users.read"]});
    let made = world.owner.post("/api/v2/api-keys", body).await;
    let key = world.nobody().with(made.expect(201).text("key"));
    let back = order("revoke_api_key", made.text("id")).await;
    key.get("/api/v2/users").await.expect(401);
    release(back).await.expect(200);
    key.get("/api/v2/users").await.expect(200);

    // Evidence is kept and people stay told.
    for kind in ["preserve_evidence", "notify"] {
        let body = json!({"kind": kind, "target": "", "reason": "by hand"});
        let answer = world.owner.post(&path, body).await;
        answer.expect(201);
        let back = format!("{path}/{}/release", answer.text("id"));
        release(back).await.expect(409);
    }
    let nobody = "00000000-0000-7000-8000-000000000000";
    let body = json!({"kind": "lock_account", "target": nobody, "reason": "by hand"});
    let answer = world.owner.post(&path, body).await;
    assert_eq!(
        answer.expect(201).body["state"],
        "skipped",
        "{}",
        answer.body
    );
}
