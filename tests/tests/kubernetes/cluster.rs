//! What the objects around the pods promise.

use serde_json::{Value, json};

use crate::objects::{
    Object, list, name, namespace, number, of_kind, quantity, takes, text, who, workloads,
};

pub(crate) fn selectors(objects: &[Object]) -> Vec<String> {
    workloads(objects)
        .iter()
        .filter(|workload| !workload.is_job())
        .filter(|workload| {
            let selector = &workload.object["spec"]["selector"];
            selector["matchLabels"]
                .as_object()
                .is_none_or(serde_json::Map::is_empty)
                || !takes(selector, &workload.labels)
        })
        .map(|workload| format!("{}: does not select its own pods", workload.who()))
        .collect()
}

/// The least number of pods that a workload has while it is in use.
fn least(objects: &[Object], workload: &Object) -> i64 {
    of_kind(objects, "HorizontalPodAutoscaler")
        .find(|scaler| {
            namespace(scaler) == namespace(workload)
                && scaler["spec"]["scaleTargetRef"]["name"] == workload["metadata"]["name"]
        })
        .and_then(|scaler| number(scaler, "/spec/minReplicas"))
        .or_else(|| number(workload, "/spec/replicas"))
        .unwrap_or(1)
}

pub(crate) fn disruption(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let all = workloads(objects);
    for budget in of_kind(objects, "PodDisruptionBudget") {
        let guarded: Vec<_> = all
            .iter()
            .filter(|workload| {
                namespace(workload.object) == namespace(budget)
                    && takes(&budget["spec"]["selector"], &workload.labels)
            })
            .collect();
        let [one] = guarded.as_slice() else {
            faults.push(format!(
                "{}: guards {} workloads",
                who(budget),
                guarded.len()
            ));
            continue;
        };
        let pods = least(objects, one.object);
        let stay = number(budget, "/spec/minAvailable")
            .or_else(|| number(budget, "/spec/maxUnavailable").map(|away| pods - away));
        if !stay.is_some_and(|stay| 0 < stay && stay < pods) {
            faults.push(format!(
                "{}: of {pods} pods {stay:?} must stay",
                who(budget)
            ));
        }
    }
    for workload in all
        .iter()
        .filter(|workload| !workload.is_job() && least(objects, workload.object) > 1)
    {
        if !of_kind(objects, "PodDisruptionBudget").any(|budget| {
            namespace(budget) == namespace(workload.object)
                && takes(&budget["spec"]["selector"], &workload.labels)
        }) {
            faults.push(format!(
                "{}: a drain may take all of its pods",
                workload.who()
            ));
        }
    }
    faults
}

