use std::time::Duration;

use std::sync::Arc;

use hub_base::{ErrorKind, Origin, RequestId};
use hub_respond::actions::{self, Kind, Request, State};
use hub_respond::blocks;
use hub_respond::incidents::Status;

use crate::world::{World, actions_of};

#[tokio::test]
async fn a_spray_blocks_the_address_and_touches_no_victim() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let user = format!("user:{ada}");
    let found = world.finding(
        "T1110.003",
        "address:192.0.2.1",
        &["address:192.0.2.1", &user],
    );
    let id = world.absorb(&[found]).await[0];
    assert_eq!(world.run().await, 3);
    let case = world.case(id).await;
    assert_eq!(actions_of(&case), ["block_address 192.0.2.1: applied"]);
    assert_eq!(case.incident.status, Status::Contained);
    assert!(case.incident.contained_at.is_some());
    assert!(!world.is_locked(&ada).await);
    let standing = blocks::load_all(&world.store).await.unwrap();
    let now = world.system().now();
    assert!(standing[0].refuses("192.0.2.1".parse().unwrap(), now));
    assert!(standing[0].refuses("::ffff:192.0.2.1".parse().unwrap(), now));
    assert!(!standing[0].refuses("192.0.2.2".parse().unwrap(), now));
    for operation in ["containment.apply", "address.block", "evidence.preserve"] {
        assert_eq!(world.acts(operation).await, 1, "{operation}");
    }
    assert_eq!(world.run().await, 0);
}

#[tokio::test]
async fn an_intruder_who_settles_in_loses_everything() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    world.session(&ada).await;
    world.session(&ada).await;
    let key = world.api_key("backdoor", &ada).await;
    let user = format!("user:{ada}");
    // The finding does not name the key: whatever the intruder made since then is found.
    let found = world.finding("T1098", &user, &[&user, "address:192.0.2.7"]);
    let id = world.absorb(&[found]).await[0];
    world.run().await;
    let mut expected = vec![
        "block_address 192.0.2.7: applied".to_owned(),
        format!("end_sessions {ada}: applied"),
        format!("lock_account {ada}: applied"),
        format!("revoke_api_key {key}: applied"),
    ];
    expected.sort();
    assert_eq!(actions_of(&world.case(id).await), expected);
    assert!(world.is_locked(&ada).await);
    assert_eq!(world.live_sessions(&ada).await, 0);
    let sql = "select count(*) from api_key where id = $1::uuid and revoked_at is not null";
    assert_eq!(world.count(sql, &key).await, 1);
    // Back again, as far as there is a way back.
    let cx = world.operator();
    let lock = world.action(id, Kind::LockAccount).await;
    assert!(lock.is_releasable());
    actions::release(&cx, id, lock.id, "it was her")
        .await
        .unwrap();
    assert!(!world.is_locked(&ada).await);
    let ended = world.action(id, Kind::EndSessions).await;
    actions::release(&cx, id, ended.id, "it was her")
        .await
        .unwrap();
    assert_eq!(
        world.live_sessions(&ada).await,
        0,
        "ended sessions stay ended"
    );
    let revoked = world.action(id, Kind::RevokeApiKey).await;
    actions::release(&cx, id, revoked.id, "her own key")
        .await
        .unwrap();
    assert_eq!(world.count(sql, &key).await, 0);
    assert_eq!(world.acts("containment.release").await, 3);
    let kept = world.action(id, Kind::PreserveEvidence).await;
    let error = actions::release(&cx, id, kept.id, "no need")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("evidence is kept"), "{error}");
}

#[tokio::test]
async fn what_an_operator_released_is_not_applied_again_in_that_incident() {
    let world = World::new().await;
    let found = || world.finding("T1110.003", "address:192.0.2.1", &["address:192.0.2.1"]);
    let id = world.absorb(&[found()]).await[0];
    world.run().await;
    let block = world.action(id, Kind::BlockAddress).await;
    let cx = world.operator();
    let released = actions::release(&cx, id, block.id, "our own scanner")
        .await
        .unwrap();
    assert_eq!(released.state, State::Released);
    assert!(blocks::list(&cx).await.unwrap().is_empty());
    let twice = actions::release(&cx, id, block.id, "again")
        .await
        .unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    assert_eq!(world.absorb(&[found()]).await, [id]);
    world.run().await;
    assert_eq!(
        actions_of(&world.case(id).await),
        ["block_address 192.0.2.1: released"]
    );
    // By hand it can be.
    let again = manual(Kind::BlockAddress, "192.0.2.1");
    let applied = actions::apply_manual(&cx, id, again.clone(), &world.deps)
        .await
        .unwrap();
    assert_eq!(
        (applied.state, applied.manual, applied.id),
        (State::Applied, true, block.id)
    );
    assert_eq!(blocks::list(&cx).await.unwrap().len(), 1);
    let standing = actions::apply_manual(&cx, id, again, &world.deps)
        .await
        .unwrap_err();
    assert_eq!(standing.kind(), ErrorKind::Conflict);
}

fn manual(kind: Kind, target: &str) -> Request {
    Request {
        kind,
        target: target.to_owned(),
        ttl: None,
        reason: "by hand".to_owned(),
    }
}

