//! Signing in, tokens, cookies, replay.

use reqwest::Method;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use serde_json::json;

use crate::world::{Answer, PASSWORD, World};

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_an_unknown_tenant_sound_the_same() {
    let world = World::new().await;
    let nobody = world.nobody();
    let mut answers = Vec::new();
    for (tenant, user) in [("acme", "ada"), ("acme", "nobody"), ("nowhere", "ada")] {
        let answer = nobody.sign_in(tenant, user, "not the password").await;
        answers.push((answer.status, answer.body));
    }
    assert_eq!(answers[0].0, 401);
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:#?}"
    );
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_session() {
    let world = World::new().await;
    let nobody = world.nobody();
    let first = nobody.sign_in("acme", "ada", PASSWORD).await;
    let token = first.expect(200).text("refresh_token");
    let second = nobody
        .post("/api/v2/token/refresh", json!({"refresh_token": token}))
        .await;
    let access = second.expect(200).text("access_token");
    nobody.with(access).get("/api/v2/me").await.expect(200);
    nobody
        .post("/api/v2/token/refresh", json!({"refresh_token": token}))
        .await
        .expect(401);
    let fresh = second.text("refresh_token");
    nobody
        .post("/api/v2/token/refresh", json!({"refresh_token": fresh}))
        .await
        .expect(401);
    crate::world::until("the session's end", || async {
        (nobody.with(access).get("/api/v2/me").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cookie_signs_in_but_not_for_another_site() {
    let world = World::new().await;
    let body = json!({"tenant": "acme", "username": "ada", "password": PASSWORD});
    let login = world
        .nobody()
        .request(Method::POST, "/api/v2/login")
        .json(&body)
        .send()
        .await
        .unwrap();
    let cookie = login
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .find_map(|value| {
            let text = value.to_str().unwrap();
            text.starts_with("hub_session=").then(|| text.to_owned())
        });
    let cookie = cookie.unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let call = |method: Method, path: &'static str| {
        world.nobody().request(method, path).header(COOKIE, &cookie)
    };
    assert_eq!(
        call(Method::GET, "/api/v2/me")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let forged = call(Method::POST, "/api/v2/logout")
        .header(ORIGIN, "https://evil.example")
        .send()
        .await;
    let forged = Answer::of(forged.unwrap()).await;
    assert_eq!((forged.status, forged.problem()), (403, "cross-site"));
    assert_eq!(
        call(Method::POST, "/api/v2/logout")
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(
        call(Method::GET, "/api/v2/me")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
}

#[tokio::test]
async fn an_api_key_may_what_its_scopes_say_until_it_is_revoked() {
    let world = World::new().await;
    let wish = json!({"name": "ci", "scopes": ["users.read"], "expires_in": "1h"});
    let made = world.owner.post("/api/v2/api-keys", wish).await;
    let key = world.nobody().with(made.expect(201).text("key"));
    key.get("/api/v2/users").await.expect(200);
    key.get("/api/v2/ledger/head").await.expect(403);
    let path = format!("/api/v2/api-keys/{}", made.text("id"));
    world
        .owner
        .send(Method::DELETE, &path, json!({}))
        .await
        .expect(204);
    crate::world::until("the key's end", || async {
        (key.get("/api/v2/users").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rotated_api_key_and_its_successor_are_both_good_for_a_while() {
    let world = World::new().await;
    let wish = json!({"name": "ci", "scopes": ["users.read"], "expires_in": "24h"});
    let made = world.owner.post("/api/v2/api-keys", wish).await;
    let former = world.nobody().with(made.expect(201).text("key"));
    let path = format!("/api/v2/api-keys/{}/rotate", made.text("id"));
    let rotated = world.owner.post(&path, json!({"overlap": "2s"})).await;
    let fresh = world.nobody().with(rotated.expect(201).text("key"));
    former.get("/api/v2/users").await.expect(200);
    fresh.get("/api/v2/users").await.expect(200);
    fresh.get("/api/v2/ledger/head").await.expect(403);
    crate::world::until("the former key's end", || async {
        (former.get("/api/v2/users").await.status == 401).then_some(())
    })
    .await;
    fresh.get("/api/v2/users").await.expect(200);
    // What has ended takes no successor, and who may not grant its scopes makes none.
    world
        .owner
        .post(&path, json!({"overlap": "1h"}))
        .await
        .expect(404);
    let (mia, _) = world.person("mia", &["member"]).await;
    let path = format!("/api/v2/api-keys/{}/rotate", rotated.text("id"));
    mia.post(&path, json!({"overlap": "1h"})).await.expect(403);
}

#[tokio::test]
async fn nobody_hands_on_what_they_do_not_hold() {
    let world = World::new().await;
    let (admin, _) = world.person("adam", &["admin"]).await;
    let wish = json!({"name": "x", "scopes": ["incidents.respond"]});
    admin.post("/api/v2/api-keys", wish).await.expect(403);
    let (_, member) = world.person("mia", &["member"]).await;
    let path = format!("/api/v2/users/{member}/roles");
    admin
        .send(Method::PUT, &path, json!({"roles": ["owner"]}))
        .await
        .expect(403);
    admin
        .send(Method::PUT, &path, json!({"roles": ["member", "admin"]}))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_lock_ends_every_token_at_once() {
    let world = World::new().await;
    let (mia, id) = world.person("mia", &["member"]).await;
    mia.get("/api/v2/me").await.expect(200);
    world
        .owner
        .post(
            &format!("/api/v2/users/{id}/lock"),
            json!({"reason": "left"}),
        )
        .await
        .expect(200);
    crate::world::until("the lock", || async {
        (mia.get("/api/v2/me").await.status == 401).then_some(())
    })
    .await;
    world
        .nobody()
        .sign_in("acme", "mia", PASSWORD)
        .await
        .expect(401);
    world
        .owner
        .post(
            &format!("/api/v2/users/{id}/unlock"),
            json!({"reason": "back"}),
        )
        .await
        .expect(200);
    world
        .nobody()
        .sign_in("acme", "mia", PASSWORD)
        .await
        .expect(200);
}
