//! Changes by whoever holds the Lease: each is for an object as it was seen before that was made sure of, and for no later
//! one.

use std::fmt::Debug;
use std::time::Duration;

use hub_base::{Clock as _, SystemClock};
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::config::Kubernetes;
use super::lease::{Hold, holder, micros};
use super::objects::fault;
use crate::error::Error;

/// Object annotation: who changed it last, and when. The API gives an object no new version when a change leaves it as it
/// was; with this none does.
pub(super) const CHANGED: &str = "hub.security/changed";
/// A change that meets somebody else's is tried so often …
const TRIES: u32 = 8;
/// … with this between.
const AGAIN: Duration = Duration::from_millis(100);

/// A cluster, for whoever holds its Lease or only looks.
pub(super) struct Where<'a> {
    pub(super) client: &'a kube::Client,
    pub(super) config: &'a Kubernetes,
    pub(super) hold: Option<&'a Hold>,
}

impl Where<'_> {
    /// Asks the API anew whether the Lease is held.
    pub(super) async fn still_held(&self) -> Result<(), Error> {
        match self.hold {
            Some(hold) => hold.confirm().await,
            None => Ok(()),
        }
    }

    /// Of a change, by whom and when; no two are alike.
    pub(super) fn mark(&self) -> String {
        format!("{} {}", holder(self.config), micros(SystemClock.now()))
    }

    /// Changes an object as it was before it was seen that the Lease is held: whoever stood still in between, and was
    /// replaced meanwhile, is refused where the other one has changed it. The cluster's own controllers change objects
    /// too, so it is tried again, for the object as it is then.
    pub(super) async fn change<K>(
        &self,
        api: &Api<K>,
        kind: &'static str,
        name: &str,
        patch: impl Fn(&K) -> Patch<Value>,
    ) -> Result<(), Error>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let mut tries = 0;
        loop {
            let found = api.get(name).await;
            let found = found.map_err(|error| fault("read", kind, name, error))?;
            self.still_held().await?;
            let version = found.meta().resource_version.as_deref();
            let patch = fenced(patch(&found), version, &self.mark());
            let changed = api.patch(name, &PatchParams::default(), &patch).await;
            tries += 1;
            match changed {
                Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => {
                    sleep(AGAIN).await;
                }
                changed => {
                    return changed
                        .map(drop)
                        .map_err(|error| fault("change", kind, name, error));
                }
            }
        }
    }
}

/// The same patch, for the object at this version only, which the API refuses (409) once somebody has changed the object;
/// and marked.
fn fenced(mut patch: Patch<Value>, version: Option<&str>, mark: &str) -> Patch<Value> {
    if let Patch::Merge(change) | Patch::Strategic(change) = &mut patch {
        let more =
            json!({"metadata": {"resourceVersion": version, "annotations": {CHANGED: mark}}});
        merge(change, more);
    }
    patch
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_the_version_beside_what_it_changes() {
        for (patch, wanted) in [
            (
                Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}})),
                json!({"metadata": {"annotations": {"a": "b", CHANGED: "me"}, "resourceVersion": "7"}}),
            ),
            (
                Patch::Strategic(json!({"spec": {"replicas": 0}})),
                json!({"metadata": {"annotations": {CHANGED: "me"}, "resourceVersion": "7"}, "spec": {"replicas": 0}}),
            ),
        ] {
            let (Patch::Merge(said) | Patch::Strategic(said)) = fenced(patch, Some("7"), "me")
            else {
                panic!("another kind of patch");
            };
            assert_eq!(said, wanted);
        }
    }
}