#[tokio::test]
async fn an_order_that_would_hurt_is_refused() {
    let world = World::new().await;
    let id = world
        .absorb(&[world.finding("T1", "address:192.0.2.1", &[])])
        .await[0];
    let mut cx = world.operator();
    cx.origin = Some(Arc::new(Origin {
        request: RequestId::new(&*world.clock),
        address: "203.0.113.5".parse().unwrap(),
        user_agent: None,
        device: None,
    }));
    for (kind, target) in [
        (Kind::BlockAddress, "0.0.0.0/0"),
        (Kind::BlockAddress, "203.0.113.0/24"),
        (Kind::BlockAddress, "nonsense"),
        (Kind::LockAccount, "ada"),
        (Kind::RevokeApiKey, ""),
    ] {
        let error = actions::apply_manual(&cx, id, manual(kind, target), &world.deps)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{target}: {error}");
    }
    let wide = manual(Kind::BlockAddress, "198.51.100.0/24");
    let applied = actions::apply_manual(&cx, id, wide, &world.deps)
        .await
        .unwrap();
    assert_eq!(applied.state, State::Applied);
    assert_eq!(
        blocks::list(&cx).await.unwrap()[0].network.to_string(),
        "198.51.100.0/24"
    );
}

#[tokio::test]
async fn two_incidents_lock_one_user_and_the_last_release_unlocks() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let user = format!("user:{ada}");
    let first = world
        .absorb(&[world.finding("T1078", &user, &[&user])])
        .await[0];
    world.run().await;
    world.clock.advance(Duration::from_hours(2));
    let second = world
        .absorb(&[world.finding("T1078", &user, &[&user])])
        .await[0];
    assert_ne!(first, second);
    world.run().await;
    let cx = world.operator();
    for (incident, is_locked) in [(first, true), (second, false)] {
        let lock = world.action(incident, Kind::LockAccount).await;
        actions::release(&cx, incident, lock.id, "checked")
            .await
            .unwrap();
        assert_eq!(world.is_locked(&ada).await, is_locked);
    }
}

#[tokio::test]
async fn a_lock_that_was_there_before_is_not_opened() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let user = format!("user:{ada}");
    let mut tx = world.system().write().await.unwrap();
    let id = ada.parse().unwrap();
    hub_identity::users::lock_in(&mut tx, id, "left the company")
        .await
        .unwrap();
    tx.commit_progress().await.unwrap();
    let incident = world
        .absorb(&[world.finding("T1078", &user, &[&user])])
        .await[0];
    world.run().await;
    let lock = world.action(incident, Kind::LockAccount).await;
    assert_eq!(lock.state, State::Applied);
    actions::release(&world.operator(), incident, lock.id, "checked")
        .await
        .unwrap();
    assert!(world.is_locked(&ada).await);
}

#[tokio::test]
async fn a_containment_ends_with_its_time() {
    let world = World::new().await;
    let found = world.finding("T1110.003", "address:192.0.2.1", &["address:192.0.2.1"]);
    let id = world.absorb(&[found]).await[0];
    world.run().await;
    world.clock.advance(Duration::from_secs(4 * 3600 - 1));
    assert_eq!(
        actions::expire(&world.store, world.tenant).await.unwrap(),
        0
    );
    world.clock.advance(Duration::from_secs(1));
    assert!(
        blocks::list(&world.operator()).await.unwrap().is_empty(),
        "over even before the sweep"
    );
    assert_eq!(
        actions::expire(&world.store, world.tenant).await.unwrap(),
        1
    );
    assert_eq!(
        actions::expire(&world.store, world.tenant).await.unwrap(),
        0
    );
    assert_eq!(
        world.action(id, Kind::BlockAddress).await.state,
        State::Released
    );
    assert_eq!(world.acts("address.release").await, 1);
    // An attack that goes on is blocked again: it was time that let it in, not a person.
    let mut more = world.finding("T1110.003", "address:192.0.2.1", &["address:192.0.2.1"]);
    more.first_event_at = world.case(id).await.incident.last_activity_at;
    assert_eq!(world.absorb(&[more]).await, [id]);
    world.run().await;
    assert_eq!(
        world.action(id, Kind::BlockAddress).await.state,
        State::Applied
    );
    assert_eq!(blocks::list(&world.operator()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_target_that_is_not_ours_is_skipped_with_the_reason() {
    let world = World::new().await;
    let found = world.finding(
        "T1078",
        "user:root",
        &["user:root", "address:not-an-address"],
    );
    let id = world.absorb(&[found]).await[0];
    world.run().await;
    let case = world.case(id).await;
    let contained = case.actions.iter().filter(|a| a.kind.is_containment());
    assert!(contained.clone().count() == 3);
    for action in contained {
        assert_eq!(action.state, State::Skipped);
        assert!(
            action.error.as_deref().unwrap().contains("is not a"),
            "{:?}",
            action.error
        );
    }
    assert_eq!(case.incident.status, Status::New, "nothing was contained");
    assert_eq!(
        world.acts("containment.skip").await,
        4,
        "three targets and no channel"
    );
}

#[tokio::test]
async fn a_finding_that_names_a_crowd_does_not_lock_it() {
    let world = World::new().await;
    let mut users = Vec::new();
    for n in 0..15 {
        users.push(format!("user:{}", world.user(&format!("u{n}")).await));
    }
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let id = world
        .absorb(&[world.finding("T1078", &users[0], &names)])
        .await[0];
    world.run().await;
    let case = world.case(id).await;
    let locks = case
        .actions
        .iter()
        .filter(|a| a.kind == Kind::LockAccount)
        .count();
    assert_eq!(locks, 10);
    assert!(
        case.timeline
            .iter()
            .any(|e| e.text.contains("left to an operator"))
    );
}
