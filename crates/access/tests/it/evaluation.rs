//! AuthZEN: a tenant's own permissions, asked by its programs.

use hub_access::evaluation::{Evaluation, evaluate};
use hub_base::UserId;
use serde_json::json;

use crate::world::World;

async fn ask(
    world: &World,
    user: Option<UserId>,
    kind: &str,
    action: &str,
    resource: &str,
) -> bool {
    let body = json!({"subject": {"type": kind, "id": "ada"}, "action": {"name": action},
        "resource": {"type": resource, "id": "1"}});
    let question = Evaluation::parse(&body).unwrap();
    evaluate(&world.authorizer, world.tenant, user, &question)
        .await
        .unwrap()
        .decision
}

#[tokio::test]
async fn a_person_may_what_the_tenants_own_roles_permit() {
    let world = World::new().await;
    let owner = world.person("boss", &["owner"]).await;
    world
        .define(&owner, "reader", &["document.read", "folder.list"])
        .await
        .unwrap();
    let ada = world.person("ada", &["reader"]).await.principal.user();
    for (user, kind, action, resource, expected) in [
        (ada, "user", "read", "document", true),
        (ada, "user", "folder.list", "folder", true),
        (ada, "user", "write", "document", false),
        (ada, "user", "read", "secret", false),
        (ada, "service", "read", "document", false),
        (None, "user", "read", "document", false),
        (owner.principal.user(), "user", "read", "document", false),
    ] {
        let decision = ask(&world, user, kind, action, resource).await;
        assert_eq!(decision, expected, "{kind} {action} {resource}");
    }
    // A person of another tenant is nobody here.
    let stranger = world
        .person_of(hub_base::TenantId::SYSTEM, "eve", &["operator"])
        .await;
    assert!(!ask(&world, stranger.principal.user(), "user", "read", "users").await);
}
