//! A change that is for an object as it was seen, and for no later one.

use kube::api::Patch;
use serde_json::{Value, json};

/// The same patch, for the object at this version only: the API refuses it (409) once somebody has changed the object.
pub(super) fn fenced(patch: &Patch<Value>, version: Option<&str>) -> Patch<Value> {
    let mut patch = patch.clone();
    if let Patch::Merge(change) | Patch::Strategic(change) = &mut patch
        && let (Some(change), Some(version)) = (change.as_object_mut(), version)
    {
        let metadata = change.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_the_version_beside_what_it_changes() {
        for (patch, wanted) in [
            (
                Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}})),
                json!({"metadata": {"annotations": {"a": "b"}, "resourceVersion": "7"}}),
            ),
            (
                Patch::Strategic(json!({"spec": {"replicas": 0}})),
                json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 0}}),
            ),
        ] {
            let (Patch::Merge(said) | Patch::Strategic(said)) = fenced(&patch, Some("7")) else {
                panic!("another kind of patch");
            };
            assert_eq!(said, wanted);
        }
    }
}
