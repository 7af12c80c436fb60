//! Grants are kept, and never longer than they hold.

use std::time::Duration;

use hub_access::{Action, Authorizer, Resource};
use hub_store::Cx;

use crate::world::{World, set};

async fn may(authorizer: &Authorizer, cx: &Cx, action: Action) -> bool {
    let resource = Resource::of(cx.tenant());
    let decision = authorizer.decide(&cx.principal, action, resource).await;
    decision.unwrap().allowed
}

#[tokio::test]
async fn a_change_counts_when_it_is_told() {
    let world = World::new().await;
    let owner = world.person("ada", &["owner"]).await;
    let bob = world.person("bob", &["soc"]).await;
    assert!(!may(&world.authorizer, &bob, Action::UsersRead).await);
    world.define(&owner, "soc", &["users.read"]).await.unwrap();
    assert!(may(&world.authorizer, &bob, Action::UsersRead).await);
    world.assign(&owner, &bob, &[]).await.unwrap();
    assert!(!may(&world.authorizer, &bob, Action::UsersRead).await);
}

#[tokio::test]
async fn others_hear_of_it_by_the_bus_or_within_a_minute() {
    let world = World::new().await;
    let owner = world.person("ada", &["owner"]).await;
    let bob = world.person("bob", &["analyst"]).await;
    let mut bus = owner.store.bus().listen();
    let (listener, replica) = (
        Authorizer::new(world.db.store()).unwrap(),
        Authorizer::new(world.db.store()).unwrap(),
    );
    for authorizer in [&listener, &replica] {
        assert!(may(authorizer, &bob, Action::IncidentsRead).await);
    }
    world.assign(&owner, &bob, &["member"]).await.unwrap();
    listener.apply(&bus.recv().await.unwrap());
    assert!(!may(&listener, &bob, Action::IncidentsRead).await);
    assert!(may(&replica, &bob, Action::IncidentsRead).await);
    world.db.clock.advance(Duration::from_mins(1));
    assert!(!may(&replica, &bob, Action::IncidentsRead).await);
}

#[tokio::test]
async fn role_changes_say_what_they_changed() {
    let world = World::new().await;
    let owner = world.person("ada", &["owner"]).await;
    let mut bus = owner.store.bus().listen();
    world.define(&owner, "soc", &["users.read"]).await.unwrap();
    world
        .assign(&owner, &owner, &["owner", "soc"])
        .await
        .unwrap();
    let (update, assign) = (bus.recv().await.unwrap(), bus.recv().await.unwrap());
    assert_eq!(
        (update.operation, assign.operation),
        ("role.update", "role.assign")
    );
    assert_eq!(update.event.text("resource.name"), Some("soc"));
    assert_eq!(update.event.text("actor.user.name"), Some("ada"));
    let roles: Vec<String> =
        serde_json::from_value(assign.event.at("unmapped.roles").unwrap().clone()).unwrap();
    assert_eq!(roles, ["owner", "soc"]);
}

#[tokio::test]
async fn tenants_have_roles_of_their_own() {
    let world = World::new().await;
    let other = hub_testkit::tenant(&world.db.store(), "rival").await;
    let owner = world.person("ada", &["owner"]).await;
    world
        .define(&owner, "soc", &["users.read", "document.read"])
        .await
        .unwrap();
    let rival = world.person_of(other, "eve", &["soc"]).await;
    assert_eq!(
        world
            .authorizer
            .permissions(&rival.principal)
            .await
            .unwrap(),
        set(&[])
    );
    let names = |roles: Vec<hub_access::roles::Role>| -> Vec<String> {
        roles.into_iter().map(|role| role.name).collect()
    };
    let ours = names(hub_access::roles::list(&owner).await.unwrap());
    let theirs = names(hub_access::roles::list(&rival).await.unwrap());
    assert_eq!(
        ours,
        ["owner", "admin", "analyst", "auditor", "member", "soc"]
    );
    assert_eq!(theirs, ["owner", "admin", "analyst", "auditor", "member"]);
}
