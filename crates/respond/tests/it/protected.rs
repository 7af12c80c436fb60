use hub_base::ErrorKind;
use hub_respond::actions::{self, Kind as Action, Request, State};
use hub_respond::protected::{self, Kind};

use crate::world::World;

#[tokio::test]
async fn the_protected_are_never_contained_by_themselves() {
    let world = World::new().await;
    let cx = world.operator();
    let glass = world.user("breakglass").await;
    let backup = world.user("backup").await;
    let key = world.api_key("nightly", &backup).await;
    protected::add(&cx, Kind::User, "BreakGlass", "break-glass account")
        .await
        .unwrap();
    protected::add(&cx, Kind::ApiKey, &key, "the nightly batch")
        .await
        .unwrap();
    protected::add(&cx, Kind::Address, "198.51.100.0/24", "our office")
        .await
        .unwrap();
    let (user, key) = (format!("user:{glass}"), format!("api_key:{key}"));
    let findings = [
        world.finding("T1078", &user, &[&user, "address:198.51.100.9"]),
        world.finding("T1530", &key, &[&key, "address:127.0.0.1"]),
    ];
    let ids = world.absorb(&findings).await;
    world.run().await;
    for id in ids {
        for action in world
            .case(id)
            .await
            .actions
            .iter()
            .filter(|a| a.kind.is_containment())
        {
            assert_eq!(action.state, State::Skipped, "{action:?}");
            assert!(
                action.error.as_deref().unwrap().starts_with("protected: "),
                "{action:?}"
            );
        }
    }
    assert!(!world.is_locked(&glass).await);
    assert_eq!(world.acts("containment.apply").await, 0);
}

#[tokio::test]
async fn an_operator_may_contain_what_is_protected() {
    let world = World::new().await;
    let cx = world.operator();
    let glass = world.user("breakglass").await;
    protected::add(&cx, Kind::User, &glass, "break-glass account")
        .await
        .unwrap();
    let user = format!("user:{glass}");
    let id = world
        .absorb(&[world.finding("T1078", &user, &[&user])])
        .await[0];
    world.run().await;
    assert!(!world.is_locked(&glass).await);
    let order = Request {
        kind: Action::LockAccount,
        target: glass.clone(),
        ttl: None,
        reason: "seen".into(),
    };
    let done = actions::apply_manual(&cx, id, order, &world.deps)
        .await
        .unwrap();
    assert_eq!(done.state, State::Applied);
    assert!(world.is_locked(&glass).await);
}

#[tokio::test]
async fn the_list_is_kept_by_people_and_starts_with_the_configured() {
    let world = World::new().await;
    let cx = world.operator();
    let list = protected::list(&cx, &world.deps.config).await.unwrap();
    let values: Vec<&str> = list.iter().map(|p| p.value.as_str()).collect();
    assert_eq!(values, ["127.0.0.1/32", "::1/128"]);
    let entry = protected::add(&cx, Kind::Address, "192.0.2.5", "probe")
        .await
        .unwrap();
    let twice = protected::add(&cx, Kind::Address, "192.0.2.5/32", "probe")
        .await
        .unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    for (kind, value) in [(Kind::Address, "x"), (Kind::ApiKey, "x"), (Kind::User, " ")] {
        let error = protected::add(&cx, kind, value, "why").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    protected::remove(&cx, entry.id.unwrap()).await.unwrap();
    let gone = protected::remove(&cx, entry.id.unwrap()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(world.acts("protected.update").await, 2);
}
