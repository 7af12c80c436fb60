//! `[kubernetes]` of `deploy.toml`: which cluster, and what the objects are called.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_base::HumanDuration;
use serde::Deserialize;

/// A cluster with the objects of `infrastructure/kubernetes`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// The kubeconfig's context; without it the current one, or the pod's own account inside a cluster.
    pub context: Option<String>,
    pub kubeconfig: Option<PathBuf>,
    #[serde(default = "name")]
    pub namespace: String,
    /// Deployments are called `NAME-blue` and `NAME-green`; Services `NAME` and `NAME-preview`; the Ingress `NAME`; the
    /// CronJob with the migration `NAME-migrate`; the Lease of whoever deploys `NAME-deploy`.
    #[serde(default = "name")]
    pub name: String,
    /// Pods of a first deploy; later as many as the other colour has.
    #[serde(default = "replicas")]
    pub replicas: i32,
    /// How long the Lease lasts after its holder's last sign of life: then somebody else may deploy or roll back.
    #[serde(default = "lease")]
    pub lease: HumanDuration,
    /// File with an API key that may read metrics.
    pub metrics_token: Option<PathBuf>,
    /// Journal. The next `hubctl` must find it: keep it where deploys are run from.
    pub state: PathBuf,
}

fn name() -> String {
    "security-hub".to_owned()
}

const fn replicas() -> i32 {
    3
}

const fn lease() -> HumanDuration {
    HumanDuration(Duration::from_mins(1))
}

impl Kubernetes {
    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let lease = Duration::from_secs(4)..=Duration::from_mins(10);
        (!lease.contains(&self.lease.0)).then_some("kubernetes.lease: must be from 4s to 10m")
    }

    /// Paths are relative to the file they stand in.
    pub(crate) fn rebase(&mut self, base: &Path) {
        self.state = base.join(&self.state);
        self.kubeconfig = self.kubeconfig.take().map(|path| base.join(path));
        self.metrics_token = self.metrics_token.take().map(|path| base.join(path));
    }
}
