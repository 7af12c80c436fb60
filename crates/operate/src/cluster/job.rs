//! The migration's Job. There is one at a time, by its name; each is told from the next by its uid.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions, PropagationPolicy};
use tokio::time::{Instant, sleep, timeout};

use super::LOOK;
use super::fence::{CHANGED, Where};
use super::objects::{ANSWER, fault};
use crate::error::Error;

/// For migrations; the Job has its own, shorter limit.
const MIGRATE: Duration = Duration::from_mins(30);
/// For the last deploy's Job to go.
const GONE: Duration = Duration::from_mins(1);
/// An API that is away for no longer is waited for while the Job runs.
const SILENT: Duration = Duration::from_mins(1);

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
            annotations: Some([(CHANGED.to_owned(), place.mark())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    };
    let made = create(place, &jobs, &name, &job).await?;
    finished(place, &jobs, &name, &made).await
}

/// Whoever was replaced while the last one went creates none.
async fn create(place: &Where<'_>, jobs: &Api<Job>, name: &str, job: &Job) -> Result<Job, Error> {
    place.still_held().await?;
    // The client asks again by itself where an API is busy: not until somebody else deploys.
    let params = PostParams::default();
    match timeout(ANSWER, jobs.create(&params, job)).await {
        Ok(Ok(made)) => Ok(made),
        // Ours, if an answer was lost on the way.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            place.still_held().await?;
            let found = jobs.get_opt(name).await;
            let found = found.map_err(|error| fault("read", "Job", name, error))?;
            found
                .filter(|found| mark_of(found) == mark_of(job))
                .ok_or_else(|| replaced(name))
        }
        Ok(Err(error)) => Err(fault("create", "Job", name, error)),
        Err(_) => Err(Error::Cluster {
            what: format!(
                "the API did not say within {} s whether it made the Job {name}",
                ANSWER.as_secs()
            ),
        }),
    }
}

fn mark_of(job: &Job) -> Option<&String> {
    job.metadata.annotations.as_ref()?.get(CHANGED)
}

fn replaced(name: &str) -> Error {
    Error::Cluster {
        what: format!("somebody has removed or replaced the Job {name} in the middle of it"),
    }
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

async fn finished(place: &Where<'_>, jobs: &Api<Job>, name: &str, made: &Job) -> Result<(), Error> {
    let deadline = Instant::now() + MIGRATE;
    let mut heard = Instant::now();
    loop {
        match jobs.get_opt(name).await {
            Ok(Some(job)) if job.metadata.uid == made.metadata.uid => {
                heard = Instant::now();
                if has_ended(name, job)? {
                    return Ok(());
                }
            }
            Ok(_) => {
                place.still_held().await?;
                return Err(replaced(name));
            }
            // It goes on meanwhile.
            Err(error) if !is_refusal(&error) && heard.elapsed() < SILENT => {}
            Err(error) => return Err(fault("read", "Job", name, error)),
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

const fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code < 500)
}

fn has_ended(name: &str, job: Job) -> Result<bool, Error> {
    let status = job.status.unwrap_or_default();
    if status.succeeded.unwrap_or(0) > 0 {
        return Ok(true);
    }
    let failed = status.conditions.iter().flatten();
    let mut failed = failed.filter(|state| state.type_ == "Failed" && state.status == "True");
    match failed.next() {
        None => Ok(false),
        Some(state) => {
            let why = state.reason.as_deref().unwrap_or("Failed");
            Err(Error::Cluster {
                what: format!("the migration failed ({why}); see `kubectl logs job/{name}`"),
            })
        }
    }
}
