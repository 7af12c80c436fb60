//! Pods come and go while a release is brought in: autoscalers, evictions, lost machines. That is no fault of a release, and
//! the way back takes nothing from what serves.

use serde_json::{Value, json};

use super::World;
use crate::deploy::load::Load;
use crate::deploy::unharmed;
use crate::world::until;

pub(super) fn pod(name: &str, colour: &str, phase: &str, is_leaving: bool) -> Value {
    let mut pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": "security-hub",
            "labels": {"app.kubernetes.io/name": "security-hub", "hub.security/colour": colour},
        },
        "spec": {"containers": [{"name": "security-hub", "image": "none"}]},
        "status": {"phase": phase, "reason": "Evicted"},
    });
    if is_leaving {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    pod
}

async fn ended(child: std::process::Child) -> (i32, Value) {
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout).unwrap_or(json!(words));
    (output.status.code().unwrap_or(-1), document)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_pods_that_come_and_go_do_not_take_a_good_release_back_whole_machine() {
    let world = World::new().await;
    let token = world.begin().await;
    let next = world.good("1.1.0");
    let load = Load::start(&world.ingress.url, &token);
    let child = world.deploying(&next);
    // It runs. Its autoscaler adds a pod whose machine is slow; another is evicted; a machine of the old release is lost.
    world.steps(5).await;
    world.put("faults/security-hub-green-5", json!("slow"));
    world.scale("green", 3);
    world.put("pods/evicted", pod("evicted", "green", "Failed", false));
    world.put("pods/lost", pod("lost", "blue", "Running", true));
    world.put(
        "pods/evicted-before",
        pod("evicted-before", "blue", "Failed", false),
    );
    until("a pod that is not ready", || async {
        let status = world.object("deployments/security-hub-green")["status"].clone();
        (status["replicas"] == 3 && status["readyReplicas"] == 2).then_some(())
    })
    .await;
    // Who has which share is told all the same.
    let (_, status) = world.run(&["status"]).await;
    let green = &status["colours"][1];
    assert_eq!(green["is_up"], true, "{status}");
    let (code, outcome) = ended(child).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    let last = outcome["entries"].as_array().unwrap();
    let retire = last.iter().find(|entry| entry["step"] == "retire").unwrap();
    let said = retire["said"].as_str().unwrap();
    assert!(said.contains("is not gone yet"), "{said}");
    assert_eq!(world.live().await, "1.1.0");
    assert_eq!(
        (world.replicas("blue"), world.replicas("green")),
        (json!(0), json!(3))
    );
    unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_the_way_back_takes_nothing_from_what_serves_whole_machine() {
    let world = World::new().await;
    let token = world.begin().await;
    let bad = world.faulty("errors 20");
    let load = Load::start(&world.ingress.url, &token);
    let child = world.deploying(&bad);
    // The new release has two pods; under load the old one gets a third, which crashes.
    world.steps(3).await;
    world.put("faults/security-hub-blue-5", json!("crashes"));
    world.scale("blue", 3);
    let (code, outcome) = ended(child).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (1, &json!("rolled_back")),
        "{outcome}"
    );
    let why = outcome["back"].as_str().unwrap();
    assert!(why.contains("requests failed"), "{why}");
    // At once: nobody waited for the pod that does not come up.
    assert!(outcome["back_ms"].as_u64().unwrap() < 2000, "{outcome}");
    assert_eq!(
        (world.replicas("blue"), world.replicas("green")),
        (json!(3), json!(0))
    );
    assert_eq!(world.live().await, "1.0.0");
    let report = load.stop().await;
    let failed: usize = report.failed.values().sum();
    assert!(failed * 20 < report.answered, "{report:?}");
}
