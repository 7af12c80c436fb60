//! One deploy at a time in a cluster, from wherever it is run: the Lease `NAME-deploy`, renewed while somebody works.
//!
//! The holder is a place, not a process: whoever was killed is the same holder when it comes again. INVARIANT: whoever
//! has not renewed it for as long as it lasts changes nothing before it is certain that it is still theirs.

use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock as _, SystemClock, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::config::Kubernetes;
use super::objects::fault;
use crate::error::Error;

/// For one request at least; a quarter of a Lease that lasts longer, so that a silent API does not keep the next renewal
/// from being tried.
const ASK: Duration = Duration::from_secs(5);
/// A question that gets no answer is asked so often …
const TRIES: u32 = 3;
/// … with this between.
const AGAIN: Duration = Duration::from_millis(100);

/// Who deploys: this machine, with this journal.
pub(super) fn holder(config: &Kubernetes) -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{}:{}", host.to_string_lossy(), config.state.display())
}

/// The Lease, held and renewed until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    held: Arc<Held>,
    renewal: JoinHandle<()>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Hold {
    /// Takes it, or keeps it; `take_over` takes it from whoever has it. Whom it was taken from, if from somebody.
    pub(super) async fn take(
        leases: Api<Lease>,
        config: &Kubernetes,
        take_over: bool,
    ) -> Result<(Self, Option<String>), Error> {
        let held = Held {
            leases,
            name: format!("{}-deploy", config.name),
            me: holder(config),
            lasts: config.lease.0,
            state: Mutex::new(State {
                renewed: Instant::now(),
                lost: None,
            }),
        };
        let from = held.take(take_over).await?;
        held.state.lock().await.renewed = Instant::now();
        let held = Arc::new(held);
        let renewal = tokio::spawn(Arc::clone(&held).keep());
        Ok((Self { held, renewal }, from))
    }

    /// Whether it is still held as far as is known here; to be asked before anything is begun.
    pub(super) async fn check(&self) -> Result<(), Error> {
        let state = self.held.state.lock().await;
        if state.lost.is_none() && self.held.is_fresh(&state) {
            return Ok(());
        }
        drop(state);
        // This process stood still, or the API does not answer.
        self.confirm().await
    }

    /// The same, asked anew: it can be taken from whoever works. To be asked before each change.
    pub(super) async fn confirm(&self) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            let done = self.held.confirm().await;
            tries += 1;
            match done {
                // One answer that does not come takes no good release back.
                Err(error) if !matches!(error, Error::TakenOver(_)) && tries < TRIES => {
                    sleep(AGAIN).await;
                }
                done => return done,
            }
        }
    }

    /// Gives it back, if it is still held.
    pub(super) async fn give_back(&self) -> Result<(), Error> {
        let _state = self.held.state.lock().await;
        self.renewal.abort();
        let found = self.held.read().await?;
        if held_by(&found) != Some(&self.held.me) {
            return Ok(());
        }
        self.held
            .put(&found, &json!({"holderIdentity": null}))
            .await
    }
}

#[derive(Debug)]
struct Held {
    leases: Api<Lease>,
    name: String,
    me: String,
    lasts: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    renewed: Instant,
    /// Who took it.
    lost: Option<String>,
}

impl Held {
    async fn take(&self, take_over: bool) -> Result<Option<String>, Error> {
        let found = self.read().await?;
        let from = held_by(&found).filter(|held| **held != self.me).cloned();
        let Some(other) = from else {
            return self.claim(&found).await.map(|()| None);
        };
        if !take_over {
            if let Some(left) = left(&found, SystemClock.now()) {
                return Err(self.busy(&other, left));
            }
            // By our clock it has ended. Theirs may be another: whoever works renews it while we look.
            sleep(self.lasts / 2).await;
            let again = self.read().await?;
            if again.metadata.resource_version != found.metadata.resource_version {
                return Err(self.busy(&other, self.lasts));
            }
        }
        self.claim(&found).await.map(|()| Some(other))
    }

    fn busy(&self, other: &str, left: Duration) -> Error {
        let (name, left) = (&self.name, left.as_secs().max(1));
        Error::Cluster {
            what: format!(
                "{other} deploys here right now; its Lease {name} ends {left} s after its last sign of life, and with \
                 --take-over at once: only if you know that nobody works there"
            ),
        }
    }

    async fn claim(&self, found: &Lease) -> Result<(), Error> {
        let now = micros(SystemClock.now());
        let lasts = i32::try_from(self.lasts.as_secs()).unwrap_or(i32::MAX);
        let claim = json!({
            "holderIdentity": self.me, "leaseDurationSeconds": lasts, "acquireTime": now, "renewTime": now,
        });
        self.put(found, &claim).await
    }

