//! The migration's Job. There is one at a time, by its name; each is told from the next by its uid.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions, PropagationPolicy};
use tokio::time::{Instant, sleep};

use super::LOOK;
use super::fence::Where;
use super::objects::fault;
use crate::error::Error;

/// For migrations; the Job has its own, shorter limit.
const MIGRATE: Duration = Duration::from_mins(30);
/// For the last deploy's Job to go.
const GONE: Duration = Duration::from_mins(1);

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
    clear(place, &jobs, &name).await?;
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
    // The last one may have taken its time to go.
    place.still_held().await?;
    let made = jobs.create(&PostParams::default(), &job).await;
    let made = made.map_err(|error| fault("create", "Job", &name, error))?;
    finished(place, &jobs, &made).await
}

/// A Job's template cannot be changed: that of the last deploy goes first.
async fn clear(place: &Where<'_>, jobs: &Api<Job>, name: &str) -> Result<(), Error> {
    let deadline = Instant::now() + GONE;
    loop {
        let found = jobs.get_opt(name).await;
        let Some(job) = found.map_err(|error| fault("read", "Job", name, error))? else {
            return Ok(());
        };
        if job.metadata.deletion_timestamp.is_none() {
            delete(place, jobs, name, job).await?;
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

/// This one, and not one that somebody else has begun since.
async fn delete(place: &Where<'_>, jobs: &Api<Job>, name: &str, job: Job) -> Result<(), Error> {
    place.still_held().await?;
    let delete = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: job.metadata.uid,
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match jobs.delete(name, &delete).await {
        Ok(_) => Ok(()),
        // Gone, or another: it is looked at again.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(fault("delete", "Job", name, error)),
    }
}

async fn finished(place: &Where<'_>, jobs: &Api<Job>, made: &Job) -> Result<(), Error> {
    let name = made.metadata.name.as_deref().unwrap_or_default();
    let deadline = Instant::now() + MIGRATE;
    loop {
        let job = jobs.get(name).await;
        let job = job.map_err(|error| fault("read", "Job", name, error))?;
        if job.metadata.uid != made.metadata.uid {
            place.still_held().await?;
            return Err(Error::Cluster {
                what: format!("somebody put another Job {name} in place of the migration's"),
            });
        }
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
