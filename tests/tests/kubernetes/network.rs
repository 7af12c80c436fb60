//! Who may speak with whom: nothing unless said, and said at both ends.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::objects::{
    Object, database_labels, list, name, namespace, of_kind, takes, text, who, workloads,
};

const OURS: [&str; 4] = [
    "security-hub",
    "security-hub-data",
    "security-hub-monitoring",
    "security-hub-deploy",
];

fn policies<'a>(objects: &'a [Object], place: &'a str) -> impl Iterator<Item = &'a Object> {
    of_kind(objects, "NetworkPolicy").filter(move |policy| namespace(policy) == place)
}

pub(crate) fn closed_by_default(objects: &[Object]) -> Vec<String> {
    OURS.iter()
        .filter(|place| {
            !policies(objects, place).any(|policy| {
                policy["spec"]["podSelector"] == json!({})
                    && list(policy, "/spec/policyTypes").len() == 2
                    && list(policy, "/spec/ingress").is_empty()
                    && list(policy, "/spec/egress").is_empty()
            })
        })
        .map(|place| format!("{place} is open"))
        .collect()
}

/// (namespace, labels, what) of every pod there will be.
fn pods(objects: &[Object]) -> Vec<(String, Value, String)> {
    let mut pods: Vec<_> = workloads(objects)
        .into_iter()
        .map(|workload| {
            (
                namespace(workload.object).to_owned(),
                workload.labels.clone(),
                workload.who(),
            )
        })
        .collect();
    if of_kind(objects, "Cluster").next().is_some() {
        pods.push((
            "security-hub-data".to_owned(),
            database_labels(),
            "the database".to_owned(),
        ));
    }
    pods
}

pub(crate) fn every_pod_is_covered(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, labels, what) in pods(objects) {
        let own: Vec<_> = policies(objects, &place)
            .filter(|policy| {
                policy["spec"]["podSelector"] != json!({})
                    && takes(&policy["spec"]["podSelector"], &labels)
            })
            .collect();
        for direction in ["Ingress", "Egress"] {
            if !own
                .iter()
                .any(|policy| list(policy, "/spec/policyTypes").contains(&json!(direction)))
            {
                faults.push(format!(
                    "{what}: no policy of its own says anything about {direction}"
                ));
            }
        }
    }
    for policy in of_kind(objects, "NetworkPolicy") {
        let selector = &policy["spec"]["podSelector"];
        if selector != &json!({})
            && !pods(objects)
                .iter()
                .any(|(place, labels, _)| place == namespace(policy) && takes(selector, labels))
        {
            faults.push(format!("{}: is about no pod", who(policy)));
        }
        for (side, peers) in [("/spec/ingress", "/from"), ("/spec/egress", "/to")] {
            for edge in list(policy, side) {
                if list(edge, peers).is_empty() || list(edge, "/ports").is_empty() {
                    faults.push(format!(
                        "{}: an edge to everybody or on every port",
                        who(policy)
                    ));
                }
            }
        }
    }
    faults
}

/// (from, to, protocol and port) of each edge between pods of ours, as one side tells it.
fn edges(objects: &[Object], outgoing: bool) -> BTreeSet<(String, String, String)> {
    let (side, peers) = if outgoing {
        ("/spec/egress", "/to")
    } else {
        ("/spec/ingress", "/from")
    };
    let pods = pods(objects);
    let mut found = BTreeSet::new();
    for policy in of_kind(objects, "NetworkPolicy") {
        for (_, _, own) in pods.iter().filter(|(place, labels, _)| {
            place == namespace(policy) && takes(&policy["spec"]["podSelector"], labels)
        }) {
            for edge in list(policy, side) {
                for peer in list(edge, peers)
                    .iter()
                    .filter(|peer| peer.get("podSelector").is_some())
                {
                    let there = peer
                        .pointer("/namespaceSelector/matchLabels/kubernetes.io~1metadata.name")
                        .and_then(Value::as_str)
                        .unwrap_or_else(|| namespace(policy));
                    for (_, _, other) in pods.iter().filter(|(place, labels, _)| {
                        place == there && takes(&peer["podSelector"], labels)
                    }) {
                        for port in list(edge, "/ports") {
                            let port = format!("{}/{}", text(port, "/protocol"), port["port"]);
                            let (from, to) = if outgoing { (own, other) } else { (other, own) };
                            found.insert((from.clone(), to.clone(), port));
                        }
                    }
                }
            }
        }
    }
    found
}

