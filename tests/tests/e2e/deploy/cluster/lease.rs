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
