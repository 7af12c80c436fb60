//! One deploy at a time in a cluster, from wherever it is run: the Lease `NAME-deploy`.
//!
//! The holder is a place, not a process: whoever was killed is the same holder when it comes again.

use hub_base::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::config::Kubernetes;
use super::objects::fault;
use crate::error::Error;

/// A deploy that lasts longer has most likely been forgotten.
const SECONDS: i32 = 3600;

/// Who deploys: this machine, with this journal.
pub(super) fn holder(config: &Kubernetes) -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{}:{}", host.to_string_lossy(), config.state.display())
}

/// Takes it, or keeps it.
pub(super) async fn take(
    leases: &Api<Lease>,
    config: &Kubernetes,
    now: Timestamp,
) -> Result<(), Error> {
    let name = format!("{}-deploy", config.name);
    let found = leases.get(&name).await;
    let found = found.map_err(|error| fault("read", "Lease", &name, error))?;
    let me = holder(config);
    if let Some(other) = other(&found, &me, now) {
        return Err(Error::Cluster {
            what: format!(
                "{other} deploys here right now; its Lease {name} ends by itself after an hour"
            ),
        });
    }
    let taken = json!({
        // Whoever else takes it at this moment has changed it: one of the two is refused.
        "metadata": {"resourceVersion": found.metadata.resource_version},
        "spec": {
            "holderIdentity": me, "leaseDurationSeconds": SECONDS,
            "acquireTime": micros(now), "renewTime": micros(now),
        },
    });
    put(leases, &name, &taken).await
}

/// Gives it back.
pub(super) async fn give_back(leases: &Api<Lease>, config: &Kubernetes) -> Result<(), Error> {
    let name = format!("{}-deploy", config.name);
    put(leases, &name, &json!({"spec": {"holderIdentity": null}})).await
}

async fn put(leases: &Api<Lease>, name: &str, patch: &Value) -> Result<(), Error> {
    let patched = leases
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    patched
        .map(drop)
        .map_err(|error| fault("take", "Lease", name, error))
}

/// Somebody else who holds it.
fn other(lease: &Lease, me: &str, now: Timestamp) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let held = spec
        .holder_identity
        .as_ref()
        .filter(|held| !held.is_empty() && *held != me)?;
    let renewed = serde_json::to_value(spec.renew_time.as_ref()?).ok()?;
    let renewed: Timestamp = renewed.as_str()?.parse().ok()?;
    let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or(SECONDS)).unwrap_or(0);
    (now.since(renewed).as_secs() < lasts).then(|| held.clone())
}

/// RFC 3339 with microseconds, as Kubernetes' `MicroTime` wants it.
fn micros(at: Timestamp) -> String {
    let (seconds, rest) = (at.unix_millis() / 1000, at.unix_millis() % 1000);
    let whole = Timestamp::from_unix_seconds(seconds).to_string();
    format!("{}.{rest:03}000Z", whole.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_by_somebody_else_until_it_ends() {
        let lease = |held: &str, renewed: &str| -> Lease {
            serde_json::from_value(json!({"spec": {
                "holderIdentity": held, "renewTime": renewed, "leaseDurationSeconds": 3600,
            }}))
            .unwrap()
        };
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let fresh = micros("2026-11-23T11:30:00.25Z".parse().unwrap());
        assert_eq!(fresh, "2026-11-23T11:30:00.250000Z");
        assert_eq!(
            other(&lease("ci:/a", &fresh), "me:/a", now),
            Some("ci:/a".to_owned())
        );
        assert_eq!(other(&lease("me:/a", &fresh), "me:/a", now), None);
        assert_eq!(other(&lease("", &fresh), "me:/a", now), None);
        assert_eq!(
            other(&lease("ci:/a", "2026-11-23T10:00:00.000000Z"), "me:/a", now),
            None
        );
        assert_eq!(other(&Lease::default(), "me:/a", now), None);
    }
}
