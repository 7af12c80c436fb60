//! Secrets, rights, the database and the admission policies.

use serde_json::{Value, json};

use crate::objects::{Object, list, name, namespace, number, of_kind, text, who, workloads};

/// No value in git: no Secret at all, and nothing in a ConfigMap that is called like one, unless it is a file's name.
pub(crate) fn secrets(objects: &[Object]) -> Vec<String> {
    let mut faults: Vec<_> = of_kind(objects, "Secret")
        .map(|secret| format!("{} is in git", who(secret)))
        .collect();
    for map in of_kind(objects, "ConfigMap") {
        for (key, value) in map["data"].as_object().into_iter().flatten() {
            let called = ["PASSWORD", "SECRET", "TOKEN", "DATABASE_URL", "OWNER_URL"]
                .iter()
                .any(|word| key.to_uppercase().contains(word));
            if called && !key.ends_with("_FILE")
                || value
                    .as_str()
                    .is_some_and(|value| value.contains("-----BEGIN"))
            {
                faults.push(format!("{}: {key} looks like a secret's value", who(map)));
            }
        }
    }
    for workload in workloads(objects) {
        if workload
            .containers()
            .flat_map(|container| list(container, "/env"))
            .any(|variable| variable.pointer("/valueFrom/secretKeyRef").is_some())
        {
            faults.push(format!(
                "{}: has a secret in its environment",
                workload.who()
            ));
        }
    }
    faults
}

fn rules(role: &Object) -> impl Iterator<Item = (Vec<&str>, Vec<&str>, &Value)> {
    let words = |rule, pointer| {
        list(rule, pointer)
            .iter()
            .filter_map(Value::as_str)
            .collect()
    };
    list(role, "/rules")
        .iter()
        .map(move |rule| (words(rule, "/resources"), words(rule, "/verbs"), rule))
}

pub(crate) fn rbac(objects: &[Object]) -> Vec<String> {
    let mut faults: Vec<_> = of_kind(objects, "ClusterRole")
        .map(|role| format!("{}: rights in the whole cluster", who(role)))
        .collect();
    for role in of_kind(objects, "Role") {
        for (resources, verbs, rule) in rules(role) {
            if rule.to_string().contains("\"*\"") || resources.is_empty() || verbs.is_empty() {
                faults.push(format!("{}: a wildcard", who(role)));
            }
            if [
                "secrets",
                "pods/exec",
                "pods/attach",
                "pods/portforward",
                "serviceaccounts/token",
                "nodes/proxy",
            ]
            .iter()
            .any(|forbidden| resources.contains(forbidden))
                || ["escalate", "bind", "impersonate", "deletecollection"]
                    .iter()
                    .any(|forbidden| verbs.contains(forbidden))
            {
                faults.push(format!("{}: {resources:?} {verbs:?}", who(role)));
            }
        }
    }
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        for binding in of_kind(objects, kind) {
            let granted = text(binding, "/roleRef/name");
            let known = [
                "system:auth-delegator",
                "extension-apiserver-authentication-reader",
            ]
            .contains(&granted)
                || of_kind(objects, "Role")
                    .any(|role| name(role) == granted && namespace(role) == namespace(binding));
            if !known {
                faults.push(format!("{}: grants `{granted}`", who(binding)));
            }
            for subject in list(binding, "/subjects") {
                let there = of_kind(objects, "ServiceAccount").any(|account| {
                    name(account) == text(subject, "/name")
                        && namespace(account) == text(subject, "/namespace")
                });
                let autoscaler = text(subject, "/name") == "horizontal-pod-autoscaler"
                    && text(subject, "/namespace") == "kube-system";
                // The cloud's role for deploys arrives as a group.
                let deployers = text(subject, "/kind") == "Group"
                    && text(subject, "/name") == "security-hub-deployers"
                    && granted == "security-hub-deployer";
                let account = text(subject, "/kind") == "ServiceAccount";
                if !(deployers || account && (there || autoscaler)) {
                    faults.push(format!("{}: to {subject}", who(binding)));
                }
            }
        }
    }
    faults
}