    async fn confirm(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        if self.is_fresh(&state) {
            return self.look(&mut state).await.map(drop);
        }
        self.renew(&mut state).await
    }

    /// Renews it until somebody else has it.
    async fn keep(self: Arc<Self>) {
        loop {
            sleep(self.lasts / 4).await;
            let mut state = self.state.lock().await;
            // What cannot be renewed now may be in a while; `check` finds what it comes to.
            let _unreached = self.renew(&mut state).await;
            if state.lost.is_some() {
                return;
            }
        }
    }

    /// Whether it was renewed so lately that nobody can have found it ended.
    fn is_fresh(&self, state: &State) -> bool {
        state.renewed.elapsed() < self.lasts / 2
    }

    /// The Lease, if it is still ours.
    async fn look(&self, state: &mut State) -> Result<Lease, Error> {
        if let Some(other) = &state.lost {
            return Err(Error::TakenOver(other.clone()));
        }
        let found = self.read().await?;
        match held_by(&found) {
            Some(held) if *held == self.me => Ok(found),
            other => {
                let other = other.map_or("somebody who is done by now", String::as_str);
                state.lost = Some(other.to_owned());
                Err(Error::TakenOver(other.to_owned()))
            }
        }
    }

    async fn renew(&self, state: &mut State) -> Result<(), Error> {
        let began = Instant::now();
        let found = self.look(state).await?;
        let renewal = json!({"renewTime": micros(SystemClock.now())});
        // Whoever takes it between the two has changed it: this is refused then, and the next look finds who.
        self.put(&found, &renewal).await?;
        state.renewed = began;
        Ok(())
    }

    async fn read(&self) -> Result<Lease, Error> {
        match timeout(self.limit(), self.leases.get(&self.name)).await {
            Ok(found) => found.map_err(|error| fault("read", "Lease", &self.name, error)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Changes it if it is as it was found: of two at the same moment one is refused.
    async fn put(&self, found: &Lease, spec: &Value) -> Result<(), Error> {
        let version = &found.metadata.resource_version;
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": spec}));
        let params = PatchParams::default();
        let patched = self.leases.patch(&self.name, &params, &patch);
        match timeout(self.limit(), patched).await {
            Ok(patched) => patched
                .map(drop)
                .map_err(|error| fault("take", "Lease", &self.name, error)),
            Err(_) => Err(self.silent()),
        }
    }

    fn limit(&self) -> Duration {
        (self.lasts / 4).max(ASK)
    }

    /// What was to be changed is not changed: this is no [`Error::Late`], which tells of something that goes on.
    fn silent(&self) -> Error {
        let (name, limit) = (&self.name, self.limit().as_secs());
        Error::Cluster {
            what: format!("the API did not answer about the Lease {name} within {limit} s"),
        }
    }
}

fn held_by(lease: &Lease) -> Option<&String> {
    let held = lease.spec.as_ref()?.holder_identity.as_ref();
    held.filter(|held| !held.is_empty())
}

/// How long it lasts from now on, if it has not ended.
fn left(lease: &Lease, now: Timestamp) -> Option<Duration> {
    let spec = lease.spec.as_ref()?;
    let renewed = serde_json::to_value(spec.renew_time.as_ref()?).ok()?;
    let renewed: Timestamp = renewed.as_str()?.parse().ok()?;
    let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
    Duration::from_secs(lasts)
        .checked_sub(now.since(renewed))
        .filter(|left| !left.is_zero())
}

/// RFC 3339 with microseconds, as Kubernetes' `MicroTime` wants it.
pub(super) fn micros(at: Timestamp) -> String {
    let (seconds, rest) = (at.unix_millis() / 1000, at.unix_millis() % 1000);
    let whole = Timestamp::from_unix_seconds(seconds).to_string();
    format!("{}.{rest:03}000Z", whole.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_until_it_ends() {
        let lease = |held: &str, renewed: &str| -> Lease {
            serde_json::from_value(json!({"spec": {
                "holderIdentity": held, "renewTime": renewed, "leaseDurationSeconds": 60,
            }}))
            .unwrap()
        };
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let fresh = micros("2026-11-23T11:59:30.25Z".parse().unwrap());
        assert_eq!(fresh, "2026-11-23T11:59:30.250000Z");
        let fresh = lease("ci:/a", &fresh);
        assert_eq!(held_by(&fresh), Some(&"ci:/a".to_owned()));
        assert_eq!(left(&fresh, now).unwrap().as_secs(), 30);
        assert_eq!(
            left(&lease("ci:/a", "2026-11-23T11:59:00.000000Z"), now),
            None
        );
        assert_eq!(held_by(&lease("", "2026-11-23T11:59:00.000000Z")), None);
        assert_eq!(
            (held_by(&Lease::default()), left(&Lease::default(), now)),
            (None, None)
        );
    }
}
