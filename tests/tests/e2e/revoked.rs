//! What is taken away is gone when its answer says so: sessions, keys, roles, and streams that were already open.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::tool::key;
use crate::world::{Actor, World};

/// Reads a stream until the server ends it.
async fn ends(mut response: reqwest::Response) {
    let reading = async { while let Ok(Some(_chunk)) = response.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("the stream went on");
}

async fn watch(actor: &Actor) -> reqwest::Response {
    let request = actor.request(Method::GET, "/api/v2/live");
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.chunk().await.unwrap().is_some());
    response
}

#[tokio::test]
async fn a_session_that_was_ended_is_refused_from_then_on() {
    let world = World::new().await;
    for _ in 0..20 {
        let session = world.nobody().signed_in("acme", "ada").await;
        session.get("/api/v2/me").await.expect(200);
        session.post("/api/v2/logout", json!({})).await.expect(204);
        session.get("/api/v2/me").await.expect(401);
    }
}

#[tokio::test]
async fn a_locked_person_and_a_revoked_key_stop_at_once_and_watch_no_longer() {
    let world = World::new().await;
    let (person, id) = world.person("eve", &["analyst"]).await;
    let (program, _) = key(&world, &["incidents.read"]).await;
    let (hers, its) = (watch(&person).await, watch(&program).await);

    let lock = format!("/api/v2/users/{id}/lock");
    let reason = json!({"reason": "leaves"});
    world.owner.post(&lock, reason).await.expect(200);
    person.get("/api/v2/me").await.expect(401);
    ends(hers).await;

    let keys = world.owner.get("/api/v2/api-keys").await;
    let key = keys.expect(200).body["items"][0]["id"].clone();
    let path = format!("/api/v2/api-keys/{}", key.as_str().unwrap());
    world
        .owner
        .send(Method::DELETE, &path, json!({}))
        .await
        .expect(204);
    program.get("/api/v2/incidents").await.expect(401);
    ends(its).await;
}

#[tokio::test]
async fn a_role_that_was_taken_permits_nothing_from_then_on() {
    let world = World::new().await;
    let (person, id) = world.person("eve", &["analyst"]).await;
    person.get("/api/v2/incidents").await.expect(200);
    let roles = format!("/api/v2/users/{id}/roles");
    let none = json!({"roles": ["member"]});
    world
        .owner
        .send(Method::PUT, &roles, none)
        .await
        .expect(200);
    person.get("/api/v2/incidents").await.expect(403);
}
