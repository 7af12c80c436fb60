//! A whole run: make the people, set them to work, attack, watch the incidents, judge, and take one containment back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hub_base::{Clock, SystemClock};
use reqwest::Method;
use serde_json::Value;

use crate::actor::{Actor, Counters, Stage};
use crate::aftermath;
use crate::attacks::{self, Attack};
use crate::benign;
use crate::error::Error;
use crate::judge::{self, Incident};
use crate::population;
use crate::progress::{Listener, Progress};
use crate::report::Report;
use crate::scenario::Scenario;

/// How to reach the hub, and as whom.
pub struct Access {
    /// `http://127.0.0.1:8005`
    pub url: String,
    /// An access token that may make tenants.
    pub operator_token: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A finished run, and who can look at it afterwards.
#[derive(Debug)]
pub struct Finished {
    pub report: Report,
    /// The owner's password, for the console.
    pub owner_password: String,
}

/// How often incidents are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long after the last request the hub may still take.
const GRACE: Duration = Duration::from_secs(12);

/// Runs a scenario.
///
/// # Errors
/// [`Error::Unreachable`] or [`Error::Refused`] if the run itself cannot go on; a missed attack is in the report.
pub async fn run(scenario: &Scenario, access: &Access, tell: Listener) -> Result<Finished, Error> {
    let counters = Arc::new(Counters::default());
    let stage = Stage {
        url: access.url.trim_end_matches('/').into(),
        counters: Arc::clone(&counters),
    };
    let mut operator = Actor::new(&stage, IpAddr::from([127, 0, 0, 1]), "hubctl")?;
    operator.bearer = Some(access.operator_token.clone());
    let started_at = SystemClock.now();
    let mut cast = population::make(scenario, &operator, &stage, &tell).await?;
    population::warm_up(&mut cast, &tell).await?;

    let until = SystemClock.now().plus(scenario.duration.0);
    tell(Progress::Stage {
        name: "work, and attacks among it",
        steps: scenario.duration.0.as_secs(),
    });
    let workers = benign::begin(scenario, &cast, until);
    let (attacks, tasks): (Vec<Attack>, Vec<_>) =
        attacks::prepare(scenario, &cast).into_iter().unzip();
    let running: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut watch = Watch::new(&attacks, tell.clone());
    watch
        .until_quiet(&mut cast.owner, running, &counters)
        .await?;
    for worker in workers {
        // A worker that panicked is a bug of ours; what it did until then still counts.
        let _ended = worker.await;
    }
    tell(Progress::Stage {
        name: "judging",
        steps: 0,
    });
    let incidents = incidents(&cast.owner).await?;
    let promptness = aftermath::promptness(&cast.owner, &incidents).await?;
    let mut false_positives = aftermath::wronged(&cast, &attacks, scenario).await?;
    let release = aftermath::release_one(&cast, &attacks, &incidents).await?;
    let footholds = aftermath::footholds(&attacks).await?;
    false_positives.extend(aftermath::console(&cast).await?);
    let (verdicts, unexplained) = judge::all(&attacks, &incidents, &footholds);
    let report = Report {
        scenario: scenario.name.clone(),
        description: scenario.description.clone(),
        seed: scenario.seed,
        hub: access.url.clone(),
        tenant: cast.tenant.clone(),
        started_at,
        finished_at: SystemClock.now(),
        people: cast.people.len(),
        programs: cast.programs.len() + 2,
        requests: counters.all.load(Ordering::Relaxed),
        hostile_requests: counters.hostile.load(Ordering::Relaxed),
        verdicts,
        false_positives,
        unexplained,
        release,
        promptness,
    };
    Ok(Finished {
        report,
        owner_password: cast.owner_password,
    })
}

/// All incidents of the tenant.
async fn incidents(owner: &Actor) -> Result<Vec<Incident>, Error> {
    let body = owner
        .must(Method::GET, "/api/v2/incidents?limit=500", None)
        .await?;
    let items = body
        .get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    Ok(items.iter().filter_map(Incident::read).collect())
}

/// Watches the incidents while attacks go on, and tells what it sees.
struct Watch<'a> {
    attacks: &'a [Attack],
    tell: Listener,
    began: BTreeSet<usize>,
    detected: BTreeSet<usize>,
    contained: BTreeSet<usize>,
}

impl<'a> Watch<'a> {
    const fn new(attacks: &'a [Attack], tell: Listener) -> Self {
        Self {
            attacks,
            tell,
            began: BTreeSet::new(),
            detected: BTreeSet::new(),
            contained: BTreeSet::new(),
        }
    }

    async fn until_quiet(
        &mut self,
        owner: &mut Actor,
        running: Vec<tokio::task::JoinHandle<Result<(), Error>>>,
        counters: &Counters,
    ) -> Result<(), Error> {
        let mut over = None;
        let began = SystemClock.now();
        let mut seconds = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = SystemClock.now();
            if now.since(began).as_secs() > seconds {
                seconds = now.since(began).as_secs();
                (self.tell)(Progress::Step);
                // Before the owner's token expires.
                if seconds.is_multiple_of(120) {
                    owner.renew().await?;
                }
            }
            (self.tell)(Progress::Requests {
                all: counters.all.load(Ordering::Relaxed),
                hostile: counters.hostile.load(Ordering::Relaxed),
            });
            self.look(&incidents(owner).await?);
            if running.iter().all(tokio::task::JoinHandle::is_finished) {
                let since = *over.get_or_insert(now);
                if self.contained.len() == self.attacks.len() || now.since(since) > GRACE {
                    break;
                }
            }
        }
        for task in running {
            if let Ok(result) = task.await {
                result?;
            }
        }
        Ok(())
    }

    fn look(&mut self, incidents: &[Incident]) {
        for (nth, attack) in self.attacks.iter().enumerate() {
            let technique = attack.spec.techniques.first().cloned().unwrap_or_default();
            let id = attack.spec.id.clone();
            if attack.with_truth(|truth| truth.began.is_some()) && self.began.insert(nth) {
                (self.tell)(Progress::AttackBegan {
                    id: id.clone(),
                    technique: technique.clone(),
                });
            }
            let own: Vec<&Incident> = incidents
                .iter()
                .filter(|i| judge::attribute(i, self.attacks) == Some(nth))
                .collect();
            let verdict = judge::verdict(attack, &own);
            if let (Some(after_ms), true) = (verdict.detect_ms, verdict.detected)
                && self.detected.insert(nth)
            {
                (self.tell)(Progress::Detected {
                    id: id.clone(),
                    technique: technique.clone(),
                    after_ms,
                });
            }
            if let (Some(after_ms), true) = (verdict.contain_ms, verdict.contained)
                && self.contained.insert(nth)
            {
                (self.tell)(Progress::Contained {
                    id,
                    technique,
                    after_ms,
                });
            }
        }
    }
}
