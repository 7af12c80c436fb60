//! The optional mesh: who has a proxy, how large it is, and that nothing comes past it.

use serde_json::json;

use crate::objects::{Object, namespace, of_kind, text, workloads};

/// Nothing where there is no mesh.
pub(crate) fn strict(objects: &[Object]) -> Vec<String> {
    let all = workloads(objects);
    let meshed: Vec<_> = all
        .iter()
        .filter(|workload| workload.has_proxy(objects))
        .collect();
    if meshed.is_empty() && of_kind(objects, "AuthorizationPolicy").next().is_none() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let of_all = of_kind(objects, "PeerAuthentication").any(|one| {
        namespace(one) == "security-hub" && one["spec"] == json!({"mtls": {"mode": "STRICT"}})
    });
    let asked = of_kind(objects, "DestinationRule").any(|one| {
        text(one, "/spec/host") == "*.security-hub.svc.cluster.local"
            && text(one, "/spec/trafficPolicy/tls/mode") == "ISTIO_MUTUAL"
    });
    if !of_all || !asked {
        faults.push("the hub may be asked without mutual TLS".to_owned());
    }
    for workload in &all {
        let ours = ["security-hub", "prometheus", "security-hub-deploy"];
        let wanted = ours.contains(&text(&workload.labels, "/app.kubernetes.io~1name"));
        if wanted != workload.has_proxy(objects) {
            faults.push(format!("{}: has a proxy, or has none", workload.who()));
        }
    }
    for workload in meshed {
        for (kind, resource) in [
            ("requests", "cpu"),
            ("requests", "memory"),
            ("limits", "cpu"),
            ("limits", "memory"),
        ] {
            if workload.proxy(kind, resource).is_none() {
                faults.push(format!(
                    "{}: its proxy's {kind}.{resource} are the mesh's own, which no quota counts",
                    workload.who()
                ));
            }
        }
    }
    // Where the proxy beside a server hands on from.
    let trusted = of_kind(objects, "ConfigMap")
        .filter(|map| map["metadata"]["name"] == "security-hub")
        .flat_map(|map| text(map, "/data/HUB_TRUSTED_PROXIES").split(','))
        .any(|network| network == "127.0.0.6/32");
    if !trusted {
        faults.push("everybody comes from the address of the server's own proxy".to_owned());
    }
    faults
}
