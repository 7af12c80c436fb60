//! The rules are only worth something if they notice: each is shown objects with one fault put in.

use serde_json::{Value, json};

use crate::RULES;
use crate::objects::{Object, name, rendered, text};

/// (rule, kind, name of the object, where, what is put there; null takes it away)
type Fault = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Value,
);

fn faults() -> Vec<Fault> {
    vec![
        (
            "pods: locked down",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/containers/0/securityContext/privileged",
            json!(true),
        ),
        (
            "pods: locked down",
            "Deployment",
            "security-hub-green",
            "/spec/template/spec/containers/0/securityContext/capabilities/drop",
            json!(["NET_RAW"]),
        ),
        (
            "pods: locked down",
            "StatefulSet",
            "redis",
            "/spec/template/spec/securityContext/seccompProfile",
            Value::Null,
        ),
        (
            "pods: locked down",
            "StatefulSet",
            "jaeger",
            "/spec/template/spec/hostNetwork",
            json!(true),
        ),
        (
            "pods: requests and limits",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/containers/0/resources/requests/memory",
            json!("2Gi"),
        ),
        (
            "pods: requests and limits",
            "Deployment",
            "grafana",
            "/spec/template/spec/containers/0/resources/limits/memory",
            Value::Null,
        ),
        (
            "pods: probes",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/containers/0/readinessProbe/httpGet/port",
            json!("htpp"),
        ),
        (
            "pods: probes",
            "StatefulSet",
            "prometheus",
            "/spec/template/spec/containers/0/livenessProbe",
            Value::Null,
        ),
        (
            "pods: tokens",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/automountServiceAccountToken",
            Value::Null,
        ),
        (
            "pods: tokens",
            "ServiceAccount",
            "security-hub-migrate",
            "/automountServiceAccountToken",
            json!(true),
        ),
        (
            "pods: images",
            "CronJob",
            "security-hub-migrate",
            "/spec/jobTemplate/spec/template/spec/containers/0/image",
            json!("ghcr.io/security-hub/security-hub:latest"),
        ),
        (
            "pods: images",
            "Cluster",
            "security-hub-db",
            "/spec/imageName",
            json!("ghcr.io/cloudnative-pg/postgresql:17"),
        ),
        (
            "pods: spread",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/topologySpreadConstraints",
            Value::Null,
        ),
        (
            "pods: spread",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/affinity",
            Value::Null,
        ),
        (
            "pods: colours alike",
            "Deployment",
            "security-hub-green",
            "/spec/template/spec/containers/0/args/0",
            json!("version"),
        ),
        (
            "pods: graceful end",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/terminationGracePeriodSeconds",
            json!(30),
        ),
        (
            "pods: graceful end",
            "Deployment",
            "security-hub-blue",
            "/spec/strategy/rollingUpdate/maxUnavailable",
            json!(1),
        ),
        (
            "references",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/volumes/1/secret/secretName",
            json!("no-such"),
        ),
        (
            "references",
            "Deployment",
            "security-hub-blue",
            "/spec/template/spec/priorityClassName",
            json!("no-such"),
        ),
        (
            "references",
            "Ingress",
            "security-hub",
            "/metadata/annotations/cert-manager.io~1cluster-issuer",
            json!("no-such"),
        ),
        (
            "settings",
            "ConfigMap",
            "security-hub",
            "/data/HUB_LISTN",
            json!("0.0.0.0:8005"),
        ),
        (
            "cluster: selectors",
            "Deployment",
            "security-hub-blue",
            "/spec/template/metadata/labels/hub.security~1colour",
            json!("green"),
        ),
        (
            "cluster: disruption",
            "PodDisruptionBudget",
            "security-hub-blue",
            "/spec/minAvailable",
            json!(3),
        ),
        (
            "cluster: disruption",
            "PodDisruptionBudget",
            "redis",
            "/spec/selector/matchLabels/app.kubernetes.io~1name",
            json!("no-such"),
        ),
        (
            "cluster: autoscaling",
            "HorizontalPodAutoscaler",
            "security-hub-green",
            "/spec/metrics/2/pods/metric/name",
            json!("hub_requests"),
        ),
        (
            "cluster: autoscaling",
            "VerticalPodAutoscaler",
            "security-hub-blue",
            "/spec/updatePolicy/updateMode",
            json!("Recreate"),
        ),
        (
            "cluster: autoscaling",
            "VerticalPodAutoscaler",
            "security-hub-green",
            "/kind",
            json!("Nothing"),
        ),
        (
            "cluster: autoscaling",
            "HorizontalPodAutoscaler",
            "security-hub-blue",
            "/spec/metrics/3/external/target/type",
            json!("Value"),
        ),
        (
            "cluster: autoscaling",
            "HorizontalPodAutoscaler",
            "security-hub-blue",
            "/spec/metrics/3",
            json!({"type": "Pods", "pods": {"metric": {"name": "hub_ledger_backlog"},
                "target": {"type": "AverageValue", "averageValue": "2000"}}}),
        ),
        (
            "cluster: autoscaling",
            "APIService",
            "v1beta1.external.metrics.k8s.io",
            "/spec/group",
            json!("elsewhere"),
        ),
        (
            "cluster: services",
            "Service",
            "prometheus-query",
            "/spec/ports/0/targetPort",
            json!("no-such"),
        ),
        (
            "cluster: services",
            "Ingress",
            "security-hub",
            "/metadata/annotations/haproxy-ingress.github.io~1waf",
            Value::Null,
        ),
        (
            "cluster: services",
            "Service",
            "security-hub",
            "/spec/type",
            json!("LoadBalancer"),
        ),
        (
            "cluster: traffic",
            "Service",
            "security-hub-preview",
            "/spec/selector/hub.security~1colour",
            json!("blue"),
        ),
        (
            "cluster: traffic",
            "Ingress",
            "security-hub",
            "/metadata/annotations/haproxy-ingress.github.io~1blue-green-balance",
            json!("hub.security/colour=blue=0,hub.security/colour=green=100"),
        ),
        (
            "cluster: namespaces",
            "Namespace",
            "security-hub-data",
            "/metadata/labels/pod-security.kubernetes.io~1enforce",
            json!("baseline"),
        ),
        (
            "cluster: quota",
            "ResourceQuota",
            "security-hub",
            "/spec/hard/limits.cpu",
            json!("10"),
        ),
        (
            "guard: secrets",
            "ConfigMap",
            "security-hub",
            "/data/HUB_DATABASE_URL",
            json!("postgres://somewhere"),
        ),
        (
            "guard: secrets",
            "ServiceAccount",
            "redis",
            "/kind",
            json!("Secret"),
        ),
        (
            "guard: rbac",
            "Role",
            "prometheus-discovery",
            "/rules/0/resources",
            json!(["*"]),
        ),
        (
            "guard: rbac",
            "Role",
            "prometheus-discovery",
            "/rules/0/resources",
            json!(["secrets"]),
        ),
        (
            "guard: rbac",
            "RoleBinding",
            "security-hub-deployer",
            "/roleRef/name",
            json!("cluster-admin"),
        ),
        (
            "guard: deployer",
            "Role",
            "security-hub-deployer",
            "/rules/0/resourceNames",
            Value::Null,
        ),
        (
            "guard: deployer",
            "Role",
            "security-hub-deployer",
            "/rules/8/resources",
            json!(["configmaps"]),
        ),
        (
            "guard: deployer",
            "Role",
            "security-hub-deployer",
            "/rules/10/verbs",
            json!(["get"]),
        ),
        (
            "guard: database",
            "Cluster",
            "security-hub-db",
            "/spec/postgresql/synchronous",
            Value::Null,
        ),
        (
            "guard: database",
            "Cluster",
            "security-hub-db",
            "/spec/managed/roles/0/bypassrls",
            json!(true),
        ),
        (
            "guard: admission",
            "ValidatingAdmissionPolicy",
            "security-hub-deployer",
            "/spec/variables/2/expression",
            json!("['ghcr.io/security-hub/security-hub']"),
        ),
        (
            "guard: database",
            "ExternalSecret",
            "security-hub",
            "/spec/target/template/data/database-url",
            json!("postgres://hub_app@elsewhere:5432/security_hub?sslmode=verify-full"),
        ),
        (
            "guard: admission",
            "ValidatingAdmissionPolicy",
            "security-hub-images",
            "/spec/failurePolicy",
            json!("Ignore"),
        ),
        (
            "guard: admission",
            "ValidatingAdmissionPolicyBinding",
            "security-hub-images",
            "/spec/validationActions",
            json!(["Audit"]),
        ),
        (
            "network: closed",
            "NetworkPolicy",
            "default-deny",
            "/spec/policyTypes",
            json!(["Ingress"]),
        ),
        (
            "network: covered",
            "NetworkPolicy",
            "security-hub",
            "/spec/policyTypes",
            json!(["Egress"]),
        ),
        (
            "network: covered",
            "NetworkPolicy",
            "grafana",
            "/spec/egress/0/to",
            json!([]),
        ),
        (
            "network: both ends",
            "NetworkPolicy",
            "security-hub",
            "/spec/egress/0/ports/0/port",
            json!(5433),
        ),
        (
            "network: deployer",
            "NetworkPolicy",
            "security-hub",
            "/spec/ingress/2/ports/0/port",
            json!(8006),
        ),
        (
            "network: deployer",
            "NetworkPolicy",
            "prometheus",
            "/spec/ingress/1/from/0/podSelector/matchLabels/app.kubernetes.io~1name",
            json!("elsewhere"),
        ),
        (
            "network: deployer",
            "NetworkPolicy",
            "alertmanager",
            "/spec/ingress/1/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name",
            json!("security-hub"),
        ),
        (
            "network: deployer",
            "NetworkPolicy",
            "security-hub-deploy",
            "/spec/egress/0/ports/0/port",
            json!(80),
        ),
        (
            "network: deployer",
            "NetworkPolicy",
            "security-hub-deploy",
            "/spec/egress/3/to/0/ipBlock/cidr",
            json!("10.0.0.0/24"),
        ),
        (
            "network: deployer",
            "NetworkPolicy",
            "security-hub-deploy",
            "/spec/egress/1/to/0/podSelector",
            json!({}),
        ),
        (
            "guard: runner",
            "StatefulSet",
            "security-hub-deploy",
            "/spec/replicas",
            json!(2),
        ),
        (
            "guard: runner",
            "StatefulSet",
            "security-hub-deploy",
            "/spec/volumeClaimTemplates",
            json!([]),
        ),
        (
            "guard: runner",
            "StatefulSet",
            "security-hub-deploy",
            "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted",
            json!("Delete"),
        ),
        (
            "guard: runner",
            "StatefulSet",
            "prometheus",
            "/spec/template/spec/serviceAccountName",
            json!("security-hub-deployer"),
        ),
        (
            "guard: runner",
            "RoleBinding",
            "security-hub-deployer",
            "/subjects/0/namespace",
            json!("security-hub"),
        ),
        (
            "guard: runner",
            "ValidatingAdmissionPolicy",
            "security-hub-deployer",
            "/spec/matchConditions/0/expression",
            json!("'security-hub-deployers' in request.userInfo.groups"),
        ),
        (
            "network: outside",
            "NetworkPolicy",
            "security-hub-outbox",
            "/spec/egress/0/to/0/ipBlock/except",
            json!([]),
        ),
    ]
}

