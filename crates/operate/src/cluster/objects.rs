//! Reading Kubernetes' objects: who has which share, whether a rollout is through.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::COLOUR;
use super::config::Kubernetes;
use crate::deploy::Colour;
use crate::error::Error;

/// For an answer, or its next part.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

pub(super) async fn client(config: &Kubernetes) -> Result<kube::Client, Error> {
    let fault = |what: String| Error::Cluster { what };
    let options = KubeConfigOptions {
        context: config.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut read = match &config.kubeconfig {
        Some(path) => {
            let text = Kubeconfig::read_from(path)
                .map_err(|error| fault(format!("{}: {error}", path.display())))?;
            kube::Config::from_custom_kubeconfig(text, &options)
                .await
                .map_err(|error| fault(error.to_string()))?
        }
        None if config.context.is_some() => kube::Config::from_kubeconfig(&options)
            .await
            .map_err(|error| fault(error.to_string()))?,
        None => kube::Config::infer()
            .await
            .map_err(|error| fault(error.to_string()))?,
    };
    // A server that takes a question and never answers must not hold up the way back. Nothing here is read for longer.
    read.read_timeout = Some(ANSWER);
    // From the question on: a connection that nobody used for a while is not late.
    read.reset_reader_on_write = true;
    kube::Client::try_from(read).map_err(|error| fault(error.to_string()))
}

pub(super) fn fault(verb: &str, kind: &str, name: &str, error: kube::Error) -> Error {
    let what = match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!(
                "this account may not {verb} {kind} {name}: {}",
                status.message
            )
        }
        kube::Error::Api(status) if status.code == 404 => {
            format!("{kind} {name} is not there: apply infrastructure/kubernetes first")
        }
        error => format!("could not {verb} {kind} {name}: {error}"),
    };
    Error::Cluster { what }
}

pub(super) fn replicas(deployment: &Deployment) -> i32 {
    let spec = deployment.spec.as_ref();
    // A Deployment that says nothing has one.
    spec.map_or(0, |spec| spec.replicas.unwrap_or(1))
}

/// Pods that are to have traffic, as the cluster sees it.
pub(super) fn ready(deployment: &Deployment) -> i32 {
    let status = deployment.status.as_ref();
    status.and_then(|status| status.ready_replicas).unwrap_or(0)
}

/// As `kubectl rollout status` tells it; what it still waits for otherwise.
pub(super) fn rolled_out(deployment: &Deployment) -> Result<(), String> {
    let wanted = replicas(deployment);
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation < deployment.metadata.generation {
        return Err("the cluster has not seen the change yet".to_owned());
    }
    let updated = status.updated_replicas.unwrap_or(0);
    let ready = status.ready_replicas.unwrap_or(0);
    let all = status.replicas.unwrap_or(0);
    if updated < wanted || ready < wanted || all > updated {
        return Err(format!(
            "{updated} of {wanted} pods are of this release, {ready} are ready"
        ));
    }
    Ok(())
}

/// The controller's annotation for shares.
pub(super) fn balance(colour: Colour, percent: u8) -> String {
    let blue = match colour {
        Colour::Blue => percent,
        Colour::Green => 100 - percent,
    };
    format!("{COLOUR}=blue={blue},{COLOUR}=green={}", 100 - blue)
}

/// Blue's share, from the annotation.
pub(super) fn balanced(annotation: &str) -> u8 {
    let weight = |colour: &str| {
        annotation.split(',').find_map(|part| {
            let weight = part.trim().strip_prefix(&format!("{COLOUR}={colour}="))?;
            weight.parse::<u32>().ok()
        })
    };
    let (blue, green) = (weight("blue").unwrap_or(0), weight("green").unwrap_or(0));
    if blue + green == 0 {
        return 100;
    }
    u8::try_from(100 * blue / (blue + green)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_they_are_written() {
        for percent in [0, 5, 25, 50, 100] {
            assert_eq!(balanced(&balance(Colour::Blue, percent)), percent);
            assert_eq!(balanced(&balance(Colour::Green, percent)), 100 - percent);
        }
        assert_eq!(balanced(""), 100);
    }

    #[test]
    fn a_rollout_is_through_when_all_pods_are_new_and_ready() {
        let deployment = |status: serde_json::Value| -> Deployment {
            serde_json::from_value(serde_json::json!({
                "metadata": {"generation": 2},
                "spec": {"replicas": 2, "selector": {}, "template": {}},
                "status": status,
            }))
            .unwrap()
        };
        let done = serde_json::json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2});
        assert_eq!(rolled_out(&deployment(done.clone())), Ok(()));
        for (field, value) in [
            ("observedGeneration", 1),
            ("updatedReplicas", 1),
            ("readyReplicas", 1),
            ("replicas", 3),
        ] {
            let mut status = done.clone();
            status[field] = value.into();
            assert!(rolled_out(&deployment(status)).is_err(), "{field}");
        }
    }
}
