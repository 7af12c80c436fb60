//! The target "kubernetes": two Deployments, two Services and the weights of one Ingress, as
//! `infrastructure/kubernetes` lays them out.
//!
//! It patches what is there and makes nothing but the migration's Job, so that the account it runs under needs few
//! rights. Pods are asked directly, at their own addresses: run it where the pods can be reached.

mod capacity;
mod config;
mod fence;
mod job;
mod lease;
mod objects;
mod pods;
mod scrape;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use hub_base::chain;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams, Patch};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::deploy::{Check, Colour, Counts, Readiness, Standing, Target};
use crate::error::Error;
use crate::release::Release;
use crate::smoke;

pub use config::Kubernetes;

use fence::Where;
use lease::Hold;
use objects::{balance, balanced};
use pods::{crashes, trouble};
use scrape::Page;

/// Deployment annotation: the release that runs there.
const RELEASE: &str = "hub.security/release";
/// Ingress annotation of the controller: who gets which share.
const BALANCE: &str = "haproxy-ingress.github.io/blue-green-balance";
const COLOUR: &str = "hub.security/colour";
/// For a request of our own.
const ASK: Duration = Duration::from_secs(2);
/// Beyond the drain, before it is said that pods do not go.
const GRACE: Duration = Duration::from_secs(15);
/// How often an object is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(250);

/// One cluster.
pub struct Cluster {
    config: Kubernetes,
    client: kube::Client,
    http: reqwest::Client,
    /// Each pod's last page.
    pages: BTreeMap<String, Page>,
    /// What each colour answered in all.
    totals: [(u64, u64); 2],
    /// Own requests so far: each goes to the next pod.
    asked: usize,
    hold: Option<Hold>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// # Errors
    /// [`Error::Cluster`] if there is no usable kubeconfig, [`Error::File`].
    pub async fn new(config: Kubernetes) -> Result<Self, Error> {
        fs::create_dir_all(&config.state).map_err(|source| Error::File {
            path: config.state.clone(),
            verb: "made",
            source,
        })?;
        let client = objects::client(&config).await?;
        let mut http = reqwest::Client::builder().no_proxy().timeout(ASK);
        if let Some(path) = &config.metrics_token {
            http = http.default_headers(bearer(path)?);
        }
        let http = http
            .build()
            .map_err(|error| Error::Nonsense(error.to_string()))?;
        Ok(Self {
            config,
            client,
            http,
            pages: BTreeMap::new(),
            totals: [(0, 0); 2],
            asked: 0,
            hold: None,
        })
    }

    /// Whether the release holds what a cluster runs.
    ///
    /// # Errors
    /// [`Error::Release`] if it has no image.
    pub fn fits(&self, release: &Release) -> Result<(), Error> {
        release.image().map(drop)
    }

    /// Takes the cluster's Lease and renews it: nobody else deploys until it is given back, or for as long as it lasts
    /// after this process has ended. Whom it was taken from, if from somebody.
    ///
    /// # Errors
    /// [`Error::Cluster`] names who deploys.
    pub async fn hold(&mut self, take_over: bool) -> Result<Option<String>, Error> {
        let (hold, from) = Hold::take(self.leases(), &self.config, take_over).await?;
        self.hold = Some(hold);
        Ok(from)
    }

    /// # Errors
    /// [`Error::Cluster`].
    pub async fn let_go(&self) -> Result<(), Error> {
        match &self.hold {
            Some(hold) => hold.give_back().await,
            None => Ok(()),
        }
    }

    /// Whoever only looks needs no Lease; whoever took it must still have it.
    async fn held(&self) -> Result<(), Error> {
        match &self.hold {
            Some(hold) => hold.check().await,
            None => Ok(()),
        }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }

