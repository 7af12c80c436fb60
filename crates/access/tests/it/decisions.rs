//! What the policies make of roles, scopes, tenants and owners.

use hub_access::{Action, Resource, roles};
use hub_base::{Principal, TenantId};
use hub_store::Cx;

use crate::world::World;

async fn allowed(world: &World, cx: &Cx, action: Action) -> bool {
    let resource = Resource::of(cx.tenant());
    world
        .authorizer
        .decide(&cx.principal, action, resource)
        .await
        .unwrap()
        .allowed
}

/// The names of the actions that the caller may do in their own tenant.
async fn may(world: &World, cx: &Cx) -> Vec<&'static str> {
    let mut names = Vec::new();
    for action in Action::ALL {
        if allowed(world, cx, *action).await {
            names.push(action.name());
        }
    }
    names
}

#[tokio::test]
async fn people_may_what_their_roles_permit_and_nothing_else() {
    let world = World::new().await;
    for role in ["owner", "admin", "analyst", "auditor", "member"] {
        let cx = world.person(role, &[role]).await;
        let permitted = roles::built_in(role).unwrap();
        for action in Action::ALL {
            let expected = permitted.contains(action.name());
            assert_eq!(
                allowed(&world, &cx, *action).await,
                expected,
                "{role} {action}"
            );
        }
    }
    let nobody = world.person("nobody", &[]).await;
    assert_eq!(may(&world, &nobody).await, ["self"]);
    let both = world.person("both", &["analyst", "admin"]).await;
    assert!(allowed(&world, &both, Action::UsersCreate).await);
    assert!(allowed(&world, &both, Action::IncidentsRespond).await);
}

#[tokio::test]
async fn only_the_operators_tenant_has_operators() {
    let world = World::new().await;
    let operator = world
        .person_of(TenantId::SYSTEM, "root", &["operator"])
        .await;
    assert_eq!(may(&world, &operator).await.len(), Action::ALL.len());
    // The name alone gives nothing elsewhere, not even by a row that should not be there.
    let pretender = world.person("pretender", &["operator"]).await;
    assert_eq!(may(&world, &pretender).await, ["self"]);
    // A role of one's own cannot open the operator's doors either.
    world
        .define(&world.hub(), "grand", &["tenants.create", "health.read"])
        .await
        .unwrap();
    let grand = world.person("grand", &["grand"]).await;
    assert_eq!(may(&world, &grand).await, ["self"]);
}

#[tokio::test]
async fn nobody_reaches_into_another_tenant() {
    let world = World::new().await;
    let other = hub_testkit::tenant(&world.db.store(), "rival").await;
    let operator = world
        .person_of(TenantId::SYSTEM, "root", &["operator"])
        .await;
    let owner = world.person("ada", &["owner"]).await;
    for cx in [
        &operator,
        &owner,
        &world.hub(),
        &world.program(&["users.read"]),
    ] {
        for action in Action::ALL {
            let resource = Resource::of(other);
            let decision = world
                .authorizer
                .decide(&cx.principal, *action, resource)
                .await
                .unwrap();
            assert!(!decision.allowed, "{:?} {action}", cx.principal.actor);
            assert!(
                decision.policies.iter().any(|name| name == "the-wall"),
                "{action}"
            );
        }
    }
}

#[tokio::test]
async fn programs_keep_to_their_scopes_and_make_no_rights() {
    let world = World::new().await;
    let reader = world.program(&["users.read", "events.ingest"]);
    assert_eq!(may(&world, &reader).await, ["users.read", "events.ingest"]);
    assert!(may(&world, &world.program(&[])).await.is_empty());
    let every: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
    let greedy = may(&world, &world.program(&every)).await;
    let never = [
        "self",
        "roles.update",
        "api_keys.create",
        "tenants.read",
        "tenants.create",
        "cleanup.run",
        "health.read",
    ];
    assert!(
        never.iter().all(|name| !greedy.contains(name)),
        "{greedy:?}"
    );
    assert_eq!(greedy.len() + never.len(), every.len());
}

#[tokio::test]
async fn strangers_may_nothing_and_what_is_ones_own_may_be_seen() {
    let world = World::new().await;
    let stranger = Principal::anonymous(world.tenant);
    for action in Action::ALL {
        let resource = Resource::of(world.tenant);
        let decision = world
            .authorizer
            .decide(&stranger, *action, resource)
            .await
            .unwrap();
        assert!(
            !decision.allowed && decision.policies.is_empty(),
            "{action}"
        );
    }
    let (ada, eve) = (
        world.person("ada", &["member"]).await,
        world.person("eve", &[]).await,
    );
    let hers = Resource::owned(world.tenant, ada.principal.user().unwrap());
    for (cx, expected) in [(&ada, true), (&eve, false)] {
        let decide = world
            .authorizer
            .decide(&cx.principal, Action::SessionsRevoke, hers);
        let decision = decide.await.unwrap();
        assert_eq!(decision.allowed, expected);
        assert_eq!(
            decision.policies.to_vec(),
            if expected {
                vec!["own-sessions"]
            } else {
                vec![]
            }
        );
    }
}