/// What an autoscaler scales on: which figures, where each comes from, and that it may read them.
fn figures(objects: &[Object], scaler: &Object, rules: &Value) -> Vec<String> {
    // A pod's own figure, from the adapter's `rules`; the whole hub's, from its `externalRules`, as one number: each pod
    // tells the same depth of one queue, so adding them up would grow with every pod.
    const OURS: [(&str, &str, &str); 2] = [
        ("pods", "hub_requests_per_second", "custom.metrics.k8s.io"),
        (
            "external",
            "hub_detection_backlog",
            "external.metrics.k8s.io",
        ),
    ];
    let mut faults = Vec::new();
    let metrics = list(scaler, "/spec/metrics");
    let mut on: Vec<_> = metrics
        .iter()
        .map(|metric| {
            [
                "/resource/name",
                "/pods/metric/name",
                "/external/metric/name",
            ]
            .map(|at| text(metric, at))
            .concat()
        })
        .collect();
    on.sort();
    if on
        != [
            "cpu",
            "hub_detection_backlog",
            "hub_requests_per_second",
            "memory",
        ]
    {
        faults.push(format!("{}: scales on {on:?}", who(scaler)));
    }
    for (kind, metric, api) in OURS {
        let asked = metrics.iter().any(|one| {
            text(one, &format!("/{kind}/metric/name")) == metric
                && text(one, &format!("/{kind}/target/type")) == "AverageValue"
        });
        let (under, resource) = match kind {
            "pods" => ("/rules", format!("pods/{metric}")),
            _ => ("/externalRules", metric.to_owned()),
        };
        let offered = list(rules, under).iter().any(|rule| {
            text(rule, "/name/as") == metric
                && (kind == "pods" || text(rule, "/metricsQuery").starts_with("max("))
        });
        let served =
            of_kind(objects, "APIService").any(|service| text(service, "/spec/group") == api);
        let readable = of_kind(objects, "Role")
            .filter(|role| namespace(role) == namespace(scaler))
            .flat_map(|role| list(role, "/rules"))
            .any(|rule| {
                list(rule, "/apiGroups").contains(&json!(api))
                    && list(rule, "/resources").contains(&json!(resource))
            });
        for (holds, fault) in [
            (asked, format!("does not share {metric} out over its pods")),
            (offered, format!("the adapter has no {metric} of that kind")),
            (served, format!("nobody serves {api}")),
            (readable, format!("may not read {metric}")),
        ] {
            if !holds {
                faults.push(format!("{}: {fault}", who(scaler)));
            }
        }
    }
    faults
}

pub(crate) fn autoscaling(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let adapter = of_kind(objects, "ConfigMap")
        .find(|map| name(map).starts_with("prometheus-adapter"))
        .map_or("", |map| text(map, "/data/config.yaml"));
    let rules: Value = serde_yaml_ng::from_str(adapter).unwrap_or_default();
    let mut scalers = 0;
    for scaler in of_kind(objects, "HorizontalPodAutoscaler") {
        scalers += 1;
        let (low, high) = (
            number(scaler, "/spec/minReplicas").unwrap_or(0),
            number(scaler, "/spec/maxReplicas").unwrap_or(0),
        );
        if low < 2 || high <= low {
            faults.push(format!("{}: from {low} to {high}", who(scaler)));
        }
        let target = text(scaler, "/spec/scaleTargetRef/name");
        if !of_kind(objects, "Deployment").any(|deployment| {
            name(deployment) == target && namespace(deployment) == namespace(scaler)
        }) {
            faults.push(format!("{}: scales nothing", who(scaler)));
        }
        faults.extend(figures(objects, scaler, &rules));
        let behaviour = &scaler["spec"]["behavior"];
        if list(behaviour, "/scaleUp/policies").is_empty()
            || list(behaviour, "/scaleDown/policies").is_empty()
            || number(behaviour, "/scaleDown/stabilizationWindowSeconds").unwrap_or(0) < 300
        {
            faults.push(format!("{}: goes up and down as it likes", who(scaler)));
        }
    }
    for scaler in of_kind(objects, "HorizontalPodAutoscaler") {
        let recommends = of_kind(objects, "VerticalPodAutoscaler").any(|recommender| {
            recommender["spec"]["targetRef"] == scaler["spec"]["scaleTargetRef"]
                && namespace(recommender) == namespace(scaler)
                && text(recommender, "/spec/updatePolicy/updateMode") == "Off"
        });
        if !recommends {
            faults.push(format!(
                "{}: nothing recommends, and only recommends, a size for its pods",
                who(scaler)
            ));
        }
    }
    if scalers != 2 {
        faults.push(format!("{scalers} autoscalers"));
    }
    faults
}

