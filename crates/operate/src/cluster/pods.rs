//! What a pod says of itself: whether it is to have traffic, where it answers, what ails it.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// A container that was started this often does not come up any more.
const RESTARTS: i32 = 3;

/// One that ended: evicted, or its machine was shut down. It stays to be read, and another one comes in its place.
pub(super) fn is_over(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// One that takes part: it neither ended nor is about to.
pub(super) fn takes_part(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !is_over(pod)
}

/// One that is to have traffic.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let mut containers = containers(pod).peekable();
    takes_part(pod) && containers.peek().is_some() && containers.all(|one| one.ready)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    containers.into_iter().flatten()
}

/// What will not mend itself.
pub(super) fn trouble(pod: &Pod) -> Option<String> {
    if !takes_part(pod) {
        return None;
    }
    let name = name(pod);
    let hopeless = containers(pod).find_map(|container| {
        let reason = waits_for(container);
        let hopeless = matches!(
            reason,
            "ImagePullBackOff"
                | "ErrImagePull"
                | "InvalidImageName"
                | "CreateContainerConfigError"
                | "CreateContainerError"
                | "RunContainerError"
        );
        hopeless.then(|| format!("{name}: {reason}; see `kubectl logs {name}`"))
    });
    hopeless.or_else(|| crashes(pod))
}

/// What the release itself does wrong, whatever its other pods do: it ends again and again.
pub(super) fn crashes(pod: &Pod) -> Option<String> {
    if !takes_part(pod) {
        return None;
    }
    let name = name(pod);
    containers(pod).find_map(|container| {
        let reason = waits_for(container);
        if reason == "CrashLoopBackOff" {
            return Some(format!("{name}: {reason}; see `kubectl logs {name}`"));
        }
        let times = container.restart_count;
        (times >= RESTARTS && !container.ready)
            .then(|| format!("{name} was started {times} times; see `kubectl logs {name}`"))
    })
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or("a pod")
}

fn waits_for(container: &ContainerStatus) -> &str {
    let state = container.state.as_ref();
    let waits = state.and_then(|state| state.waiting.as_ref());
    waits
        .and_then(|waits| waits.reason.as_deref())
        .unwrap_or_default()
}

/// Name and `address:port` of a pod that can be asked.
pub(super) fn address(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() != Some("Running") {
        return None;
    }
    let ip = status.pod_ip.as_ref()?;
    let ports = pod.spec.as_ref()?.containers.first()?.ports.as_ref()?;
    let port = ports
        .iter()
        .find(|port| port.name.as_deref() == Some("http"))
        .or_else(|| ports.first())?
        .container_port;
    let ip = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.clone()
    };
    Some((pod.metadata.name.clone()?, format!("{ip}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(phase: &str, is_ready: bool, restarts: i32, state: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p"},
            "status": {"phase": phase, "containerStatuses": [{
                "name": "hub", "image": "i", "imageID": "", "ready": is_ready,
                "restartCount": restarts, "state": state,
            }]},
        }))
        .unwrap()
    }

    fn waiting(reason: &str) -> serde_json::Value {
        serde_json::json!({"waiting": {"reason": reason}})
    }

    fn running() -> serde_json::Value {
        serde_json::json!({"running": {}})
    }

    #[test]
    fn what_does_not_mend_itself_is_named() {
        let crashing = pod("Running", false, 1, waiting("CrashLoopBackOff"));
        assert!(trouble(&crashing).unwrap().contains("CrashLoopBackOff"));
        assert!(trouble(&pod("Running", false, 0, waiting("ContainerCreating"))).is_none());
        let again = pod("Running", false, 3, running());
        assert!(trouble(&again).unwrap().contains("3 times"));
        assert!(trouble(&pod("Running", true, 3, running())).is_none());
    }

    #[test]
    fn what_a_machine_does_to_a_pod_is_not_the_releases_fault() {
        // Its image cannot be had on one machine: it never starts there, but what runs goes on.
        let pulling = pod("Pending", false, 0, waiting("ErrImagePull"));
        assert!(trouble(&pulling).is_some() && crashes(&pulling).is_none());
        // Evicted, or ended with its machine: another one comes.
        for ends in [
            pod("Failed", false, 5, running()),
            Pod {
                metadata: serde_json::from_value(
                    serde_json::json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
                )
                .unwrap(),
                ..pod("Running", true, 5, waiting("CrashLoopBackOff"))
            },
        ] {
            assert!(!takes_part(&ends) && !is_ready(&ends));
            assert_eq!((trouble(&ends), crashes(&ends)), (None, None));
        }
        assert!(is_ready(&pod("Running", true, 1, running())));
        assert!(!is_ready(&pod("Running", false, 1, running())));
        assert!(!is_ready(&Pod::default()));
    }
}
