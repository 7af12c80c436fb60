//! Whoever deploys holds the Lease only as long as there are signs of life; whoever lost it changes nothing more.

use std::sync::mpsc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::api::Api;
use super::{PODS, World};
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_whoever_falls_silent_is_replaced_and_changes_nothing_more_whole_machine() {
    let world = World::new().await;
    let config = std::fs::read_to_string(world.at("deploy.toml")).unwrap();
    let config = config.replace("state = 'state'", "state = 'state'\nlease = '4s'");
    std::fs::write(world.at("deploy.toml"), &config).unwrap();
    let other = config.replace("state = 'state'", "state = 'elsewhere'");
    std::fs::write(world.at("other.toml"), other).unwrap();
    world.begin().await;
    let next = world.good("1.1.0");
    let child = world.deploying(&next);
    until("a renewal", || async {
        let lease = world.object("leases/security-hub-deploy")["spec"].clone();
        (!lease["holderIdentity"].is_null() && lease["renewTime"] != lease["acquireTime"])
            .then_some(())
    })
    .await;
    world.steps(5).await;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();

    // From elsewhere: not while it may be alive, and then without being told to.
    let (first, toml) = (world.at("1.0.0"), world.at("other.toml"));
    let elsewhere = [
        "deploy",
        "--config",
        toml.to_str().unwrap(),
        "--release",
        first.to_str().unwrap(),
    ];
    let (code, said) = world.run(&elsewhere).await;
    assert_eq!(code, 4, "{said}");
    assert!(said.to_string().contains("--take-over"), "{said}");
    let taken = until("the Lease's end", || async {
        let (code, outcome) = world.run(&elsewhere).await;
        (code != 4).then_some((code, outcome))
    })
    .await;
    assert_eq!(
        (taken.0, &taken.1["outcome"]),
        (0, &json!("deployed")),
        "{}",
        taken.1
    );

    let objects = || -> Vec<Value> {
        [
            "deployments/security-hub-blue",
            "deployments/security-hub-green",
            "ingresses/security-hub",
        ]
        .map(|key| world.object(key))
        .iter()
        .map(|object| json!([object["spec"], object["metadata"]["annotations"]]))
        .collect()
    };
    let before = objects();
    kill(pid, Signal::SIGCONT).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("taken over here"), "{said}");
    assert_eq!(objects(), before);
    // What it had begun leads nowhere any more, neither on nor back: what the other one deployed stays.
    let (code, left) = world.run(&["rollback", "--unfinished"]).await;
    assert_eq!((code, &left["outcome"]), (0, &json!("failed")), "{left}");
    let why = left["back"].as_str().unwrap();
    assert!(why.contains("somebody else has deployed since"), "{why}");
    assert_eq!(objects(), before);
    let (code, none) = world.run(&["rollback", "--unfinished"]).await;
    assert_eq!((code, &none), (0, &json!({"unfinished": null})));
    assert_eq!(world.live().await, "1.0.0");
}

const INGRESS: &str = "ingresses/security-hub";
const LEASE: &str = "leases/security-hub-deploy";
const BALANCE: &str = "haproxy-ingress.github.io/blue-green-balance";

const THEIRS: &str = "elsewhere:/var/lib/deploys";

/// Somebody else takes the Lease. What the API holds then of all that a deploy changes.
fn taken(api: &Api) -> Value {
    let other = json!({"holderIdentity": THEIRS});
    api.change(LEASE, |lease| lease["spec"] = other).unwrap();
    changeable(api)
}

/// A world in which a deploy asks for its Lease before a change, and at no other time.
async fn quiet() -> World {
    let world = World::new().await;
    let config = std::fs::read_to_string(world.at("deploy.toml")).unwrap();
    let config = config.replace("state = 'state'", "state = 'state'\nlease = '10m'");
    std::fs::write(world.at("deploy.toml"), &config).unwrap();
    world
}

/// A deploy that is replaced by `act` after these requests, and changes nothing more.
async fn replaced(
    world: &World,
    name: &str,
    after: &'static [&'static str],
    act: impl FnOnce(&Api) -> Value + Send + 'static,
) {
    let (tell, told) = mpsc::channel();
    world
        .api
        .meanwhile(after, move |api| tell.send(act(api)).unwrap());
    let release = world.good(name);
    let (code, said) = world.deploy(&release).await;
    assert_eq!(code, 5, "{said}");
    let wanted = format!("{THEIRS} has taken over here");
    assert!(said.to_string().contains(&wanted), "{said}");
    let then = told.try_recv().expect("nobody else acted");
    assert_eq!(changeable(&world.api), then);
    // They are done, and its way is gone too.
    world
        .api
        .change(LEASE, |lease| lease["spec"] = json!({}))
        .unwrap();
    std::fs::remove_dir_all(world.at("state")).unwrap();
}

