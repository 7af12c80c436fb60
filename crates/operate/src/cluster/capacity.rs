//! Whether the namespace's quotas have room for the second colour beside the first, before anything is begun: pods that a
//! quota refuses never come, and nobody says so until the deploy has waited for them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::deploy::Check;

/// Sums of decimal fractions are not exact.
const SLACK: f64 = 1e-6;

type Amounts = BTreeMap<String, Quantity>;

/// The gate: `more` pods of the Deployment's template within what every quota leaves.
pub(super) fn check(quotas: &[ResourceQuota], deployment: &Deployment, more: i32) -> Check {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let pod = template.and_then(|template| template.spec.as_ref());
    let (mut short, mut room) = (Vec::new(), Vec::new());
    for quota in quotas.iter().filter(|quota| binds(quota)) {
        let name = quota.metadata.name.as_deref().unwrap_or("a quota");
        for (resource, left) in left(quota) {
            let each = pod.map_or(0.0, |pod| needed(pod, &resource));
            let needed = each * f64::from(more.max(0));
            if needed <= 0.0 {
                continue;
            }
            let said = format!(
                "{name}: {resource} {} left, {} needed",
                told(left),
                told(needed)
            );
            if needed > left + SLACK {
                short.push(said);
            } else {
                room.push(said);
            }
        }
    }
    let holds = short.is_empty();
    let figures = if holds { room } else { short };
    let said = match (holds, figures.is_empty()) {
        (true, true) => format!("no quota limits {more} more pods"),
        (true, false) => format!("room for {more} more pods: {}", figures.join("; ")),
        (false, _) => format!("no room for {more} more pods: {}", figures.join("; ")),
    };
    Check {
        gate: "quota",
        holds,
        said,
    }
}

/// Whether it is for pods that run until they are stopped; others have their own.
fn binds(quota: &ResourceQuota) -> bool {
    let Some(spec) = &quota.spec else {
        return false;
    };
    let scopes = spec.scopes.iter().flatten();
    let ours = |scope: &String| scope == "NotTerminating" || scope == "NotBestEffort";
    spec.scope_selector.is_none() && scopes.into_iter().all(ours)
}

/// What the quota leaves of each resource.
fn left(quota: &ResourceQuota) -> Vec<(String, f64)> {
    let status = quota.status.clone().unwrap_or_default();
    let spec = quota.spec.clone().unwrap_or_default();
    let hard = status.hard.or(spec.hard).unwrap_or_default();
    let used = status.used.unwrap_or_default();
    let left = |(resource, hard): (String, Quantity)| {
        let used = used.get(&resource).and_then(amount).unwrap_or(0.0);
        // A bound that nobody can read lets nothing through.
        let hard = amount(&hard).unwrap_or(0.0);
        (resource, hard - used)
    };
    hard.into_iter().map(left).collect()
}

/// What one pod takes of a quota's resource.
fn needed(pod: &PodSpec, resource: &str) -> f64 {
    if resource == "pods" || resource == "count/pods" {
        return 1.0;
    }
    let of = |container: &Container| {
        if let Some(name) = resource.strip_prefix("limits.") {
            return limit(container, name);
        }
        let name = resource.strip_prefix("requests.").unwrap_or(resource);
        // What asks for nothing and is limited asks for its limit.
        asked(container, name).or_else(|| limit(container, name))
    };
    let sum: f64 = pod.containers.iter().filter_map(of).sum();
    let first = pod.init_containers.iter().flatten().filter_map(of);
    first.fold(sum, f64::max)
}

fn asked(container: &Container, name: &str) -> Option<f64> {
    of(container.resources.as_ref()?.requests.as_ref()?, name)
}

fn limit(container: &Container, name: &str) -> Option<f64> {
    of(container.resources.as_ref()?.limits.as_ref()?, name)
}

fn of(amounts: &Amounts, name: &str) -> Option<f64> {
    amounts.get(name).and_then(amount)
}

