//! Whatever is named must exist: in the objects, in the server, in the runbooks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::objects::{Object, list, name, namespace, of_kind, root, text, who, workloads};

/// (namespace, name) → keys of each Secret that something in the cluster will make.
fn secrets(objects: &[Object]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut made = BTreeMap::new();
    for external in of_kind(objects, "ExternalSecret") {
        let keys = external
            .pointer("/spec/target/template/data")
            .and_then(Value::as_object)
            .map_or_else(
                || {
                    list(external, "/spec/data")
                        .iter()
                        .map(|one| text(one, "/secretKey").to_owned())
                        .collect()
                },
                |data| data.keys().cloned().collect(),
            );
        made.insert(
            (
                namespace(external).to_owned(),
                text(external, "/spec/target/name").to_owned(),
            ),
            keys,
        );
    }
    for certificate in of_kind(objects, "Certificate") {
        let keys = ["tls.crt", "tls.key", "ca.crt"].map(str::to_owned).into();
        made.insert(
            (
                namespace(certificate).to_owned(),
                text(certificate, "/spec/secretName").to_owned(),
            ),
            keys,
        );
    }
    made
}

fn maps(objects: &[Object]) -> BTreeMap<(String, String), BTreeSet<String>> {
    of_kind(objects, "ConfigMap")
        .map(|map| {
            let keys = map["data"]
                .as_object()
                .map(|data| data.keys().cloned().collect())
                .unwrap_or_default();
            ((namespace(map).to_owned(), name(map).to_owned()), keys)
        })
        .collect()
}

pub(crate) fn everything_named_exists(objects: &[Object]) -> Vec<String> {
    let (secrets, maps) = (secrets(objects), maps(objects));
    let mut faults = Vec::new();
    for workload in workloads(objects) {
        let place = namespace(workload.object);
        let mut need =
            |what: &str, found: Option<&BTreeSet<String>>, name: &str, items: &[Value]| match found
            {
                None => faults.push(format!("{}: {what} {name} does not exist", workload.who())),
                Some(keys) => {
                    for item in items
                        .iter()
                        .filter(|item| !keys.contains(text(item, "/key")))
                    {
                        faults.push(format!(
                            "{}: {what} {name} has no {}",
                            workload.who(),
                            item["key"]
                        ));
                    }
                }
            };
        let key = |name: &str| (place.to_owned(), name.to_owned());
        let volumes = list(workload.pod, "/volumes");
        for source in volumes.iter().chain(
            volumes
                .iter()
                .flat_map(|volume| list(volume, "/projected/sources")),
        ) {
            if source.get("secret").is_some() {
                let name = text(source, "/secret/secretName");
                need(
                    "Secret",
                    secrets.get(&key(name)),
                    name,
                    list(source, "/secret/items"),
                );
            }
            let name = text(source, "/configMap/name");
            // kube-root-ca.crt is in every namespace by itself.
            if source.get("configMap").is_some() && name != "kube-root-ca.crt" {
                need(
                    "ConfigMap",
                    maps.get(&key(name)),
                    name,
                    list(source, "/configMap/items"),
                );
            }
        }
        for container in workload.containers() {
            for from in list(container, "/envFrom") {
                let name = text(from, "/configMapRef/name");
                need("ConfigMap", maps.get(&key(name)), name, &[]);
            }
            for mount in list(container, "/volumeMounts") {
                let there = volumes
                    .iter()
                    .chain(list(workload.object, "/spec/volumeClaimTemplates"))
                    .any(|volume| {
                        volume["name"] == mount["name"]
                            || volume["metadata"]["name"] == mount["name"]
                    });
                if !there {
                    need("volume", None, text(mount, "/name"), &[]);
                }
            }
        }
        let account = text(workload.pod, "/serviceAccountName");
        if !of_kind(objects, "ServiceAccount")
            .any(|one| namespace(one) == place && name(one) == account)
        {
            need("ServiceAccount", None, account, &[]);
        }
        let class = text(workload.pod, "/priorityClassName");
        if !of_kind(objects, "PriorityClass").any(|one| name(one) == class) {
            need("PriorityClass", None, class, &[]);
        }
    }
    for cluster in of_kind(objects, "Cluster") {
        for pointer in [
            "/spec/bootstrap/initdb/secret/name",
            "/spec/managed/roles/0/passwordSecret/name",
            "/spec/certificates/serverTLSSecret",
            "/spec/certificates/serverCASecret",
        ] {
            if !secrets.contains_key(&(
                namespace(cluster).to_owned(),
                text(cluster, pointer).to_owned(),
            )) {
                faults.push(format!("{}: {pointer} names no Secret", who(cluster)));
            }
        }
        if !of_kind(objects, "ObjectStore").any(|store| {
            text(cluster, "/spec/plugins/0/parameters/barmanObjectName") == name(store)
        }) {
            faults.push(format!("{}: has nowhere to put its backups", who(cluster)));
        }
    }
    for (kind, pointer) in [
        ("Certificate", "/spec/issuerRef/name"),
        (
            "Ingress",
            "/metadata/annotations/cert-manager.io~1cluster-issuer",
        ),
    ] {
        for object in of_kind(objects, kind) {
            if !of_kind(objects, "ClusterIssuer")
                .any(|issuer| name(issuer) == text(object, pointer))
            {
                faults.push(format!(
                    "{}: no issuer is called `{}`",
                    who(object),
                    text(object, pointer)
                ));
            }
        }
    }
    for external in of_kind(objects, "ExternalSecret") {
        let store = text(external, "/spec/secretStoreRef/name");
        if !of_kind(objects, "ClusterSecretStore").any(|one| name(one) == store) {
            faults.push(format!("{}: no store is called `{store}`", who(external)));
        }
    }
    faults
}