pub(crate) fn services(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let all = workloads(objects);
    for service in of_kind(objects, "Service") {
        // `nobody` has no pods on purpose; the edge selects the controller's, which others install.
        if ["nobody", "security-hub-edge"].contains(&name(service)) {
            continue;
        }
        let behind: Vec<_> = all
            .iter()
            .filter(|workload| {
                namespace(workload.object) == namespace(service)
                    && takes(&service["spec"]["selector"], &workload.labels)
            })
            .collect();
        if behind.is_empty() {
            faults.push(format!("{}: has no pods", who(service)));
        }
        for workload in behind {
            for port in list(service, "/spec/ports")
                .iter()
                .filter(|port| !workload.opens(&port["targetPort"]))
            {
                faults.push(format!(
                    "{}: {} does not open {}",
                    who(service),
                    workload.who(),
                    port["targetPort"]
                ));
            }
        }
        if text(service, "/spec/type") == "NodePort"
            || text(service, "/spec/type") == "LoadBalancer"
        {
            faults.push(format!("{}: is open to the outside", who(service)));
        }
    }
    for ingress in of_kind(objects, "Ingress") {
        let hosts = list(ingress, "/spec/tls/0/hosts");
        for rule in list(ingress, "/spec/rules") {
            if !hosts.contains(&rule["host"]) {
                faults.push(format!(
                    "{}: {} has no certificate",
                    who(ingress),
                    rule["host"]
                ));
            }
            for path in list(rule, "/http/paths") {
                let backend = text(path, "/backend/service/name");
                if !of_kind(objects, "Service").any(|service| {
                    name(service) == backend && namespace(service) == namespace(ingress)
                }) {
                    faults.push(format!("{}: no service {backend}", who(ingress)));
                }
            }
        }
        for (key, wanted) in [
            ("waf", "modsecurity"),
            ("waf-mode", "deny"),
            ("ssl-redirect", "true"),
            ("hsts", "true"),
        ] {
            if text(
                ingress,
                &format!("/metadata/annotations/haproxy-ingress.github.io~1{key}"),
            ) != wanted
            {
                faults.push(format!("{}: {key} is not {wanted}", who(ingress)));
            }
        }
        if !list(ingress, "/spec/rules/0/http/paths")
            .iter()
            .any(|path| {
                path["path"] == "/metrics" && text(path, "/backend/service/name") == "nobody"
            })
        {
            faults.push(format!("{}: shows the metrics", who(ingress)));
        }
    }
    faults
}

/// One colour has the traffic, the other is the preview, and the shares say the same.
pub(crate) fn traffic(objects: &[Object]) -> Vec<String> {
    let colour = |service: &str| {
        of_kind(objects, "Service")
            .find(|object| name(object) == service)
            .map_or("", |object| {
                text(object, "/spec/selector/hub.security~1colour")
            })
    };
    let (active, idle) = (colour("security-hub"), colour("security-hub-preview"));
    let mut faults = Vec::new();
    if ![("blue", "green"), ("green", "blue")].contains(&(active, idle)) {
        faults.push(format!("active is `{active}`, preview is `{idle}`"));
    }
    let shares = of_kind(objects, "Ingress").next().map_or("", |ingress| {
        text(
            ingress,
            "/metadata/annotations/haproxy-ingress.github.io~1blue-green-balance",
        )
    });
    let share = |colour: &str| {
        shares
            .split(',')
            .find_map(|part| part.strip_prefix(&format!("hub.security/colour={colour}=")))
            .and_then(|percent| percent.parse::<u8>().ok())
    };
    if (share(active), share(idle)) != (Some(100), Some(0)) {
        faults.push(format!("{active} is in use, the shares are {shares}"));
    }
    if !colour("security-hub-both").is_empty() {
        faults.push("the ingress's service leaves a colour out".to_owned());
    }
    faults
}