pub(crate) fn both_ends_agree(objects: &[Object]) -> Vec<String> {
    let (out, into) = (edges(objects, true), edges(objects, false));
    let mut faults: Vec<_> = out
        .symmetric_difference(&into)
        .map(|(from, to, port)| format!("{from} → {to} {port} is told at one end only"))
        .collect();
    if into.len() < 10 {
        faults.push(format!("only {} edges were found", into.len()));
    }
    // And the other end listens.
    for workload in workloads(objects) {
        for (_, to, port) in into.iter().filter(|(_, to, _)| *to == workload.who()) {
            let number = port
                .rsplit('/')
                .next()
                .and_then(|digits| digits.parse::<i64>().ok())
                .unwrap_or(0);
            if !workload.opens(&json!(number)) {
                faults.push(format!("{to} does not open {port}"));
            }
        }
    }
    faults
}

/// What a deploy asks must let it in, and it must be let out: each pod of the hub, for smoke tests and figures; Prometheus, for
/// the gates; Alertmanager, for `make watch`; the API server and the pipeline. And nothing more: not the data.
pub(crate) fn deployer_reaches(objects: &[Object]) -> Vec<String> {
    let all = workloads(objects);
    let runs = |workload: &&crate::objects::Workload<'_>| {
        text(workload.pod, "/serviceAccountName") == "security-hub-deployer"
    };
    let Some(runner) = all.iter().find(runs) else {
        return vec!["nothing runs deploys".to_owned()];
    };
    let mut wanted = BTreeSet::new();
    for workload in &all {
        let port = match text(&workload.labels, "/app.kubernetes.io~1name") {
            "security-hub" => 8005,
            "prometheus" => 9090,
            "alertmanager" => 9093,
            _ => continue,
        };
        wanted.insert((runner.who(), workload.who(), format!("TCP/{port}")));
    }
    let mut faults = Vec::new();
    for (end, outgoing) in [("out", true), ("in", false)] {
        let told: BTreeSet<_> = edges(objects, outgoing)
            .into_iter()
            .filter(|(from, _, _)| *from == runner.who())
            .collect();
        for (_, to, port) in wanted.symmetric_difference(&told) {
            faults.push(format!("{to} {port}, {end}: missing, or too much"));
        }
    }
    let to: Vec<_> = policies(objects, namespace(runner.object))
        .filter(|policy| takes(&policy["spec"]["podSelector"], &runner.labels))
        .flat_map(|policy| list(policy, "/spec/egress"))
        .collect();
    for (what, cidr, port) in [
        ("the API server", "10.0.0.0/8", 443),
        ("the pipeline", "0.0.0.0/0", 443),
    ] {
        let open = to.iter().any(|edge| {
            list(edge, "/to")
                .iter()
                .any(|peer| text(peer, "/ipBlock/cidr") == cidr)
                && list(edge, "/ports").iter().any(|one| one["port"] == port)
        });
        if !open {
            faults.push(format!("{what} is out of reach"));
        }
    }
    // A mesh asks for the caller's identity as well.
    for policy in of_kind(objects, "AuthorizationPolicy") {
        let let_in = list(policy, "/spec/rules").iter().any(|rule| {
            rule.to_string()
                .contains("cluster.local/ns/security-hub-deploy/sa/security-hub-deployer")
        });
        let has_one = text(&runner.labels, "/sidecar.istio.io~1inject") == "true";
        if !let_in || !has_one {
            faults.push(format!("{}: the mesh refuses it", who(policy)));
        }
    }
    faults
}

/// "The world" must not mean our own networks, nor the address where a cloud hands out credentials.
pub(crate) fn outside_is_not_inside(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    for policy in of_kind(objects, "NetworkPolicy") {
        for edge in list(policy, "/spec/egress")
            .iter()
            .flat_map(|edge| list(edge, "/to"))
        {
            if text(edge, "/ipBlock/cidr") == "0.0.0.0/0" {
                let except = list(edge, "/ipBlock/except");
                for inside in [
                    "10.0.0.0/8",
                    "172.16.0.0/12",
                    "192.168.0.0/16",
                    "169.254.0.0/16",
                ] {
                    if !except.contains(&json!(inside)) {
                        faults.push(format!("{}: reaches {inside}", who(policy)));
                    }
                }
            }
        }
        for edge in list(policy, "/spec/ingress")
            .iter()
            .flat_map(|edge| list(edge, "/from"))
        {
            if text(edge, "/ipBlock/cidr").ends_with("/0") {
                faults.push(format!("{}: lets the world in", name(policy)));
            }
        }
    }
    faults
}