/// A setting that the server does not know stops it at its start.
pub(crate) fn settings_are_the_servers(objects: &[Object]) -> Vec<String> {
    let table = std::fs::read_to_string(root().join("crates/hub/src/config/keys.rs")).unwrap();
    let known: BTreeSet<String> = table
        .lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .map(|key| format!("HUB_{}", key.to_uppercase().replace('.', "_")))
        .collect();
    let mut faults = Vec::new();
    for map in of_kind(objects, "ConfigMap").filter(|map| name(map).starts_with("security-hub")) {
        for key in map["data"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
        {
            if !known.contains(key)
                && !key
                    .strip_suffix("_FILE")
                    .is_some_and(|key| known.contains(key))
            {
                faults.push(format!("{}: the server has no setting {key}", who(map)));
            }
        }
    }
    faults
}

fn data<'a>(objects: &'a [Object], map: &'a str, file: &'a str) -> &'a str {
    of_kind(objects, "ConfigMap")
        .filter(|object| name(object).starts_with(map))
        .find_map(|object| object["data"].get(file).and_then(Value::as_str))
        .unwrap_or("")
}

/// A heading as the link to it is written.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-')
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

pub(crate) fn alerts_lead_somewhere(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut alerts = 0;
    for file in [
        "slo.rules.yml",
        "hub.rules.yml",
        "database.rules.yml",
        "backup.rules.yml",
    ] {
        let rules: Value =
            serde_yaml_ng::from_str(data(objects, "prometheus-rules", file)).unwrap_or_default();
        for rule in list(&rules, "/groups")
            .iter()
            .flat_map(|group| list(group, "/rules"))
            .filter(|rule| rule.get("alert").is_some())
        {
            alerts += 1;
            let leads = text(rule, "/annotations/runbook_url")
                .split_once("/blob/main/")
                .and_then(|(_, rest)| rest.split_once('#'));
            let there = leads.is_some_and(|(path, section)| {
                std::fs::read_to_string(root().join(path)).is_ok_and(|book| {
                    book.lines()
                        .any(|line| line.starts_with('#') && anchor(line) == section)
                })
            });
            if !there {
                faults.push(format!(
                    "{}: its runbook section {leads:?} does not exist",
                    rule["alert"]
                ));
            }
            if !["page", "ticket", "heartbeat"].contains(&text(rule, "/labels/severity")) {
                faults.push(format!("{}: nobody receives its severity", rule["alert"]));
            }
        }
    }
    if alerts < 15 {
        faults.push(format!("only {alerts} alerts were found"));
    }
    faults
}

/// Every `hub_…` that a rule, a board or the adapter asks for is one that the server tells.
pub(crate) fn boards_show_what_exists(objects: &[Object]) -> Vec<String> {
    let server = std::fs::read_to_string(root().join("crates/hub/src/metrics.rs")).unwrap();
    let tool = root().join("crates/hubctl/src/commands/standing.rs");
    let tool = std::fs::read_to_string(tool).unwrap();
    let mut faults = Vec::new();
    for (map, file) in [
        ("grafana-boards", "security-hub.json"),
        ("prometheus-rules", "slo.rules.yml"),
        ("prometheus-rules", "hub.rules.yml"),
        ("prometheus-rules", "backup.rules.yml"),
        ("prometheus-adapter", "config.yaml"),
    ] {
        let asked = data(objects, map, file);
        let words: BTreeSet<&str> = asked
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("hub_") && *word != "hub_requests_per_second")
            .collect();
        if words.is_empty() {
            faults.push(format!("{map}/{file} asks for nothing"));
        }
        for word in words {
            let plain = ["_total", "_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| word.strip_suffix(end))
                .unwrap_or(word);
            let told = match plain.strip_prefix("hub_backup_") {
                Some(name) => tool.contains(&format!("\"{name}\"")),
                None => server.contains(&format!("\"{}\"", plain.trim_start_matches("hub_"))),
            };
            if !told {
                faults.push(format!("{map}/{file}: nobody tells {word}"));
            }
        }
    }
    faults
}

/// Two of Prometheus write the same samples on: each says which it is, so that the store takes one; and alerts do not say it, so that
/// Alertmanager takes two for one.
pub(crate) fn watchers_are_told_apart(objects: &[Object]) -> Vec<String> {
    let settings: Value =
        serde_yaml_ng::from_str(data(objects, "prometheus", "prometheus.yml")).unwrap_or_default();
    let labels = &settings["global"]["external_labels"];
    let named = of_kind(objects, "StatefulSet")
        .filter(|set| name(set) == "prometheus")
        .flat_map(|set| list(set, "/spec/template/spec/containers/0/env"))
        .any(|variable| {
            variable["name"] == "POD_NAME"
                && text(variable, "/valueFrom/fieldRef/fieldPath") == "metadata.name"
        });
    let dropped = list(&settings, "/alerting/alert_relabel_configs")
        .iter()
        .any(|rule| rule["action"] == "labeldrop" && rule["regex"] == "__replica__");
    let mut faults = Vec::new();
    for (holds, fault) in [
        (
            named && labels["__replica__"] == "${POD_NAME}" && labels["cluster"].is_string(),
            "Prometheus' replicas write the same series",
        ),
        (dropped, "an alert is two to Alertmanager"),
    ] {
        if !holds {
            faults.push(fault.to_owned());
        }
    }
    faults
}
