//! Secrets, rights, the database and the admission policies.

use serde_json::{Value, json};

use crate::objects::{Object, list, name, namespace, number, of_kind, root, text, who, workloads};

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

/// The templates of the connection strings that pods get: (who, key, template).
fn connections(objects: &[Object]) -> Vec<(String, &str, &str)> {
    of_kind(objects, "ExternalSecret")
        .filter(|external| namespace(external) == "security-hub")
        .flat_map(|external| {
            let data = external.pointer("/spec/target/template/data");
            let data = data.and_then(Value::as_object).into_iter().flatten();
            data.filter(|(key, _)| key.starts_with("database-"))
                .map(|(key, value)| (who(external), key.as_str(), value.as_str().unwrap_or("")))
        })
        .collect()
}

/// How many connections the servers open at their most.
fn connections_at_most(objects: &[Object]) -> (i64, i64) {
    let pool = of_kind(objects, "ConfigMap")
        .find_map(|map| text(map, "/data/HUB_DATABASE_POOL").parse::<i64>().ok())
        .unwrap_or(i64::MAX / 100);
    let pods = of_kind(objects, "HorizontalPodAutoscaler")
        .filter_map(|scaler| number(scaler, "/spec/maxReplicas"))
        .sum();
    (pool, pods)
}

/// The cluster's database or the cloud's, and never both.
pub(crate) fn database(objects: &[Object]) -> Vec<String> {
    let own = of_kind(objects, "Cluster").next();
    let at = own.map_or(
        "@{{ .host }}:5432/",
        |_| "@security-hub-db-rw.security-hub-data.svc:5432/",
    );
    let connections = connections(objects);
    let mut faults: Vec<_> = connections
        .iter()
        .filter(|(_, _, url)| !url.contains(at) || !url.contains("sslmode=verify-full"))
        .map(|(who, key, _)| format!("{who}: {key} does not go to {at} with verified TLS"))
        .collect();
    if connections.len() != 3 {
        faults.push(format!("{} connection strings", connections.len()));
    }
    faults.extend(own.map_or_else(
        || managed(objects),
        |cluster| in_the_cluster(objects, cluster),
    ));
    faults
}

/// The cloud runs PostgreSQL and Redis: nothing of them is left in the cluster, and the way to them is as wide as their subnets.
fn managed(objects: &[Object]) -> Vec<String> {
    // Prometheus may look for pods there, and finds none.
    let belongs = [
        "Namespace",
        "ResourceQuota",
        "LimitRange",
        "ServiceAccount",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
    ];
    let mut faults: Vec<_> = objects
        .iter()
        .filter(|object| namespace(object) == "security-hub-data")
        .filter(|object| !belongs.contains(&text(object, "/kind")))
        .map(|object| format!("{} is left over", who(object)))
        .collect();
    for pods in ["security-hub", "security-hub-migrate"] {
        let policy = of_kind(objects, "NetworkPolicy")
            .find(|policy| name(policy) == format!("{pods}-managed-database"));
        let edges = policy.map_or(&[][..], |policy| list(policy, "/spec/egress"));
        let subnets: Vec<_> = edges.iter().flat_map(|edge| list(edge, "/to")).collect();
        let narrow = subnets.iter().all(|to| {
            let size = text(to, "/ipBlock/cidr").split_once('/');
            size.is_some_and(|(_, bits)| bits.parse::<u8>().is_ok_and(|bits| bits >= 20))
        });
        let ports = edges
            .iter()
            .all(|edge| list(edge, "/ports") == [json!({"protocol": "TCP", "port": 5432})]);
        if subnets.len() != 3 || !narrow || !ports {
            faults.push(format!(
                "{pods}: its way to the database is none, or wider than three subnets"
            ));
        }
    }
    // By hand, once: the role's limit.
    let page = std::fs::read_to_string(
        root().join("infrastructure/terraform/modules/databases/README.md"),
    )
    .unwrap();
    let allowed = page
        .split_once("connection limit ")
        .and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse::<i64>()
                .ok()
        })
        .unwrap_or(0);
    let (pool, pods) = connections_at_most(objects);
    if pool * pods > allowed {
        faults.push(format!(
            "{pods} servers with {pool} connections each; the role has {allowed}"
        ));
    }
    faults
}

fn in_the_cluster(objects: &[Object], cluster: &Object) -> Vec<String> {
    let mut faults: Vec<_> = of_kind(objects, "NetworkPolicy")
        .filter(|policy| name(policy).ends_with("-managed-database"))
        .map(|policy| format!("{}: there are two databases", who(policy)))
        .collect();
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
    let (pool, pods) = connections_at_most(objects);
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
    faults
}
