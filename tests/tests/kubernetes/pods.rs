//! What each pod may and how it behaves.

use serde_json::{Value, json};

use crate::objects::{
    Object, Workload, list, name, namespace, number, of_kind, quantity, takes, text, who, workloads,
};

fn each(objects: &[Object], check: impl Fn(&Workload<'_>) -> Vec<String>) -> Vec<String> {
    workloads(objects)
        .iter()
        .flat_map(|workload| {
            check(workload)
                .into_iter()
                .map(|fault| format!("{}: {fault}", workload.who()))
                .collect::<Vec<_>>()
        })
        .collect()
}

pub(crate) fn locked_down(objects: &[Object]) -> Vec<String> {
    each(objects, |workload| {
        let mut faults = Vec::new();
        for forbidden in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
            if workload
                .pod
                .get(forbidden)
                .is_some_and(|set| set != &json!(false))
            {
                faults.push(format!("{forbidden} is set"));
            }
        }
        let pod = &workload.pod["securityContext"];
        if pod["runAsNonRoot"] != json!(true)
            || number(pod, "/runAsUser").unwrap_or(0) < 1
            || number(pod, "/runAsGroup").unwrap_or(0) < 1
        {
            faults.push("may run as root".to_owned());
        }
        if text(pod, "/seccompProfile/type") != "RuntimeDefault" {
            faults.push("has no seccomp profile".to_owned());
        }
        for volume in list(workload.pod, "/volumes") {
            if !["emptyDir", "secret", "configMap", "projected"]
                .iter()
                .any(|kind| volume.get(kind).is_some())
            {
                faults.push(format!(
                    "volume {} is of a kind that reaches out of the pod",
                    volume["name"]
                ));
            }
            if volume.get("emptyDir").is_some() && volume["emptyDir"].get("sizeLimit").is_none() {
                faults.push(format!("volume {} may fill the node", volume["name"]));
            }
            if volume.get("secret").is_some() && volume["secret"]["defaultMode"] != json!(0o440) {
                faults.push(format!(
                    "volume {}: its files are readable by others",
                    volume["name"]
                ));
            }
        }
        for container in workload.containers() {
            let own = &container["securityContext"];
            for (field, wanted) in [
                ("allowPrivilegeEscalation", json!(false)),
                ("privileged", json!(false)),
                ("readOnlyRootFilesystem", json!(true)),
                ("runAsNonRoot", json!(true)),
                ("capabilities", json!({"drop": ["ALL"]})),
            ] {
                if own[field] != wanted {
                    faults.push(format!("{field} is {} and not {wanted}", own[field]));
                }
            }
            if own.get("seccompProfile").is_some()
                || own.get("runAsUser").is_some()
                || own.get("procMount").is_some()
            {
                faults.push("a container overrides its pod's security".to_owned());
            }
            if list(container, "/ports")
                .iter()
                .any(|port| port.get("hostPort").is_some())
            {
                faults.push("opens a port of the node".to_owned());
            }
        }
        faults
    })
}

pub(crate) fn requests_and_limits(objects: &[Object]) -> Vec<String> {
    each(objects, |workload| {
        let mut faults = Vec::new();
        let place = namespace(workload.object);
        let most = of_kind(objects, "LimitRange")
            .find(|range| namespace(range) == place)
            .map_or(&Value::Null, |range| &range["spec"]["limits"][0]["max"]);
        // Beside the ingress controller, whose namespace is not ours to limit.
        let ours = of_kind(objects, "Namespace").any(|space| name(space) == place);
        for container in workload.containers() {
            for resource in ["cpu", "memory"] {
                let wants = quantity(&container["resources"]["requests"][resource]);
                let limit = quantity(&container["resources"]["limits"][resource]);
                let most = quantity(&most[resource]).or((!ours).then_some(i128::MAX));
                match (wants, limit, most) {
                    (Some(wants), Some(limit), Some(most))
                        if 0 < wants && wants <= limit && limit <= most => {}
                    figures => {
                        faults.push(format!("{resource}: request, limit, most: {figures:?}"));
                    }
                }
            }
        }
        faults
    })
}

