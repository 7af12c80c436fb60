//! The way in from outside: the load balancer before the ingress controller, and the firewall that the controller asks. The
//! controller itself is installed by platform/install.sh; what it is told stands in its values.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::objects::{
    Object, list, name, namespace, number, of_kind, root, takes, text, who, workloads,
};

const NAMESPACE: &str = "ingress-haproxy";

/// What the controller is told.
fn controller() -> Value {
    let file = root().join("infrastructure/kubernetes/platform/values/haproxy-ingress.yaml");
    let values: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    values["controller"]["config"].clone()
}

fn controllers_pods() -> Value {
    json!({"app.kubernetes.io/name": "haproxy-ingress"})
}

pub(crate) fn load_balancer(objects: &[Object]) -> Vec<String> {
    let Some(edge) = of_kind(objects, "Service").find(|one| name(one) == "security-hub-edge")
    else {
        return vec!["nobody comes in".to_owned()];
    };
    let told = |key: &str| {
        text(
            edge,
            &format!("/metadata/annotations/service.beta.kubernetes.io~1aws-load-balancer-{key}"),
        )
    };
    let inside = told("scheme") == "internal";
    let ranges = list(edge, "/spec/loadBalancerSourceRanges");
    let ports: Vec<i64> = list(edge, "/spec/ports")
        .iter()
        .filter_map(|port| number(port, "/port"))
        .collect();
    let mut faults = Vec::new();
    for (holds, fault) in [
        (
            text(edge, "/spec/type") == "LoadBalancer"
                && text(edge, "/spec/loadBalancerClass") == "service.k8s.aws/nlb",
            "is no network load balancer of the controller that is installed",
        ),
        (
            namespace(edge) == NAMESPACE && edge["spec"]["selector"] == controllers_pods(),
            "does not lead to the ingress controller",
        ),
        (
            told("proxy-protocol") == "*" && controller()["use-proxy-protocol"] == "true",
            "loses the clients' addresses: one end of the PROXY protocol is missing",
        ),
        // The header comes with health checks as well, and /healthz takes none.
        (
            told("healthcheck-protocol") == "tcp" && told("healthcheck-path").is_empty(),
            "asks for health over HTTP behind a PROXY header",
        ),
        (ports == [80, 443], "opens other ports"),
        (
            !ranges.is_empty() && (!inside || !ranges.contains(&json!("0.0.0.0/0"))),
            "is inside, and open to everybody",
        ),
        (
            told("target-group-attributes").contains("deregistration_delay"),
            "cuts connections off",
        ),
    ] {
        if !holds {
            faults.push(format!("{}: {fault}", who(edge)));
        }
    }
    faults
}

/// Whether an address is of the range that Terraform gives the Services of every place, and of those that Kubernetes gives to nobody by
/// itself: the first 256, some of which EKS uses.
fn is_ours_to_give(address: Ipv4Addr) -> bool {
    let file = root().join("infrastructure/terraform/environments/production/variables.tf");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, after) = text.split_once("variable \"service_cidr\"").unwrap();
    let (_, after) = after.split_once("default     = \"").unwrap();
    let first: Ipv4Addr = after.split('/').next().unwrap().parse().unwrap();
    let place = u32::from(address).checked_sub(u32::from(first));
    place.is_some_and(|place| (16..256).contains(&place))
}

/// The controller asks a firewall that is there, at an address that it need not look up, under the name that the firewall knows.
pub(crate) fn firewall(objects: &[Object]) -> Vec<String> {
    let told = controller();
    let endpoint = text(&told, "/modsecurity-endpoints");
    let Some((address, port)) = endpoint
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.parse::<Ipv4Addr>().ok()?, port.parse().ok()?)))
    else {
        return vec![format!("HAProxy must look up `{endpoint}`")];
    };
    let Some(service) = of_kind(objects, "Service").find(|one| {
        namespace(one) == NAMESPACE && text(one, "/spec/clusterIP") == address.to_string()
    }) else {
        return vec![format!("nobody answers at {endpoint}")];
    };
    let all = workloads(objects);
    let Some(agent) = all.iter().find(|workload| {
        namespace(workload.object) == NAMESPACE
            && takes(&service["spec"]["selector"], &workload.labels)
    }) else {
        return vec![format!("{}: no pods", who(service))];
    };
    let settings = settings(objects);
    let asked_as = format!("app=str({})", text(&settings, "/applications/0/name"));
    let mut faults = refuses(&settings);
    for (holds, fault) in [
        (is_ours_to_give(address), "its address may be another's"),
        (
            number(service, "/spec/ports/0/port") == Some(port)
                && agent.opens(&json!(port))
                && text(&settings, "/bind").ends_with(&format!(":{port}")),
            "does not listen where it is asked",
        ),
        (
            number(agent.object, "/spec/replicas").unwrap_or(1) >= 2,
            "one of it: requests pass unseen while it restarts",
        ),
        (
            text(&told, "/modsecurity-use-coraza") == "true"
                && text(&told, "/modsecurity-args").starts_with(&asked_as),
            "is asked in another language, or by another name",
        ),
        (asked_by_the_controller(objects), "others may ask it"),
    ] {
        if !holds {
            faults.push(format!("{}: {fault}", agent.who()));
        }
    }
    faults
}

fn settings(objects: &[Object]) -> Value {
    let text = of_kind(objects, "ConfigMap")
        .find(|map| namespace(map) == NAMESPACE && name(map).starts_with("firewall"))
        .map_or("", |map| text(map, "/data/coraza.yaml"));
    serde_yaml_ng::from_str(text).unwrap_or_default()
}

/// It refuses, by the core rules, and not what the hub's interface consists of: that must be said before those rules.
fn refuses(settings: &Value) -> Vec<String> {
    let rules = text(settings, "/applications/0/directives");
    let core = rules.find("Include @owasp_crs/").unwrap_or(0);
    let mut faults = Vec::new();
    if core == 0 || !rules.lines().any(|line| line == "SecRuleEngine On") {
        faults.push("the firewall only looks on".to_owned());
    }
    for wanted in [
        "tx.allowed_methods=GET HEAD POST PUT PATCH DELETE",
        "@beginsWith /api/v2/events\"",
    ] {
        if rules.find(wanted).is_none_or(|at| at > core) {
            faults.push(format!("before the core rules it is not told {wanted}"));
        }
    }
    faults
}

fn asked_by_the_controller(objects: &[Object]) -> bool {
    let mut who = of_kind(objects, "NetworkPolicy")
        .filter(|policy| namespace(policy) == NAMESPACE)
        .flat_map(|policy| list(policy, "/spec/ingress"))
        .flat_map(|edge| list(edge, "/from"))
        .peekable();
    who.peek().is_some()
        && who.all(|peer| *peer == json!({"podSelector": {"matchLabels": controllers_pods()}}))
}
