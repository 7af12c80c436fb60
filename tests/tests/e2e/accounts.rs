//! People's accounts: made whole or not at all, forgotten passwords, and who may do what to whom.

use hub_testkit::mail::MailServer;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Actor, PASSWORD, World, until};

const NEW_PASSWORD: &str = "a quite different staple battery";

pub(crate) async fn mailing() -> (World, MailServer) {
    let server = MailServer::start().await.unwrap();
    let port = server.address.port().to_string();
    let world = World::with(|setting| {
        setting
            .with("HUB_RESPOND_EMAIL_HOST", "127.0.0.1")
            .with("HUB_RESPOND_EMAIL_PORT", &port)
            .with("HUB_RESPOND_EMAIL_TLS", "none")
            .with("HUB_RESPOND_EMAIL_FROM", "Security Hub <hub@example.org>")
            .with("HUB_RESPOND_EMAIL_TO", "oncall@example.org")
    })
    .await;
    (world, server)
}

async fn forget(world: &World, tenant: &str, username: &str) {
    let body = json!({"tenant": tenant, "username": username});
    let answer = world.nobody().post("/api/v2/password/forgot", body).await;
    answer.expect(202);
}

/// The token in the first mail's link.
pub(crate) async fn token(server: &MailServer) -> String {
    let text = until("the mail", || async { server.mails().pop() })
        .await
        .text;
    // Long lines travel in quoted-printable form (RFC 2045 section 6.7).
    let text = text.replace("=\r\n", "").replace("=3D", "=");
    let rest = text.split("/console/reset?token=").nth(1).expect("no link");
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_forgotten_password_is_mailed_to_its_owner_and_set_once() {
    let (world, server) = mailing().await;
    let before = world.nobody().signed_in("acme", "ada").await;
    forget(&world, "acme", "nobody").await;
    forget(&world, "nowhere", "ada").await;
    forget(&world, "acme", "ada").await;
    let token = token(&server).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let envelope = mails[0].envelope.join("\n");
    assert!(envelope.contains("RCPT TO:<ada@example.org>"), "{envelope}");

    let reset = |password: &'static str| {
        let body = json!({"token": token, "password": password});
        let nobody = world.nobody();
        async move { nobody.post("/api/v2/password/reset", body).await }
    };
    reset("short").await.expect(422);
    reset(NEW_PASSWORD).await.expect(204);
    reset(NEW_PASSWORD).await.expect(401);
    before.get("/api/v2/me").await.expect(401);
    let old = world.nobody().sign_in("acme", "ada", PASSWORD).await;
    old.expect(401);
    let new = world.nobody().sign_in("acme", "ada", NEW_PASSWORD).await;
    new.expect(200);
    let log = world.hub.log();
    assert!(!log.contains(&token), "the token stands in the log");
}

#[tokio::test]
async fn one_mail_a_minute_however_often_it_is_asked_for() {
    let (world, server) = mailing().await;
    for _ in 0..5 {
        forget(&world, "acme", "ada").await;
    }
    token(&server).await;
    // Another person's mail comes after all of hers.
    world.person("eve", &["member"]).await;
    forget(&world, "acme", "eve").await;
    until("eve's mail", || async {
        let mails = server.mails();
        let to = |mail: &hub_testkit::mail::Mail| mail.envelope.concat().contains("eve@");
        mails.iter().any(to).then_some(())
    })
    .await;
    assert_eq!(server.mails().len(), 2);
}

#[tokio::test]
async fn changing_a_password_ends_the_other_sessions_and_keeps_this_one() {
    let world = World::new().await;
    let other = world.nobody().signed_in("acme", "ada").await;
    let change = json!({"current": PASSWORD, "new": NEW_PASSWORD});
    let answer = world.owner.post("/api/v2/me/password", change).await;
    answer.expect(204);
    world.owner.get("/api/v2/me").await.expect(200);
    other.get("/api/v2/me").await.expect(401);
}

fn person(name: &str, roles: &[&str]) -> Value {
    json!({"username": name, "email": format!("{name}@acme.example"), "display_name": name,
        "password": PASSWORD, "roles": roles})
}