/// Sets what is at the pointer; its parent must be there.
pub(crate) fn set(object: &mut Object, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/");
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) if value.is_null() => {
            assert!(fields.remove(&last).is_some(), "{pointer} is not there");
        }
        Some(Value::Object(fields)) => {
            fields.insert(last, value);
        }
        Some(Value::Array(items)) => items[last.parse::<usize>().unwrap()] = value,
        _ => unreachable!("{parent} is not there"),
    }
}

/// Faults where the cloud runs the databases.
fn managed_faults() -> Vec<Fault> {
    let (rule, policy) = ("guard: database", "NetworkPolicy");
    vec![
        (
            rule,
            "ExternalSecret",
            "security-hub-migrate",
            "/spec/target/template/data/database-owner-url",
            json!("postgres://hub_owner@{{ .host }}:5432/security_hub"),
        ),
        (
            rule,
            policy,
            "security-hub-managed-database",
            "/spec/egress/0/to/0/ipBlock/cidr",
            json!("10.40.0.0/16"),
        ),
        (
            rule,
            policy,
            "security-hub-migrate-managed-database",
            "/spec/egress/0/ports/0/port",
            json!(22),
        ),
        (
            rule,
            "PodDisruptionBudget",
            "security-hub-blue",
            "/metadata/namespace",
            json!("security-hub-data"),
        ),
        (
            rule,
            "ConfigMap",
            "security-hub",
            "/data/HUB_DATABASE_POOL",
            json!("64"),
        ),
        (
            "references",
            "ExternalSecret",
            "security-hub-internal",
            "/spec/target/name",
            json!("elsewhere"),
        ),
    ]
}