pub(crate) fn probes(objects: &[Object]) -> Vec<String> {
    each(objects, |workload| {
        let mut faults = Vec::new();
        if workload.is_job() {
            return faults;
        }
        for container in workload.containers() {
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let Some(set) = container.get(probe) else {
                    if probe != "startupProbe" || workload.is_hub() {
                        faults.push(format!("no {probe}"));
                    }
                    continue;
                };
                let port = set
                    .pointer("/httpGet/port")
                    .or_else(|| set.pointer("/tcpSocket/port"));
                if port.is_some_and(|port| !workload.opens(port))
                    || (port.is_none() && set.get("exec").is_none())
                {
                    faults.push(format!("{probe} asks a port that is not open: {port:?}"));
                }
            }
            // A database that is away must not restart every server.
            if workload.is_hub()
                && (text(container, "/livenessProbe/httpGet/path") != "/health/live"
                    || text(container, "/readinessProbe/httpGet/path") != "/health/ready")
            {
                faults.push("liveness and readiness are not asked where they are told".to_owned());
            }
        }
        faults
    })
}

/// Who needs a token of the Kubernetes API: the metrics adapter by its account, Prometheus and the
/// deploy runner by a short-lived volume of their own.
pub(crate) fn tokens(objects: &[Object]) -> Vec<String> {
    let mut faults = each(objects, |workload| {
        let mut faults = Vec::new();
        let account = text(workload.pod, "/serviceAccountName");
        let automatic = workload.pod["automountServiceAccountToken"] != json!(false);
        let projected = list(workload.pod, "/volumes")
            .iter()
            .flat_map(|volume| list(volume, "/projected/sources"))
            .any(|source| source.get("serviceAccountToken").is_some());
        let asks = ["prometheus", "security-hub-deployer"].contains(&account);
        if automatic != (account == "prometheus-adapter") || projected != asks {
            faults.push(format!(
                "token: automatic {automatic}, projected {projected}"
            ));
        }
        if account.is_empty() || account == "default" {
            faults.push("has no account of its own".to_owned());
        }
        if workload.pod["enableServiceLinks"] != json!(false) {
            faults.push("learns of every service through its environment".to_owned());
        }
        faults
    });
    faults.extend(
        of_kind(objects, "ServiceAccount")
            .filter(|account| account["automountServiceAccountToken"] != json!(false))
            .map(|account| format!("{}: gives its token to every pod", who(account))),
    );
    faults
}