    fn place(&self) -> Where<'_> {
        Where {
            client: &self.client,
            config: &self.config,
            hold: self.hold.as_ref(),
        }
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }

    fn deployment_name(&self, colour: Colour) -> String {
        format!("{}-{colour}", self.config.name)
    }

    async fn deployment(&self, colour: Colour) -> Result<Deployment, Error> {
        let name = self.deployment_name(colour);
        let found = self.deployments().get(&name).await;
        found.map_err(|error| objects::fault("read", "Deployment", &name, error))
    }

    async fn patch(
        &self,
        colour: Colour,
        patch: impl Fn(&Deployment) -> serde_json::Value,
    ) -> Result<(), Error> {
        let (name, deployments) = (self.deployment_name(colour), self.deployments());
        let patch = |found: &Deployment| Patch::Strategic(patch(found));
        self.place()
            .change(&deployments, "Deployment", &name, patch)
            .await
    }

    async fn pods(&self, colour: Colour) -> Result<Vec<Pod>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let selector = format!(
            "app.kubernetes.io/name={},{COLOUR}={colour}",
            self.config.name
        );
        let found = pods.list(&ListParams::default().labels(&selector)).await;
        let found = found.map_err(|error| objects::fault("list", "pods", &selector, error))?;
        Ok(found.items)
    }

    /// Where the colour's pods that can be asked answer.
    async fn addresses(&self, colour: Colour) -> Result<Vec<(String, String)>, Error> {
        let pods = self.pods(colour).await?;
        Ok(pods.iter().filter_map(pods::address).collect())
    }

    /// Turns a Service to a colour.
    async fn turn(&self, service: &str, colour: Colour) -> Result<(), Error> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let patch = json!({"spec": {"selector": {COLOUR: colour.name()}}});
        self.place()
            .change(&services, "Service", service, |_| {
                Patch::Merge(patch.clone())
            })
            .await
    }

    fn ingresses(&self) -> Api<Ingress> {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }

    /// As many pods as the other colour has, and no fewer than it has itself: its autoscaler may have found that it needs
    /// more.
    async fn wanted(&self, colour: Colour) -> Result<i32, Error> {
        let own = objects::replicas(&self.deployment(colour).await?);
        let other = objects::replicas(&self.deployment(colour.other()).await?);
        let wanted = if other > 0 {
            other
        } else {
            self.config.replicas
        };
        Ok(wanted.max(own))
    }

    async fn page(&self, address: &str) -> Result<Page, reqwest::Error> {
        let answer = self.http.get(format!("http://{address}/metrics")).send();
        let answer = answer.await?.error_for_status()?;
        Ok(Page::parse(&answer.text().await?))
    }

    async fn counted(&mut self, colour: Colour) -> Result<Counts, Error> {
        let mut latencies = Vec::new();
        let mut in_progress = Some(0);
        let at = colour.place();
        let (mut told, mut why) = (0, None);
        for (pod, address) in self.addresses(colour).await? {
            let page = match self.page(&address).await {
                Ok(page) if page.tells => page,
                Ok(_) => {
                    why = Some("its page has no hub_requests_total".to_owned());
                    continue;
                }
                Err(error) => {
                    why = Some(chain(&error));
                    continue;
                }
            };
            told += 1;
            in_progress = in_progress
                .zip(page.in_progress)
                .map(|(all, one): (u64, u64)| all.saturating_add(one));
            // What it answered before it was first looked at was not answered while anybody watched.
            if let Some(before) = self.pages.get(&pod) {
                let since = page.since(before);
                latencies.extend(since.latencies());
                if let Some((requests, errors)) = self.totals.get_mut(at) {
                    *requests = requests.saturating_add(since.requests);
                    *errors = errors.saturating_add(since.errors);
                }
            }
            self.pages.insert(pod, page);
        }
        let untold = why.filter(|_| told == 0);
        let (requests, errors) = self.totals.get(at).copied().unwrap_or_default();
        Ok(Counts {
            requests,
            errors,
            latencies,
            in_progress,
            passed: 0,
            untold: untold.map(|why| format!("no pod of {colour} tells its figures: {why}")),
        })
    }
}

impl Target for Cluster {
    async fn standing(&mut self) -> Result<[Standing; 2], Error> {
        let ingress = self.ingresses().get(&self.config.name).await;
        let ingress =
            ingress.map_err(|error| objects::fault("read", "Ingress", &self.config.name, error))?;
        let text = ingress.metadata.annotations.unwrap_or_default();
        let blue = balanced(text.get(BALANCE).map_or("", String::as_str));
        let mut both = Vec::new();
        for (colour, share) in [(Colour::Blue, blue), (Colour::Green, 100 - blue)] {
            let deployment = self.deployment(colour).await?;
            let runs = objects::replicas(&deployment) > 0;
            // One that is being added or replaced takes nothing from those that serve.
            let is_up = runs && objects::ready(&deployment) > 0;
            let annotations = deployment.metadata.annotations.unwrap_or_default();
            let release = annotations.get(RELEASE).cloned();
            both.push(Standing {
                colour,
                release: release.filter(|_| runs),
                share: if is_up { share } else { 0 },
                is_up,
            });
        }
        <[Standing; 2]>::try_from(both).map_err(|_| Error::Nonsense("two colours".to_owned()))
    }

    async fn capacity(&mut self, colour: Colour) -> Result<Option<Check>, Error> {
        let deployment = self.deployment(colour).await?;
        let more = self.wanted(colour).await? - objects::replicas(&deployment);
        let quotas: Api<ResourceQuota> =
            Api::namespaced(self.client.clone(), &self.config.namespace);
        let found = quotas.list(&ListParams::default()).await;
        let found = found.map_err(|error| {
            objects::fault("list", "resourcequotas of", &self.config.namespace, error)
        })?;
        Ok(Some(capacity::check(&found.items, &deployment, more)))
    }

    async fn migrate(&mut self, release: &Release) -> Result<String, Error> {
        self.held().await?;
        Box::pin(job::migrate(&self.place(), release.image()?)).await?;
        Ok("the database is at the release's schema".to_owned())
    }

    async fn start(&mut self, colour: Colour, release: &Release) -> Result<(), Error> {
        self.held().await?;
        let replicas = self.wanted(colour).await?;
        let (image, dir) = (release.image()?, release.dir.display().to_string());
        let container = json!({"name": self.config.name, "image": image});
        let patch = |found: &Deployment| {
            let replicas = replicas.max(objects::replicas(found));
            json!({
                "metadata": {"annotations": {RELEASE: dir}},
                "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
            })
        };
        self.patch(colour, patch).await
    }

