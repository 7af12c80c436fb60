//! Bodies, paths and queries that are not as they should be: 4xx that name what is wrong, never 5xx.

use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, World};

#[tokio::test]
async fn refusals_name_the_field_and_the_reason() {
    let world = World::new().await;
    let cases: &[(&str, &str, &str, u16, &str)] = &[
        ("/api/v2/login", "application/json", "{", 400, "body:"),
        (
            "/api/v2/login",
            "application/json",
            r#"{"tenant":"acme","username":7,"password":"x"}"#,
            422,
            "username",
        ),
        (
            "/api/v2/login",
            "application/json",
            r#"{"tenant":"acme"}"#,
            422,
            "username",
        ),
        (
            "/api/v2/login",
            "application/json",
            r#"{"tenant":"a","username":"b","password":"c","extra":1}"#,
            422,
            "extra",
        ),
        (
            "/api/v2/login",
            "application/json",
            "{} trailing",
            422,
            "body",
        ),
        ("/api/v2/login", "text/plain", "{}", 415, ""),
        (
            "/api/v2/events?format=morse",
            "application/x-ndjson",
            "...",
            400,
            "format",
        ),
    ];
    for (path, media, body, status, words) in cases {
        let request = world
            .owner
            .request(Method::POST, path)
            .header("content-type", *media)
            .body(*body);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, *status, "{path} {body}: {}", answer.body);
        assert!(
            answer.body["detail"].as_str().unwrap_or("").contains(words),
            "{body}: {}",
            answer.body
        );
    }
    world.owner.get("/api/v2/users/not-an-id").await.expect(400);
    world
        .owner
        .get("/api/v2/users?limit=many")
        .await
        .expect(400);
    world.owner.get("/api/v2/users?unknown=1").await.expect(400);
    world
        .owner
        .send(Method::DELETE, "/api/v2/login", json!({}))
        .await
        .expect(405);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_batch_limit_is_its_own() {
    let world = World::with(|setting| {
        setting
            .with("HUB_LIMITS_BODY", "4096")
            .with("HUB_LIMITS_INGEST_BODY", "65536")
    })
    .await;
    let post = |path: &'static str, bytes: usize| {
        let request = world
            .owner
            .request(Method::POST, path)
            .header("content-type", "application/json");
        async move {
            Answer::of(request.body(vec![b' '; bytes]).send().await.unwrap())
                .await
                .status
        }
    };
    assert_eq!(post("/api/v2/login", 5000).await, 413);
    assert_eq!(post("/api/v2/events?format=json", 5000).await, 202);
    assert_eq!(post("/api/v2/events?format=json", 70_000).await, 413);
}

#[tokio::test]
async fn a_bad_line_is_quarantined_and_the_rest_is_kept() {
    let world = World::new().await;
    let lines = "{\"time\":\"2026-11-23T10:00:00Z\",\"message\":\"one\"}\nnot json\n{\"time\":\"2026-11-23T10:00:01Z\"}\n";
    let request = world
        .owner
        .request(Method::POST, "/api/v2/events?format=json")
        .body(lines);
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(
        (
            answer.expect(202).body["accepted"].as_u64(),
            answer.body["quarantined"].as_u64()
        ),
        (Some(2), Some(1))
    );
    let kept = world.owner.get("/api/v2/events/quarantine").await;
    assert_eq!(kept.expect(200).body["items"][0]["raw"], "not json");
    assert_eq!(kept.body["items"][0]["line"], 2);
}

#[tokio::test]
async fn another_tenants_things_are_not_here() {
    let world = World::new().await;
    crate::world::make_tenant(&world.operator, "other").await;
    let stranger = world.nobody().signed_in("other", "ada").await;
    let (_, mia) = world.person("mia", &["member"]).await;
    stranger
        .get(&format!("/api/v2/users/{mia}"))
        .await
        .expect(404);
    stranger
        .post(&format!("/api/v2/users/{mia}/lock"), json!({"reason": "x"}))
        .await
        .expect(404);
    stranger
        .get("/api/v2/incidents/01a208fa-8fce-7565-bc38-c1fdcf663a0d")
        .await
        .expect(404);
    world
        .owner
        .get(&format!("/api/v2/users/{mia}"))
        .await
        .expect(200);
}
