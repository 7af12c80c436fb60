//! Who in the cluster is somebody in the cloud. Terraform associates service accounts with roles, and an agent on each node gives
//! their pods the credentials: whoever has a role reaches that agent, and nobody else does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::objects::{
    Object, PLACES, database_labels, list, name, namespace, of_kind, rendered, root, takes, text,
    workloads,
};

const AGENT: &str = "169.254.170.23/32";

/// (namespace, service account) of each association, as far as the overlays make its pods.
fn associated() -> BTreeSet<(String, String)> {
    let read = |file: &str| {
        let path = root().join("infrastructure/terraform/modules").join(file);
        std::fs::read_to_string(path).unwrap()
    };
    let quoted = |line: &str| -> Vec<String> {
        let parts = line.split('"').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    };
    let mut found = BTreeSet::new();
    for line in read("kubernetes/identities.tf").lines() {
        if line.contains("{ namespace = \"") {
            let words = quoted(line);
            found.insert((words[0].clone(), words[1].clone()));
        }
    }
    let monitoring = read("monitoring/main.tf");
    let (_, association) = monitoring
        .split_once("resource \"aws_eks_pod_identity_association\"")
        .unwrap();
    let of = |key: &str| {
        let mut lines = association.lines().map(str::trim_start);
        quoted(lines.find(|line| line.starts_with(key)).unwrap()).remove(0)
    };
    found.insert((of("namespace"), of("service_account")));
    found.retain(|(place, _)| place.starts_with("security-hub"));
    found
}

/// (namespace, service account, labels) of every pod there will be.
fn pods(objects: &[Object]) -> Vec<(String, String, Value)> {
    let mut pods: Vec<_> = workloads(objects)
        .iter()
        .map(|workload| {
            let account = text(workload.pod, "/serviceAccountName").to_owned();
            let labels = workload.labels.clone();
            (namespace(workload.object).to_owned(), account, labels)
        })
        .collect();
    // The operator names the account as the cluster.
    pods.extend(of_kind(objects, "Cluster").map(|cluster| {
        let account = name(cluster).to_owned();
        (namespace(cluster).to_owned(), account, database_labels())
    }));
    pods
}

fn is_to_the_agent(edge: &Value) -> bool {
    list(edge, "/to")
        .iter()
        .any(|to| text(to, "/ipBlock/cidr") == AGENT)
        && list(edge, "/ports").contains(&json!({"protocol": "TCP", "port": 80}))
}

fn faults(objects: &[Object]) -> Vec<String> {
    let known = associated();
    let mut faults = Vec::new();
    for (place, account, labels) in pods(objects) {
        let reaches = of_kind(objects, "NetworkPolicy")
            .filter(|policy| {
                namespace(policy) == place && takes(&policy["spec"]["podSelector"], &labels)
            })
            .any(|policy| list(policy, "/spec/egress").iter().any(is_to_the_agent));
        match (known.contains(&(place.clone(), account.clone())), reaches) {
            (true, false) => faults.push(format!("{place}/{account} does not reach the agent")),
            (false, true) => faults.push(format!("{place}/{account} is nobody to the agent")),
            _ => {}
        }
    }
    for object in objects {
        if object.to_string().contains("eks.amazonaws.com/role-arn") {
            faults.push(format!("{} takes another road", name(object)));
        }
    }
    faults
}

#[test]
fn whoever_has_a_role_reaches_the_agent_that_gives_it() {
    for place in PLACES {
        let found = faults(&rendered(place));
        assert!(found.is_empty(), "{place}: {found:?}");
    }
    let sound = rendered("production");
    let there: BTreeSet<_> = pods(&sound)
        .into_iter()
        .map(|(place, account, _)| (place, account))
        .collect();
    let idle: Vec<_> = associated().difference(&there).cloned().collect();
    assert!(idle.is_empty(), "no pod is {idle:?}");
    assert_eq!(associated().len(), 2);

    let change = |policy: &str, to: &dyn Fn(&mut Vec<Value>)| {
        let mut objects = sound.clone();
        let one = objects
            .iter_mut()
            .find(|one| text(one, "/kind") == "NetworkPolicy" && name(one) == policy);
        to(one.unwrap()["spec"]["egress"].as_array_mut().unwrap());
        faults(&objects)
    };
    let agent =
        json!({"to": [{"ipBlock": {"cidr": AGENT}}], "ports": [{"protocol": "TCP", "port": 80}]});
    for policy in ["security-hub-db", "prometheus"] {
        let found = change(policy, &|edges| edges.retain(|edge| !is_to_the_agent(edge)));
        assert!(!found.is_empty(), "{policy}: not noticed");
    }
    assert!(!change("redis", &|edges| edges.push(agent.clone())).is_empty());
    let mut objects = sound.clone();
    let database = objects
        .iter_mut()
        .find(|one| text(one, "/kind") == "Cluster");
    database.unwrap()["spec"]["serviceAccountTemplate"] =
        json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "planted"}}});
    assert!(!faults(&objects).is_empty());
}