/// The deploy engine changes its own two Deployments, two Services and one Ingress, and no pod runs as it.
pub(crate) fn deployer(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(role) = of_kind(objects, "Role").find(|role| name(role) == "security-hub-deployer")
    else {
        return vec!["there is no role for it".to_owned()];
    };
    for (resources, verbs, rule) in rules(role) {
        let reads = verbs
            .iter()
            .all(|verb| ["get", "list", "watch"].contains(verb));
        let named = list(rule, "/resourceNames");
        // A new object has no name yet; the admission policy binds it.
        let makes_jobs = resources == ["jobs"] && verbs == ["create"];
        if !reads && !makes_jobs && named.is_empty() {
            faults.push(format!("{verbs:?} any of {resources:?}"));
        }
        for one in named {
            let there = one == "security-hub-deploy"
                || objects.iter().any(|object| {
                    object["metadata"]["name"] == *one && namespace(object) == "security-hub"
                });
            if !there {
                faults.push(format!("names {one}, which does not exist"));
            }
        }
    }
    if !of_kind(objects, "ValidatingAdmissionPolicy")
        .any(|policy| name(policy) == "security-hub-deployer")
    {
        faults.push("no admission policy binds the jobs it makes".to_owned());
    }
    if workloads(objects)
        .iter()
        .any(|workload| text(workload.pod, "/serviceAccountName") == "security-hub-deployer")
    {
        faults.push("a pod runs as it".to_owned());
    }
    faults
}

pub(crate) fn database(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(cluster) = of_kind(objects, "Cluster").next() else {
        return vec!["there is none".to_owned()];
    };
    for (pointer, wanted) in [
        ("/spec/instances", json!(3)),
        ("/spec/enableSuperuserAccess", json!(false)),
        ("/spec/postgresql/synchronous/number", json!(1)),
        (
            "/spec/postgresql/synchronous/dataDurability",
            json!("required"),
        ),
        ("/spec/bootstrap/initdb/owner", json!("hub_owner")),
        ("/spec/bootstrap/initdb/dataChecksums", json!(true)),
        ("/spec/plugins/0/isWALArchiver", json!(true)),
        ("/spec/affinity/podAntiAffinityType", json!("required")),
    ] {
        if cluster.pointer(pointer) != Some(&wanted) {
            faults.push(format!("{pointer} is not {wanted}"));
        }
    }
    for role in list(cluster, "/spec/managed/roles") {
        for right in [
            "superuser",
            "createdb",
            "createrole",
            "replication",
            "bypassrls",
        ] {
            if role[right] != json!(false) {
                faults.push(format!("{} has {right}", role["name"]));
            }
        }
    }
    let pool = of_kind(objects, "ConfigMap")
        .find_map(|map| text(map, "/data/HUB_DATABASE_POOL").parse::<i64>().ok())
        .unwrap_or(i64::MAX / 100);
    let pods: i64 = of_kind(objects, "HorizontalPodAutoscaler")
        .filter_map(|scaler| number(scaler, "/spec/maxReplicas"))
        .sum();
    let room: i64 = text(cluster, "/spec/postgresql/parameters/max_connections")
        .parse()
        .unwrap_or(0);
    let allowed = number(cluster, "/spec/managed/roles/0/connectionLimit").unwrap_or(0);
    if pool * pods > allowed || allowed >= room {
        faults.push(format!("{pods} servers with {pool} connections each; the role has {allowed}, the database {room}"));
    }
    if of_kind(objects, "ScheduledBackup").next().is_none() {
        faults.push("nobody backs it up".to_owned());
    }
    faults
}

pub(crate) fn admission(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    for policy in of_kind(objects, "ValidatingAdmissionPolicy") {
        if text(policy, "/spec/failurePolicy") != "Fail"
            || list(policy, "/spec/validations").is_empty()
        {
            faults.push(format!("{}: lets pass what it cannot judge", name(policy)));
        }
        let bound = of_kind(objects, "ValidatingAdmissionPolicyBinding").any(|binding| {
            text(binding, "/spec/policyName") == name(policy)
                && list(binding, "/spec/validationActions").contains(&json!("Deny"))
        });
        if !bound {
            faults.push(format!("{}: is bound to nothing", name(policy)));
        }
    }
    for space in of_kind(objects, "Namespace") {
        if text(space, "/metadata/labels/hub.security~1guarded") != "true" {
            faults.push(format!("{}: the policies do not look at it", name(space)));
        }
    }
    if of_kind(objects, "ValidatingAdmissionPolicy").count() < 3 {
        faults.push("policies are missing".to_owned());
    }
    faults
}