/// What a deploy may change, without what a cluster's own controllers say of it and what they remove.
fn changeable(api: &Api) -> Value {
    let objects = api.objects.lock().unwrap();
    let stays = |(_, object): &(&String, &Value)| object["metadata"]["deletionTimestamp"].is_null();
    let changeable = objects.iter().filter(stays).map(|(key, object)| {
        let said = json!([object["spec"], object["metadata"]["annotations"]]);
        (key.clone(), said)
    });
    changeable.collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_the_next_change_of_whoever_was_replaced_is_not_made_whole_machine() {
    let world = quiet().await;
    // Each moment is right before it makes sure of its Lease, which it took or saw a moment ago; nothing else has changed.
    let job: &[&str] = &["get jobs/security-hub-migrate"];
    replaced(&world, "1.0.0", job, taken).await;
    let service: &[&str] = &["get services/security-hub"];
    replaced(&world, "1.0.1", service, taken).await;
    let going: &[&str] = &[
        "delete jobs/security-hub-migrate",
        "get jobs/security-hub-migrate",
    ];
    replaced(&world, "1.0.2", going, taken).await;
    // And while its migration runs, which they remove.
    let runs: &[&str] = &["create jobs/"];
    replaced(&world, "1.0.3", runs, |api| {
        api.objects
            .lock()
            .unwrap()
            .remove("jobs/security-hub-migrate");
        taken(api)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_an_answer_that_is_lost_takes_no_good_release_back_whole_machine() {
    let world = quiet().await;
    let lost = [
        "get leases/security-hub-deploy",
        "create jobs/",
        "get jobs/security-hub-migrate",
        "patch deployments/security-hub-blue",
        "patch services/security-hub",
        "patch ingresses/security-hub",
    ];
    *world.api.lost.lock().unwrap() = lost.to_vec();
    let release = world.good("1.0.0");
    let (code, outcome) = world.deploy(&release).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    assert!(world.api.lost.lock().unwrap().is_empty());
    assert_eq!(world.live().await, "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_change_made_again_leaves_what_the_autoscaler_added_whole_machine() {
    let world = quiet().await;
    // Between a look at the Deployment and its change, which is refused and made again.
    let after: &[&str] = &[
        "get deployments/security-hub-blue",
        "get leases/security-hub-deploy",
    ];
    let deployment = "deployments/security-hub-blue";
    world.api.meanwhile(after, move |api| {
        api.change(deployment, |object| {
            object["spec"]["replicas"] = json!(PODS + 1);
        })
        .unwrap();
    });
    let release = world.good("1.0.0");
    let (code, outcome) = world.deploy(&release).await;
    assert_eq!(code, 0, "{outcome}");
    assert_eq!(*world.api.conflicts.lock().unwrap(), [deployment]);
    assert_eq!(world.replicas("blue"), PODS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_change_under_way_is_refused_to_whoever_was_replaced_whole_machine() {
    let world = quiet().await;
    // It has just seen that the Lease is held, and stands still before its change.
    let after: &[&str] = &[
        "get ingresses/security-hub",
        "get leases/security-hub-deploy",
    ];
    replaced(&world, "1.0.0", after, |api| {
        let theirs = "hub.security/colour=blue=50,hub.security/colour=green=50";
        let change =
            |ingress: &mut Value| ingress["metadata"]["annotations"][BALANCE] = json!(theirs);
        api.change(INGRESS, change).unwrap();
        taken(api)
    })
    .await;
    assert_eq!(*world.api.conflicts.lock().unwrap(), [INGRESS]);
    // The same before it deletes the last migration: they have begun theirs.
    let after: &[&str] = &[
        "get jobs/security-hub-migrate",
        "get leases/security-hub-deploy",
    ];
    replaced(&world, "1.0.1", after, |api| {
        let change = |job: &mut Value| job["metadata"]["uid"] = json!("theirs");
        api.change("jobs/security-hub-migrate", change).unwrap();
        taken(api)
    })
    .await;
    let conflicts = world.api.conflicts.lock().unwrap().clone();
    assert_eq!(conflicts, [INGRESS, "jobs/security-hub-migrate"]);
    assert!(world.object("jobs/security-hub-migrate")["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_change_to_what_is_so_already_is_seen_by_whoever_was_replaced_whole_machine()
 {
    let world = World::new().await;
    world.begin().await;
    let before = world.object(INGRESS);
    let (tell, told) = mpsc::channel();
    world
        .api
        .meanwhile(&["patch ingresses/security-hub"], move |api| {
            let object = api.objects.lock().unwrap()[INGRESS].clone();
            tell.send(object).unwrap();
        });
    let next = world.good("1.1.0");
    let (code, outcome) = world.deploy(&next).await;
    assert_eq!(code, 0, "{outcome}");
    let after = told.try_recv().unwrap();
    let balance = |ingress: &Value| ingress["metadata"]["annotations"][BALANCE].clone();
    assert_eq!(balance(&after), balance(&before));
    let version = |ingress: &Value| ingress["metadata"]["resourceVersion"].clone();
    assert_ne!(version(&after), version(&before));
}