pub(crate) fn namespaces(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    for space in of_kind(objects, "Namespace") {
        for mode in ["enforce", "audit", "warn"] {
            if text(
                space,
                &format!("/metadata/labels/pod-security.kubernetes.io~1{mode}"),
            ) != "restricted"
                || text(
                    space,
                    &format!("/metadata/labels/pod-security.kubernetes.io~1{mode}-version"),
                )
                .is_empty()
            {
                faults.push(format!(
                    "{}: pod security does not {mode} `restricted`",
                    name(space)
                ));
            }
        }
        for kind in ["ResourceQuota", "LimitRange"] {
            if !of_kind(objects, kind).any(|object| namespace(object) == name(space)) {
                faults.push(format!("{}: has no {kind}", name(space)));
            }
        }
    }
    for object in objects {
        let place = namespace(object);
        let elsewhere = ["", "cert-manager", "kube-system", "ingress-haproxy"].contains(&place);
        if !elsewhere && !of_kind(objects, "Namespace").any(|space| name(space) == place) {
            faults.push(format!("{}: its namespace is not ours", who(object)));
        }
    }
    faults
}

/// Both colours at their most, one more of each while rolling, and the migration: a deploy must not stop at the quota.
pub(crate) fn quota(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    for space in [
        "security-hub",
        "security-hub-data",
        "security-hub-monitoring",
        "security-hub-deploy",
    ] {
        let Some(quota) = of_kind(objects, "ResourceQuota").find(|quota| namespace(quota) == space)
        else {
            continue;
        };
        for (kind, resource) in [
            ("requests", "cpu"),
            ("requests", "memory"),
            ("limits", "cpu"),
            ("limits", "memory"),
        ] {
            let mut needed = 0;
            for workload in workloads(objects)
                .iter()
                .filter(|workload| namespace(workload.object) == space)
            {
                let most = of_kind(objects, "HorizontalPodAutoscaler")
                    .find(|scaler| {
                        scaler["spec"]["scaleTargetRef"]["name"]
                            == workload.object["metadata"]["name"]
                    })
                    .and_then(|scaler| number(scaler, "/spec/maxReplicas").map(|most| most + 1));
                let pods = most
                    .or_else(|| number(workload.object, "/spec/replicas"))
                    .unwrap_or(1);
                let proxy = workload.has_proxy(objects).then_some(());
                let one: i128 = workload
                    .containers()
                    .filter_map(|container| quantity(&container["resources"][kind][resource]))
                    .chain(proxy.and_then(|()| workload.proxy(kind, resource)))
                    .sum();
                needed += one * i128::from(pods);
            }
            for cluster in of_kind(objects, "Cluster").filter(|cluster| namespace(cluster) == space)
            {
                needed += quantity(&cluster["spec"]["resources"][kind][resource]).unwrap_or(0)
                    * i128::from(number(cluster, "/spec/instances").unwrap_or(0));
            }
            let allowed =
                quantity(&quota["spec"]["hard"][format!("{kind}.{resource}")]).unwrap_or(0);
            if needed > allowed {
                faults.push(format!(
                    "{space}: {kind}.{resource}: {needed} needed, {allowed} allowed (thousandths)"
                ));
            }
        }
    }
    faults
}

/// Each volume is of a class that is there, sealed with a key of ours, and outlives its claim.
pub(crate) fn storage(objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    for class in of_kind(objects, "StorageClass") {
        if text(class, "/reclaimPolicy") != "Retain"
            || text(class, "/parameters/encrypted") != "true"
            || !text(class, "/parameters/kmsKeyId").starts_with("arn:")
        {
            faults.push(format!("{}: goes with its claim, or is open", name(class)));
        }
    }
    let claims = of_kind(objects, "StatefulSet")
        .flat_map(|set| list(set, "/spec/volumeClaimTemplates"))
        .map(|claim| text(claim, "/spec/storageClassName"));
    let databases = of_kind(objects, "Cluster").flat_map(|cluster| {
        [
            "/spec/storage/storageClass",
            "/spec/walStorage/storageClass",
        ]
        .map(|at| text(cluster, at))
    });
    for asked in claims.chain(databases) {
        if !of_kind(objects, "StorageClass").any(|class| name(class) == asked) {
            faults.push(format!("a disk of the class `{asked}`, which is not ours"));
        }
    }
    faults
}