    async fn readiness(&mut self, colour: Colour) -> Result<Readiness, Error> {
        self.held().await?;
        let deployment = self.deployment(colour).await?;
        if objects::replicas(&deployment) == 0 {
            return Ok(Readiness::Gone("its Deployment has no pods".to_owned()));
        }
        let Err(waits) = objects::rolled_out(&deployment) else {
            return Ok(Readiness::Ready);
        };
        let pods = self.pods(colour).await?;
        Ok(match pods.iter().find_map(trouble) {
            Some(why) => Readiness::Gone(why),
            None => Readiness::NotYet(waits),
        })
    }

    async fn probe(&mut self, colour: Colour) -> Result<Readiness, Error> {
        let pods = self.pods(colour).await?;
        if let Some(why) = pods.iter().find_map(crashes) {
            return Ok(Readiness::Gone(why));
        }
        let ready = pods.iter().filter(|pod| pods::is_ready(pod));
        let ready: Vec<(String, String)> = ready.filter_map(pods::address).collect();
        self.asked = self.asked.wrapping_add(1);
        let turn = self.asked.checked_rem(ready.len());
        let Some((pod, address)) = turn.and_then(|turn| ready.get(turn)) else {
            // Nobody serves: what ails them is told, or what is waited for.
            return self.readiness(colour).await.map(|found| match found {
                Readiness::Ready => Readiness::NotYet("no pod can be asked".to_owned()),
                found => found,
            });
        };
        let base = format!("http://{address}");
        Ok(match smoke::get(&self.http, &base, "/health/ready").await {
            Ok((200, _)) => Readiness::Ready,
            Ok((status, _)) => Readiness::NotYet(format!("{pod}: /health/ready answered {status}")),
            Err(why) => Readiness::NotYet(format!("{pod}: {why}")),
        })
    }

    async fn serves(&mut self, colour: Colour) -> Result<bool, Error> {
        let deployment = self.deployment(colour).await?;
        Ok(objects::replicas(&deployment) > 0 && objects::ready(&deployment) > 0)
    }

    async fn strengthen(&mut self, colour: Colour) -> Result<(), Error> {
        self.held().await?;
        let replicas = self.wanted(colour).await?;
        // Its autoscaler may have found meanwhile that it needs more.
        let patch = |found: &Deployment| json!({"spec": {"replicas": replicas.max(objects::replicas(found))}});
        self.patch(colour, patch).await
    }

    async fn smoke(&mut self, colour: Colour) -> Result<(), String> {
        let pods = self.addresses(colour).await;
        let pods = pods.map_err(|error| error.to_string())?;
        if pods.is_empty() {
            return Err(format!("{colour} has no pod that can be asked"));
        }
        for (pod, address) in pods {
            let asked = smoke::ask_all(&self.http, &format!("http://{address}")).await;
            asked.map_err(|why| format!("{pod}: {why}"))?;
        }
        Ok(())
    }

    async fn share(&mut self, colour: Colour, percent: u8) -> Result<(), Error> {
        self.held().await?;
        let name = self.config.name.clone();
        if percent == 100 {
            // Callers inside the cluster: all at once, for a Service knows no shares.
            self.turn(&name, colour).await?;
            self.turn(&format!("{name}-preview"), colour.other())
                .await?;
        } else if percent == 0 {
            self.turn(&format!("{name}-preview"), colour).await?;
        }
        let patch = json!({"metadata": {"annotations": {BALANCE: balance(colour, percent)}}});
        self.place()
            .change(&self.ingresses(), "Ingress", &name, |_| {
                Patch::Merge(patch.clone())
            })
            .await
    }

    async fn counts(&mut self) -> Result<[Counts; 2], Error> {
        self.held().await?;
        let blue = self.counted(Colour::Blue).await?;
        let green = self.counted(Colour::Green).await?;
        Ok([blue, green])
    }

    async fn stop(&mut self, colour: Colour, drain: Duration) -> Result<(), Error> {
        self.held().await?;
        self.patch(colour, |_| json!({"spec": {"replicas": 0}}))
            .await?;
        // Each pod drains by itself when it is told to end.
        let limit = drain + GRACE;
        let deadline = Instant::now() + limit;
        while !self.pods(colour).await?.iter().all(pods::is_over) {
            if Instant::now() >= deadline {
                return Err(Error::Late {
                    what: format!("the end of {colour}'s pods"),
                    limit,
                });
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

fn bearer(path: &std::path::Path) -> Result<reqwest::header::HeaderMap, Error> {
    let token = fs::read_to_string(path).map_err(|source| Error::File {
        path: path.to_owned(),
        verb: "read",
        source,
    })?;
    let mut value = reqwest::header::HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| Error::Configuration {
            path: path.to_owned(),
            what: "it holds no token".to_owned(),
        })?;
    value.set_sensitive(true);
    Ok([(reqwest::header::AUTHORIZATION, value)]
        .into_iter()
        .collect())
}
