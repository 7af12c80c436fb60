//! The namespace's quota must have room for the second colour: pods that it refuses would never come.

use serde_json::{Value, json};

use super::{World, shipped_rules};

/// Hard limits of which so much CPU is left.
pub(super) fn leaving(cpu: &str) -> Value {
    json!({
        "kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "security-hub"},
        "spec": {"hard": {"requests.cpu": cpu, "pods": "10"}},
        "status": {
            "hard": {"requests.cpu": cpu, "pods": "10"}, "used": {"requests.cpu": "0", "pods": "2"},
        },
    })
}

fn gate(told: &Value) -> Value {
    let checks = told["checks"]
        .as_array()
        .unwrap_or_else(|| panic!("{told}"));
    let found = checks.iter().find(|check| check["gate"] == "quota");
    found.unwrap_or_else(|| panic!("no gate: {told}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_nothing_begins_that_the_quota_has_no_room_for() {
    let world = World::new().await;
    let release = world.good("1.0.0");
    let plan = [
        "deploy",
        "--dry-run",
        "--release",
        release.to_str().unwrap(),
    ];
    let (code, told) = world.run(&plan).await;
    let said = gate(&told);
    assert_eq!((code, &said["holds"]), (0, &json!(true)), "{told}");
    assert_eq!(
        said["said"],
        "room for 2 more pods: security-hub: pods 8 left, 2 needed; security-hub: requests.cpu 2 left, 0.5 needed"
    );
    let set = |quota: Value| {
        let mut objects = world.api.objects.lock().unwrap();
        objects.insert("resourcequotas/security-hub".to_owned(), quota);
    };
    set(leaving("400m"));
    let (code, told) = world.deploy(&release).await;
    let said = gate(&told);
    assert_eq!((code, &said["holds"]), (1, &json!(false)), "{told}");
    assert_eq!(
        said["said"],
        "no room for 2 more pods: security-hub: requests.cpu 0.4 left, 0.5 needed"
    );
    let replicas =
        world.api.objects.lock().unwrap()["deployments/security-hub-blue"]["spec"]["replicas"]
            .clone();
    assert_eq!(replicas, 0, "nothing was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_quota_that_cannot_be_seen_is_no_room() {
    let mut rules = shipped_rules();
    rules.retain(|rule| rule["resources"] != json!(["resourcequotas"]));
    let mut world = World::new().await;
    world.serve(rules).await;
    let release = world.good("1.0.0");
    let (code, told) = world.deploy(&release).await;
    let said = gate(&told);
    assert_eq!((code, &said["holds"]), (1, &json!(false)), "{told}");
    let text = said["said"].as_str().unwrap();
    assert!(text.contains("may not list resourcequotas"), "{text}");
}
