//! Secrets, rights and the admission policies.

use serde_json::{Value, json};

use crate::objects::{Object, list, name, namespace, of_kind, text, who, workloads};

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

/// The deploy engine changes its own two Deployments, two Services and one Ingress.
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
        // All of a kind it may see only where it looks for all of them; what holds secrets is none of these.
        let seen = ["pods", "pods/log", "resourcequotas"];
        if reads && named.is_empty() && !resources.iter().all(|one| seen.contains(one)) {
            faults.push(format!("sees any of {resources:?}"));
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
    if !rules(role)
        .any(|(resources, verbs, _)| resources == ["resourcequotas"] && verbs.contains(&"list"))
    {
        faults.push("cannot see whether the quotas have room for a second colour".to_owned());
    }
    if !of_kind(objects, "ValidatingAdmissionPolicy")
        .any(|policy| name(policy) == "security-hub-deployer")
    {
        faults.push("no admission policy binds the jobs it makes".to_owned());
    }
    faults
}

/// One pod runs as the deployer, once, with a disk that outlasts it; the role is its account's; the admission policy knows it.
pub(crate) fn runner(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let all = workloads(objects);
    let runners: Vec<_> = all
        .iter()
        .filter(|workload| text(workload.pod, "/serviceAccountName") == "security-hub-deployer")
        .collect();
    let [one] = runners.as_slice() else {
        return vec![format!("{} workloads run as the deployer", runners.len())];
    };
    let place = namespace(one.object);
    if place != "security-hub-deploy"
        || all
            .iter()
            .filter(|other| namespace(other.object) == place)
            .count()
            != 1
    {
        faults.push(format!("{}: does not stand apart", one.who()));
    }
    // Two would have two journals.
    if text(one.object, "/kind") != "StatefulSet" || one.object["spec"]["replicas"] != json!(1) {
        faults.push(format!("{}: there may be two of it", one.who()));
    }
    let kept = list(one.object, "/spec/volumeClaimTemplates")
        .iter()
        .filter_map(|claim| claim.pointer("/metadata/name"))
        .any(|disk| {
            one.containers().any(|container| {
                list(container, "/volumeMounts").iter().any(|mount| {
                    mount["name"] == *disk && mount["mountPath"] == "/var/lib/security-hub-deploy"
                })
            })
        });
    if !kept
        || ["whenDeleted", "whenScaled"].iter().any(|when| {
            one.object["spec"]["persistentVolumeClaimRetentionPolicy"][when] != "Retain"
        })
    {
        faults.push(format!("{}: forgets what it deployed", one.who()));
    }
    let bound = of_kind(objects, "RoleBinding").any(|binding| {
        text(binding, "/roleRef/name") == "security-hub-deployer"
            && list(binding, "/subjects").iter().any(|subject| {
                subject["name"] == "security-hub-deployer" && subject["namespace"] == place
            })
    });
    if !bound {
        faults.push(format!("{}: may change nothing", one.who()));
    }
    let account = format!("'system:serviceaccount:{place}:security-hub-deployer'");
    let held = of_kind(objects, "ValidatingAdmissionPolicy").any(|policy| {
        name(policy) == "security-hub-deployer"
            && text(policy, "/spec/matchConditions/0/expression").contains(&account)
    });
    if !held {
        faults.push(format!("{}: no admission policy binds it", one.who()));
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
    let of_hub = of_kind(objects, "ValidatingAdmissionPolicy").any(|policy| {
        let from = text(policy, "/spec/variables/2/expression");
        name(policy) == "security-hub-deployer"
            && from.contains("'ghcr.io/security-hub/security-hub'")
            && from.contains(".dkr.ecr.")
            && !from.contains(".invalid")
    });
    if !of_hub {
        faults.push(
            "a release's image may come from anywhere, or not from the account's registry"
                .to_owned(),
        );
    }
    if of_kind(objects, "ValidatingAdmissionPolicy").count() < 3 {
        faults.push("policies are missing".to_owned());
    }
    faults.extend(what_a_deploy_may_not_change(objects));
    faults
}

/// What a pod starts, mounts, reads and reaches is compared with what it was. (The expressions are run by scripts/verify/admission.py.)
fn what_a_deploy_may_not_change(objects: &[Object]) -> Vec<String> {
    let said: String = of_kind(objects, "ValidatingAdmissionPolicy")
        .filter(|policy| name(policy) == "security-hub-deployer")
        .flat_map(|policy| list(policy, "/spec/validations"))
        .map(|one| text(one, "/expression"))
        .collect();
    let pod = [
        "serviceAccountName",
        "automountServiceAccountToken",
        "volumes",
        "hostNetwork",
        "hostAliases",
        "imagePullSecrets",
    ];
    let container = [
        "command",
        "args",
        "env",
        "envFrom",
        "volumeMounts",
        "lifecycle",
    ];
    let fields = pod.iter().map(|field| ("pod", "before", field));
    let fields = fields.chain(container.iter().map(|field| ("container", "was", field)));
    fields
        .map(|(now, before, field)| {
            format!("variables.{now}.?{field} == variables.{before}.?{field}")
        })
        .filter(|wanted| {
            !said
                .split("&& ")
                .any(|part| part.trim_end_matches([' ', ')']) == wanted)
        })
        .map(|wanted| format!("a deploy may change it: {wanted}"))
        .collect()
}
