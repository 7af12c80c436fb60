//! Whoever deploys holds the Lease only as long as there are signs of life; whoever lost it changes nothing more.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::World;
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

/// Begins a deploy, which somebody else takes the Lease from right after `after`, and ends with what the API held then
/// and what it holds when the deploy has ended, of all that a deploy changes.
async fn replaced(
    after: [&'static str; 2],
    act: impl FnOnce(&super::Api) + Send + 'static,
) -> (World, [Value; 2]) {
    let world = World::new().await;
    let config = std::fs::read_to_string(world.at("deploy.toml")).unwrap();
    // Renewals of its own would come between.
    let config = config.replace("state = 'state'", "state = 'state'\nlease = '10m'");
    std::fs::write(world.at("deploy.toml"), &config).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    world.api.meanwhile(after, move |api| {
        let other = json!({"holderIdentity": "elsewhere:/var/lib/deploys"});
        api.change(LEASE, |lease| lease["spec"] = other).unwrap();
        act(api);
        tell.send(changeable(api)).unwrap();
    });
    let first = world.good("1.0.0");
    let (code, said) = world.deploy(&first).await;
    assert_eq!(code, 5, "{said}");
    let said = said.to_string();
    assert!(
        said.contains("elsewhere:/var/lib/deploys has taken over here"),
        "{said}"
    );
    let then = told.try_recv().expect("nobody else acted");
    let now = changeable(&world.api);
    (world, [then, now])
}

/// What a deploy may change, without what a cluster's own controllers say of it.
fn changeable(api: &super::Api) -> Value {
    let objects = api.objects.lock().unwrap();
    let changeable = objects.iter().map(|(key, object)| {
        let said = json!([object["spec"], object["metadata"]["annotations"]]);
        (key.clone(), said)
    });
    changeable.collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_the_next_change_of_whoever_was_replaced_is_not_made_whole_machine() {
    // Taken a moment ago; nothing but the Lease has changed.
    let after = [
        "get leases/security-hub-deploy",
        "patch leases/security-hub-deploy",
    ];
    let (_world, [then, now]) = replaced(after, |_| ()).await;
    assert_eq!(now, then);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_change_that_was_under_way_is_refused_to_whoever_was_replaced_whole_machine()
 {
    // It has just seen that the Lease is held, and stands still before its change.
    let after = [
        "get ingresses/security-hub",
        "get leases/security-hub-deploy",
    ];
    let (world, [then, now]) = replaced(after, |api| {
        let theirs = "hub.security/colour=blue=50,hub.security/colour=green=50";
        let change =
            |ingress: &mut Value| ingress["metadata"]["annotations"][BALANCE] = json!(theirs);
        api.change(INGRESS, change).unwrap();
    })
    .await;
    assert_eq!(*world.api.conflicts.lock().unwrap(), [INGRESS]);
    assert_eq!(now, then);
}