/// Kubernetes' quantities: a decimal number with a decimal or binary suffix, or an exponent.
fn amount(quantity: &Quantity) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let text = quantity.0.trim();
    let cut = SUFFIXES
        .iter()
        .find_map(|(suffix, times)| Some((text.strip_suffix(suffix)?, *times)));
    let (digits, times) = cut.unwrap_or((text, 1.0));
    let number: f64 = digits.parse().ok()?;
    number.is_finite().then_some(number * times)
}

/// As people write it: memory in Mi, the rest as it is.
fn told(amount: f64) -> String {
    if amount.abs() >= 1_048_576.0 {
        return format!("{:.0}Mi", amount / 1_048_576.0);
    }
    let text = format!("{amount:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn quota(spec: Value, used: Value) -> ResourceQuota {
        let text = json!({"metadata": {"name": "hub"}, "spec": spec, "status": {"hard": spec["hard"], "used": used}});
        serde_json::from_value(text).unwrap()
    }

    /// Two containers that ask for 0.75 CPU and 640 Mi together; the second one's memory is its limit.
    fn deployment() -> Deployment {
        let containers = json!([
            {"name": "hub", "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "2"}}},
            {"name": "aside", "resources": {"requests": {"cpu": "0.25"}, "limits": {"memory": "128Mi"}}},
        ]);
        let spec = json!({"selector": {}, "template": {"spec": {"containers": containers}}});
        serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()
    }

    #[track_caller]
    fn found(spec: Value, used: Value, more: i32, holds: bool, said: &str) {
        let check = check(&[quota(spec, used)], &deployment(), more);
        assert_eq!(
            (check.gate, check.holds),
            ("quota", holds),
            "{}",
            check.said
        );
        assert!(check.said.contains(said), "{}", check.said);
    }

    #[test]
    fn what_is_left_must_hold_the_second_colour() {
        let hard = |cpu: &str| json!({"hard": {"requests.cpu": cpu, "requests.memory": "4Gi", "pods": "10"}});
        let used = || json!({"requests.cpu": "1500m", "requests.memory": "2Gi", "pods": "4"});
        found(
            hard("3"),
            used(),
            2,
            true,
            "requests.cpu 1.5 left, 1.5 needed",
        );
        found(
            hard("2.9"),
            used(),
            2,
            false,
            "hub: requests.cpu 1.4 left, 1.5 needed",
        );
        found(
            hard("30"),
            used(),
            4,
            false,
            "requests.memory 2048Mi left, 2560Mi needed",
        );
        found(hard("30"), used(), 3, true, "room for 3 more pods");
        // Gone on with: they run already.
        found(hard("1"), used(), 0, true, "no quota limits 0 more pods");
        found(
            json!({"hard": {"count/pods": "4"}}),
            json!({"count/pods": "3"}),
            2,
            false,
            "count/pods 1 left",
        );
        found(
            json!({"hard": {"limits.cpu": "3"}}),
            json!({}),
            2,
            false,
            "limits.cpu 3 left, 4 needed",
        );
        found(
            json!({"hard": {"memory": "1k"}}),
            json!({}),
            1,
            false,
            "needed",
        );
    }

    #[test]
    fn quotas_of_other_pods_do_not_count() {
        let tight = json!({"pods": "0"});
        for scope in ["Terminating", "BestEffort"] {
            found(
                json!({"hard": tight, "scopes": [scope]}),
                json!({}),
                2,
                true,
                "no quota",
            );
        }
        found(
            json!({"hard": tight, "scopes": ["NotTerminating"]}),
            json!({}),
            2,
            false,
            "pods 0 left",
        );
        let check = check(&[], &deployment(), 2);
        assert!(check.holds, "{}", check.said);
    }

    #[test]
    fn quantities_are_as_kubernetes_writes_them() {
        for (text, number) in [
            ("2", Some(2.0)),
            ("1500m", Some(1.5)),
            ("1.5Gi", Some(1_610_612_736.0)),
            ("2e3", Some(2000.0)),
            ("12E", Some(12e18)),
            ("100k", Some(100_000.0)),
            ("", None),
            ("much", None),
        ] {
            assert_eq!(amount(&Quantity(text.to_owned())), number, "{text}");
        }
    }
}
