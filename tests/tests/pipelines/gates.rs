//! What the shipped deploy files ask of a cluster, the cluster tells; and what it does not tell, they do not ask.

use std::path::PathBuf;

use serde_json::Value;

use super::commands::told;
use super::{read, root};

const EXAMPLES: [&str; 2] = ["staging", "production"];

/// An example without its comments.
fn example(place: &str) -> String {
    let text = read(&format!("infrastructure/deploy/{place}.example.toml"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("\n---\n");
    parts
        .map(|part| serde_yaml_ng::from_str(part).unwrap())
        .collect()
}

/// With the Barman Cloud plugin the operator's own figures of backups stay 0 or away: a gate on one refuses every deploy.
#[test]
fn nobody_asks_for_figures_that_the_backups_plugin_leaves_at_nothing() {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["infrastructure", "operations"] {
        told(&root().join(folder), &mut files);
    }
    assert!(files.len() > 100);
    for path in files {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for gone in [
            "last_available_backup_timestamp",
            "first_recoverability_point",
            "last_failed_backup_timestamp",
        ] {
            let gone = format!("cnpg_collector_{gone}");
            assert!(!text.contains(&gone), "{}: {gone}", path.display());
        }
    }
    // The alert and the gate look at the same figure.
    let figure = "max(barman_cloud_cloudnative_pg_io_last_available_backup_timestamp)";
    let rules = read("infrastructure/kubernetes/monitoring/prometheus/database.rules.yml");
    assert!(rules.contains("alert: DatabaseBackupOld") && rules.contains(figure));
    for place in EXAMPLES {
        assert!(example(place).contains(&format!("query = \"{figure}\"")));
    }
}

/// A headless Service with names for pods that are not ready gives one that does not answer.
#[test]
fn gates_ask_a_prometheus_that_is_ready() {
    let services = documents(&read(
        "infrastructure/kubernetes/monitoring/prometheus.yaml",
    ));
    for place in EXAMPLES {
        let text = example(place);
        let asked: Vec<&str> = text.split("\"http://").skip(1).collect();
        assert!(asked.len() >= 3, "{place}");
        for rest in asked {
            let (host, port) = rest.split('"').next().unwrap().split_once(':').unwrap();
            let (name, namespace) = host.split_once('.').unwrap();
            let there = services.iter().find(|one| {
                one["metadata"]["name"] == name && one["metadata"]["namespace"] == namespace
            });
            let spec = &there.unwrap_or_else(|| panic!("{place}: {host}"))["spec"];
            assert!(
                spec["clusterIP"] != "None" && spec["publishNotReadyAddresses"] != true,
                "{place}: {host}"
            );
            assert_eq!(spec["ports"][0]["port"].to_string(), port, "{place}");
        }
    }
}

/// Nothing in a cluster restores its copies by itself: no gate waits for it, and the page says how to do it by hand, with the names
/// that the copies have.
#[test]
fn copies_of_a_cluster_are_proven_by_hand() {
    for place in EXAMPLES {
        let text = example(place);
        assert!(text.contains("[gates.backup]") && text.contains("[gates.backup.archived]"));
        assert!(!text.contains("[gates.backup.proven]"), "{place}");
    }
    let page = read("infrastructure/kubernetes/README.md");
    let (_, section) = page.split_once("\n## Proving the copies\n").unwrap();
    let (_, block) = section.split_once("```yaml\n").unwrap();
    let block = block.split("```").next().unwrap();
    let lines: Vec<&str> = block
        .lines()
        .map(|line| line.strip_prefix("   ").unwrap_or(line))
        .collect();
    let proof = documents(&lines.join("\n"));
    let of = |objects: &[Value], kind: &str| -> Value {
        let found = objects.iter().find(|one| one["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}")).clone()
    };
    let shipped = documents(&read(
        "infrastructure/kubernetes/deployments/postgresql-cluster.yaml",
    ));
    let (own, proof_cluster) = (of(&shipped, "Cluster"), of(&proof, "Cluster"));
    let archive = &own["spec"]["plugins"][0];
    let source = &proof_cluster["spec"]["externalClusters"][0];
    let recovery = &proof_cluster["spec"]["bootstrap"]["recovery"];
    assert_eq!(recovery["source"], source["name"]);
    assert_eq!(source["plugin"]["name"], archive["name"]);
    let parameters = &source["plugin"]["parameters"];
    assert_eq!(
        parameters["serverName"],
        archive["parameters"]["serverName"]
    );
    assert_eq!(
        parameters["barmanObjectName"],
        of(&proof, "ObjectStore")["metadata"]["name"]
    );
    let first = &own["spec"]["bootstrap"]["initdb"];
    for same in ["database", "owner", "secret"] {
        assert_eq!(recovery[same], first[same]);
    }
    // It writes nothing where production's copies are, and is not taken for production's database.
    assert!(proof_cluster["spec"]["plugins"].is_null());
    assert_ne!(proof_cluster["metadata"]["name"], own["metadata"]["name"]);
    assert!(of(&proof, "ObjectStore")["spec"]["retentionPolicy"].is_null());
    let pods = &of(&proof, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"];
    assert_eq!(pods["cnpg.io/cluster"], proof_cluster["metadata"]["name"]);
}