/// Faults where a mesh asks who calls.
fn mesh_faults() -> Vec<Fault> {
    vec![
        (
            "network: deployer",
            "AuthorizationPolicy",
            "security-hub",
            "/spec/rules/2/from/0/source/principals/0",
            json!("cluster.local/ns/security-hub/sa/security-hub-deployer"),
        ),
        (
            "network: deployer",
            "StatefulSet",
            "security-hub-deploy",
            "/spec/template/metadata/labels/sidecar.istio.io~1inject",
            Value::Null,
        ),
    ]
}

#[test]
fn every_fault_is_noticed() {
    let mut unnoticed = Vec::new();
    for (place, faults) in [
        ("production", faults()),
        ("managed production", managed_faults()),
        ("mesh production", mesh_faults()),
    ] {
        let sound = rendered(place);
        for (rule, kind, called, pointer, value) in faults {
            let mut objects = sound.clone();
            let object = objects
                .iter_mut()
                .find(|object| text(object, "/kind") == kind && name(object) == called)
                .unwrap();
            set(object, pointer, value);
            let (_, check) = RULES.iter().find(|(name, _)| *name == rule).unwrap();
            if check(&objects).is_empty() {
                unnoticed.push(format!("{place}: {rule}: {kind} {called} {pointer}"));
            }
        }
    }
    // And both at once.
    let mut objects = rendered("managed production");
    objects.extend(rendered("production"));
    let (_, check) = RULES
        .iter()
        .find(|(name, _)| *name == "guard: database")
        .unwrap();
    if check(&objects).is_empty() {
        unnoticed.push("two databases".to_owned());
    }
    assert!(
        unnoticed.is_empty(),
        "not noticed:\n{}",
        unnoticed.join("\n")
    );
}

/// Rules that read whole files out of ConfigMaps.
#[test]
fn faults_in_files_are_noticed() {
    let sound = rendered("production");
    for (rule, from, to) in [
        ("alerts", "#roll-back", "#no-such-section"),
        ("boards", "hub_findings_total", "hub_findngs_total"),
        ("boards", "hub_ledger_backlog", "hub_ledger_queue"),
        (
            "cluster: autoscaling",
            "max(avg_over_time(",
            "sum(avg_over_time(",
        ),
    ] {
        let objects: Vec<Object> = sound
            .iter()
            .map(|object| serde_json::from_str(&object.to_string().replace(from, to)).unwrap())
            .collect();
        let (_, check) = RULES.iter().find(|(name, _)| *name == rule).unwrap();
        assert!(
            !check(&objects).is_empty(),
            "{rule} does not notice {from} → {to}"
        );
    }
}
