//! Reading Kubernetes' objects: whether a rollout is through, the migration's Job.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, PropagationPolicy};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::time::{Instant, sleep};

use super::config::Kubernetes;
use super::{COLOUR, LOOK};
use crate::deploy::Colour;
use crate::error::Error;

/// For the next part of an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// For migrations; the Job has its own, shorter limit.
const MIGRATE: Duration = Duration::from_mins(30);
/// For the last deploy's Job to go.
const GONE: Duration = Duration::from_mins(1);

pub(super) struct Where<'a> {
    pub(super) client: &'a kube::Client,
    pub(super) config: &'a Kubernetes,
}

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

/// Runs the CronJob's template once, with the release's image, and waits for its end.
pub(super) async fn migrate(place: &Where<'_>, image: &str) -> Result<(), Error> {
    let name = format!("{}-migrate", place.config.name);
    let namespace = &place.config.namespace;
    let templates: Api<CronJob> = Api::namespaced(place.client.clone(), namespace);
    let jobs: Api<Job> = Api::namespaced(place.client.clone(), namespace);
    let template = templates
        .get(&name)
        .await
        .map_err(|error| fault("read", "CronJob", &name, error))?
        .spec
        .map(|spec| spec.job_template)
        .unwrap_or_default();
    clear(&jobs, &name).await?;
    let mut spec = template.spec.unwrap_or_default();
    for container in spec
        .template
        .spec
        .iter_mut()
        .flat_map(|pod| &mut pod.containers)
    {
        container.image = Some(image.to_owned());
    }
    let labels = template.metadata.and_then(|meta| meta.labels);
    let job = Job {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels,
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    };
    jobs.create(&PostParams::default(), &job)
        .await
        .map_err(|error| fault("create", "Job", &name, error))?;
    finished(&jobs, &name).await
}

/// A Job's template cannot be changed: that of the last deploy goes first.
async fn clear(jobs: &Api<Job>, name: &str) -> Result<(), Error> {
    let delete = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    match jobs.delete(name, &delete).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(fault("delete", "Job", name, error)),
    }
    let deadline = Instant::now() + GONE;
    loop {
        let found = jobs.get_opt(name).await;
        if found
            .map_err(|error| fault("read", "Job", name, error))?
            .is_none()
        {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Late {
                what: format!("the end of the last Job {name}"),
                limit: GONE,
            });
        }
        sleep(LOOK).await;
    }
}

async fn finished(jobs: &Api<Job>, name: &str) -> Result<(), Error> {
    let deadline = Instant::now() + MIGRATE;
    loop {
        let job = jobs.get(name).await;
        let job = job.map_err(|error| fault("read", "Job", name, error))?;
        let status = job.status.unwrap_or_default();
        if status.succeeded.unwrap_or(0) > 0 {
            return Ok(());
        }
        let failed = status.conditions.iter().flatten();
        let mut failed = failed.filter(|state| state.type_ == "Failed" && state.status == "True");
        if let Some(state) = failed.next() {
            let why = state.reason.as_deref().unwrap_or("Failed");
            return Err(Error::Cluster {
                what: format!("the migration failed ({why}); see `kubectl logs job/{name}`"),
            });
        }
        if Instant::now() >= deadline {
            return Err(Error::Late {
                what: format!("Job {name}"),
                limit: MIGRATE,
            });
        }
        sleep(LOOK).await;
    }
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
