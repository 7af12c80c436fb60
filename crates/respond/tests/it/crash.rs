//! `kill -9` while actions are applied: nothing is lost, nothing is done twice.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, ManualClock, SystemClock, Timestamp};
use hub_respond::actions::{self, Deps, State};
use hub_respond::{RespondConfig, blocks};
use hub_store::{Endpoints, connect};
use sqlx::Connection;

use crate::world::World;

/// In the child process: apply whatever is due until killed. In the test's own process: nothing to do.
#[test]
fn a_worker_to_be_killed() {
    let Ok(app) = std::env::var("RESPOND_WORKER_URL") else {
        return;
    };
    let tenant = std::env::var("RESPOND_WORKER_TENANT")
        .unwrap()
        .parse()
        .unwrap();
    let now: i64 = std::env::var("RESPOND_WORKER_NOW")
        .unwrap()
        .parse()
        .unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_unix_micros(now)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = connect(&Endpoints::from_urls(&app, None).unwrap(), 4, clock);
        let deps = Deps {
            config: Arc::new(RespondConfig::default()),
        };
        actions::run_pending(&store, tenant, &deps).await.unwrap();
    });
}

fn spawn(world: &World) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::a_worker_to_be_killed"])
        .env("RESPOND_WORKER_URL", &world.db.url_app)
        .env("RESPOND_WORKER_TENANT", world.tenant.to_string())
        .env(
            "RESPOND_WORKER_NOW",
            world.clock.now().unix_micros().to_string(),
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_at_any_moment_applies_each_action_exactly_once() {
    let world = World::new().await;
    for n in 0..60 {
        let address = format!("address:192.0.2.{n}");
        world
            .absorb(&[world.finding("T1110.004", "campaign:stuffing", &[&address])])
            .await;
    }
    let applied = "select count(*) from response_action where state = 'applied' and kind = $1";
    // Each worker is killed as soon as it has done a few more; the next takes over when the leases are over.
    for goal in [1, 5, 9, 20, 33] {
        let mut child = spawn(&world);
        while world.count(applied, "block_address").await < goal
            && child.try_wait().unwrap().is_none()
        {
            tokio::task::yield_now().await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        world.clock.advance(Duration::from_secs(11));
    }
    assert!(
        world.count(applied, "block_address").await >= 33,
        "the workers did work"
    );
    world.run().await;
    assert_eq!(world.count(applied, "block_address").await, 60);
    assert_eq!(blocks::list(&world.operator()).await.unwrap().len(), 60);
    assert_eq!(world.acts("address.block").await, 60);
    assert_eq!(world.acts("containment.apply").await, 60);
    assert_eq!(world.acts("evidence.preserve").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_apply_each_action_once() {
    let world = World::new().await;
    for n in 0..40 {
        let address = format!("address:192.0.2.{n}");
        world
            .absorb(&[world.finding("T1110.003", &address, &[&address])])
            .await;
    }
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (store, tenant, deps) = (world.store.clone(), world.tenant, world.deps.clone());
            tokio::spawn(async move { actions::run_pending(&store, tenant, &deps).await.unwrap() })
        })
        .collect();
    let mut ended = 0;
    for worker in workers {
        ended += worker.await.unwrap();
    }
    ended += world.run().await;
    assert_eq!(ended, 120);
    assert_eq!(world.acts("containment.apply").await, 40);
    let contained = "select count(*) from incident where status = $1";
    assert_eq!(world.count(contained, "contained").await, 40);
}

#[tokio::test]
async fn a_worker_that_slept_past_its_lease_changes_nothing() {
    let world = World::new().await;
    let id = world
        .absorb(&[world.finding("T1110.003", "address:192.0.2.1", &["address:192.0.2.1"])])
        .await[0];
    // A worker claimed and died: as after the first of its two transactions.
    let mut tx = world.system().write().await.unwrap();
    let until = tx.now().plus(Duration::from_secs(10)).to_offset();
    sqlx::query("update response_action set state = 'applying', attempts = 1, leased_until = $1 where phase < 2")
        .bind(until)
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit_progress().await.unwrap();
    assert_eq!(
        world.run().await,
        0,
        "the lease holds, and people are told after containment"
    );
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.run().await, 3);
    assert_eq!(world.acts("containment.apply").await, 1);
    assert!(
        world
            .case(id)
            .await
            .actions
            .iter()
            .all(|a| a.state != State::Applying)
    );
}

#[tokio::test]
async fn what_keeps_failing_is_given_up_and_shown() {
    let config = RespondConfig {
        attempts: 3,
        ..RespondConfig::default()
    };
    let world = World::with(config).await;
    let found = world.finding("T1110.003", "address:192.0.2.1", &["address:192.0.2.1"]);
    let id = world.absorb(&[found]).await[0];
    // The table is broken for the application's role: every block fails until somebody mends it.
    let mut owner = sqlx::PgConnection::connect(&world.db.url_superuser)
        .await
        .unwrap();
    sqlx::query("revoke insert on address_block from hub_app")
        .execute(&mut owner)
        .await
        .unwrap();
    for _ in 0..3 {
        world.run().await;
        world.clock.advance(Duration::from_mins(1));
    }
    let block = world.action(id, actions::Kind::BlockAddress).await;
    assert_eq!((block.state, block.attempts), (State::Failed, 3));
    let case = world.case(id).await;
    assert!(
        case.timeline
            .iter()
            .any(|e| e.text.contains("an operator must look")),
        "{:?}",
        case.timeline
    );
    assert_eq!(
        world.acts("containment.apply").await,
        1,
        "one act says that it failed"
    );
    // Mended, and ordered again by hand.
    sqlx::query("grant insert on address_block to hub_app")
        .execute(&mut owner)
        .await
        .unwrap();
    let order = actions::Request {
        kind: actions::Kind::BlockAddress,
        target: "192.0.2.1".to_owned(),
        ttl: Some(Duration::from_mins(1)),
        reason: "mended".to_owned(),
    };
    let done = actions::apply_manual(&world.operator(), id, order, &world.deps)
        .await
        .unwrap();
    assert_eq!(done.state, State::Applied);
    assert_eq!(
        done.until,
        Some(world.clock.now().plus(Duration::from_mins(1)))
    );
    assert!(SystemClock.now() > Timestamp::from_unix_seconds(0));
}

/// The hub's own worker wakes at the order, too: whoever is first does it, and the one who ordered it waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_by_hand_is_told_as_done_whoever_does_it() {
    let world = World::new().await;
    let found = world.finding("T1110.003", "address:192.0.2.1", &["address:192.0.2.1"]);
    let id = world.absorb(&[found]).await[0];
    world.run().await;
    let (store, tenant, deps) = (world.store.clone(), world.tenant, world.deps.clone());
    let worker = tokio::spawn(async move {
        loop {
            actions::run_pending(&store, tenant, &deps).await.unwrap();
        }
    });
    for n in 0..20 {
        let order = actions::Request {
            kind: actions::Kind::BlockAddress,
            target: format!("198.51.100.{n}"),
            ttl: None,
            reason: "by hand".to_owned(),
        };
        let told = actions::apply_manual(&world.operator(), id, order, &world.deps).await;
        assert_eq!(told.unwrap().state, State::Applied, "order {n}");
    }
    worker.abort();
}