#[tokio::test]
async fn a_person_is_made_with_their_roles_or_not_at_all() {
    let world = World::new().await;
    let (admin, _) = world.person("bob", &["admin"]).await;
    let beyond = admin
        .post("/api/v2/users", person("walter", &["owner"]))
        .await;
    beyond.expect(403);
    let unknown = admin
        .post("/api/v2/users", person("walter", &["wizard"]))
        .await;
    unknown.expect(422);
    let people = world.owner.get("/api/v2/users").await;
    assert!(!people.expect(200).body.to_string().contains("walter"));
    let entries = world
        .owner
        .get("/api/v2/ledger/entries?operation=user.create");
    assert!(
        !entries
            .await
            .expect(200)
            .body
            .to_string()
            .contains("walter")
    );

    let made = admin
        .post("/api/v2/users", person("walter", &["member"]))
        .await;
    assert_eq!(made.expect(201).body["roles"], json!(["member"]));
    let (entries, path) = (&world.owner, "/api/v2/ledger/entries?operation=role.assign");
    until("the act of giving the role", || async {
        let page = entries.get(path).await.body.to_string();
        page.contains("walter").then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_may_make_people_only_gives_no_roles() {
    let world = World::new().await;
    let role = json!({"permissions": ["users.create", "users.read"]});
    let put = world
        .owner
        .send(Method::PUT, "/api/v2/roles/registrar", role);
    put.await.expect(200);
    let (registrar, _) = world.person("rita", &["registrar"]).await;
    let with = registrar
        .post("/api/v2/users", person("eve", &["member"]))
        .await;
    assert!(with.expect(403).text("detail").contains("roles.update"));
    let without = registrar.post("/api/v2/users", person("eve", &[])).await;
    without.expect(201);
}

#[tokio::test]
async fn an_administrator_has_no_power_over_an_owner() {
    let world = World::new().await;
    let (admin, id) = world.person("bob", &["admin"]).await;
    let me = world.owner.get("/api/v2/me").await;
    let ada = me.expect(200).text("id").to_owned();
    let why = json!({"reason": "mutiny"});
    let lock = |actor: &Actor, who: &str| {
        let (actor, path, why) = (
            actor.clone(),
            format!("/api/v2/users/{who}/lock"),
            why.clone(),
        );
        async move { actor.post(&path, why).await }
    };
    lock(&admin, &ada).await.expect(403);
    let roles = format!("/api/v2/users/{ada}/roles");
    let strip = admin.send(Method::PUT, &roles, json!({"roles": ["member"]}));
    strip.await.expect(403);
    world.owner.get("/api/v2/incidents").await.expect(200);
    lock(&world.owner, &id).await.expect(200);
    admin.get("/api/v2/me").await.expect(401);
}

#[tokio::test]
async fn the_last_owner_stays_owner_until_there_is_another() {
    let world = World::new().await;
    let me = world.owner.get("/api/v2/me").await;
    let roles = format!("/api/v2/users/{}/roles", me.expect(200).text("id"));
    let member = json!({"roles": ["member"]});
    let refused = world.owner.send(Method::PUT, &roles, member.clone()).await;
    assert!(refused.expect(409).text("detail").contains("owner"));
    world.person("grace", &["owner"]).await;
    let done = world.owner.send(Method::PUT, &roles, member).await;
    done.expect(200);
    world.owner.get("/api/v2/incidents").await.expect(403);
}

#[tokio::test]
async fn who_is_locked_out_or_unknown_may_nothing_in_an_application_either() {
    let world = World::new().await;
    let role = json!({"permissions": ["document.read"]});
    let put = world.owner.send(Method::PUT, "/api/v2/roles/reader", role);
    put.await.expect(200);
    let (_, id) = world.person("eve", &["reader"]).await;
    let ask = |subject: &str| {
        let body = json!({"subject": {"type": "user", "id": subject}, "action": {"name": "read"},
            "resource": {"type": "document", "id": "7"}});
        let owner = world.owner.clone();
        async move {
            let answer = owner.post("/access/v1/evaluation", body).await;
            answer.expect(200).body["decision"].clone()
        }
    };
    assert_eq!(
        (ask("eve").await, ask(&id).await),
        (json!(true), json!(true))
    );
    let lock = format!("/api/v2/users/{id}/lock");
    let answer = world.owner.post(&lock, json!({"reason": "leaves"})).await;
    answer.expect(200);
    assert_eq!(
        (ask("eve").await, ask(&id).await),
        (json!(false), json!(false))
    );
    let nobody = "00000000-0000-7000-8000-000000000000";
    assert_eq!(
        (ask("nobody").await, ask(nobody).await),
        (json!(false), json!(false))
    );
}