pub(crate) fn by_digest(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(name, digest)| {
        !name.is_empty()
            && !name.ends_with(":latest")
            && digest.len() == 64
            && digest
                .chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

pub(crate) fn images(objects: &[Object]) -> Vec<String> {
    let mut faults = each(objects, |workload| {
        let mut faults: Vec<_> = workload
            .containers()
            .map(|container| text(container, "/image"))
            .filter(|image| !by_digest(image))
            .map(|image| format!("`{image}` is not named by its digest"))
            .collect();
        let ours = workload.is_hub()
            || text(&workload.labels, "/app.kubernetes.io~1component") == "migration";
        if ours
            && workload.containers().any(|container| {
                !text(container, "/image").starts_with("ghcr.io/security-hub/security-hub@")
            })
        {
            faults.push("runs another image than the hub's".to_owned());
        }
        faults
    });
    faults.extend(
        of_kind(objects, "Cluster")
            .filter(|cluster| !by_digest(databases_image(objects, cluster)))
            .map(|cluster| format!("{}: its image is not named by its digest", who(cluster))),
    );
    faults
}

/// What PostgreSQL runs from: an image that is named, or the one that a catalog has for its major version.
fn databases_image<'a>(objects: &'a [Object], cluster: &'a Object) -> &'a str {
    let Some(asked) = cluster.pointer("/spec/imageCatalogRef") else {
        return text(cluster, "/spec/imageName");
    };
    of_kind(objects, "ImageCatalog")
        .filter(|catalog| namespace(catalog) == namespace(cluster))
        .filter(|catalog| name(catalog) == text(asked, "/name"))
        .flat_map(|catalog| list(catalog, "/spec/images"))
        .find(|image| image["major"] == asked["major"])
        .map_or("", |image| text(image, "/image"))
}

pub(crate) fn spread(objects: &[Object]) -> Vec<String> {
    each(objects, |workload| {
        let mut faults = Vec::new();
        if !workload.is_hub() && number(workload.object, "/spec/replicas").unwrap_or(1) < 2 {
            return faults;
        }
        let zones: Vec<_> = list(workload.pod, "/topologySpreadConstraints")
            .iter()
            .filter(|spread| text(spread, "/topologyKey") == "topology.kubernetes.io/zone")
            .collect();
        match zones.as_slice() {
            [one] if takes(&one["labelSelector"], &workload.labels) => {}
            others => faults.push(format!(
                "{} rules to spread it over the zones",
                others.len()
            )),
        }
        if workload.is_hub() {
            let apart = list(
                workload.pod,
                "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
            );
            if !apart.iter().any(|term| {
                text(term, "/podAffinityTerm/topologyKey") == "kubernetes.io/hostname"
                    && takes(&term["podAffinityTerm"]["labelSelector"], &workload.labels)
            }) {
                faults.push("its pods may share a node although there are others".to_owned());
            }
        }
        faults
    })
}

pub(crate) fn colours_alike(objects: &[Object]) -> Vec<String> {
    let colour = |kind: &str, colour: &str| {
        let found = of_kind(objects, kind)
            .find(|object| object["metadata"]["name"] == format!("security-hub-{colour}"));
        let mut spec = found.map_or(Value::Null, |object| object["spec"].clone());
        if let Some(image) = spec.pointer_mut("/template/spec/containers/0/image") {
            *image = Value::Null;
        }
        spec.to_string().replace(colour, "COLOUR")
    };
    [
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "VerticalPodAutoscaler",
    ]
    .into_iter()
    .filter(|kind| colour(kind, "blue") != colour(kind, "green") || colour(kind, "blue") == "null")
    .map(|kind| format!("blue's and green's {kind} differ in more than colour and image"))
    .collect()
}

pub(crate) fn graceful_end(objects: &[Object]) -> Vec<String> {
    let seconds = |written: &str| {
        written
            .strip_suffix('s')
            .and_then(|digits| digits.parse::<i64>().ok())
            .unwrap_or(i64::MAX / 4)
    };
    let drain = of_kind(objects, "ConfigMap")
        .find(|map| map["metadata"]["name"] == "security-hub")
        .map_or(i64::MAX / 4, |map| {
            seconds(text(map, "/data/HUB_SHUTDOWN_DRAIN"))
        });
    each(objects, |workload| {
        let mut faults = Vec::new();
        if workload.is_hub() {
            let wait = number(
                workload.pod,
                "/containers/0/lifecycle/preStop/sleep/seconds",
            )
            .unwrap_or(0);
            let allowed = number(workload.pod, "/terminationGracePeriodSeconds").unwrap_or(30);
            if wait < 1 || wait + drain >= allowed {
                faults.push(format!(
                    "waits {wait} s, drains {drain} s, is killed after {allowed} s"
                ));
            }
            let rolling = &workload.object["spec"]["strategy"]["rollingUpdate"];
            if rolling["maxUnavailable"] != json!(0) || rolling["maxSurge"] == json!(0) {
                faults.push("a rolling update takes a pod before it has given one".to_owned());
            }
            if workload.object["spec"].get("replicas").is_some() {
                faults.push("sets its scale, which the autoscaler and the deploy own".to_owned());
            }
        }
        faults
    })
}
