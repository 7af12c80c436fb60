//! `hubctl` killed with SIGKILL at every entry of its journal, on a cluster: it is gone on with, or taken back.

use serde_json::json;

use super::World;
use super::scaled::pod;
use crate::deploy::load::{Load, Pace};
use crate::deploy::unharmed;

/// Gates, migrate, start, ready, smoke, two shares, bake. (After the last, retire, it is over within a moment: on a host
/// that is tested too.)
const ENTRIES: usize = 8;

impl World {
    async fn killed_after(&self, release: &std::path::Path, count: usize) {
        let mut child = self.deploying(release);
        self.steps(count).await;
        assert_eq!(child.try_wait().unwrap(), None, "it ended before {count}");
        child.kill().unwrap();
        child.wait().unwrap();
        let (code, status) = self.run(&["status"]).await;
        assert_eq!(code, 1, "{status}");
        let entries = status["unfinished"]["entries"].as_array();
        assert!(
            entries.is_some_and(|all| all.len() >= count),
            "after {count}: {status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_deploy_killed_at_any_step_goes_on_or_back_whole_machine() {
    let world = World::new().await;
    let config = std::fs::read_to_string(world.at("deploy.toml")).unwrap();
    let quick = config.replace("step = '3s'\nbake = '3s'", "step = '1s'\nbake = '1s'");
    std::fs::write(world.at("deploy.toml"), quick).unwrap();
    let token = world.begin().await;
    let load = Load::at(Pace::LIGHT, &world.ingress.url, &token);
    // One deploy, killed at each entry and gone on with.
    let next = world.good("1.1.0");
    // (The old release's pods end within a moment; one that does not keeps the last step from its end.)
    world.put("pods/slow", pod("slow", "blue", "Running", true));
    for count in 1..=ENTRIES {
        world.killed_after(&next, count).await;
    }
    world.api.objects.lock().unwrap().remove("pods/slow");
    let (code, outcome) = world.deploy(&next).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    assert_eq!(world.live().await, "1.1.0");
    // And taken back from where it matters: nothing started, started, with a share, with all of it.
    let last = world.good("1.2.0");
    for count in [2, 3, 6, 7] {
        world.killed_after(&last, count).await;
        let (code, outcome) = world.run(&["rollback"]).await;
        assert_eq!(
            (code, &outcome["outcome"]),
            (0, &json!("rolled_back")),
            "after {count}: {outcome}"
        );
        assert_eq!(world.live().await, "1.1.0", "after {count}");
    }
    unharmed(&load.stop().await);
}
