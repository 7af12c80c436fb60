//! People and collectors at work through the hub's public API: what was acknowledged when, and what else they saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::export::{batches, export, verifies};
use crate::tool::{all, patiently};
use crate::world::Actor;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two writes of one client.
const PAUSE: Duration = Duration::from_millis(20);

/// A write that the hub acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) at: Instant,
    /// A batch of events, or an API key.
    id: String,
}

pub(super) struct Load {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Told>>,
    workers: JoinSet<()>,
}

/// What clients were told.
#[derive(Debug, Default, Clone)]
pub(super) struct Told {
    pub(super) batches: Vec<Act>,
    pub(super) keys: Vec<Act>,
    /// Every answer that was no success, and how often.
    pub(super) seen: BTreeMap<String, usize>,
}

impl Load {
    /// Collectors that send events, and somebody who makes API keys.
    pub(super) fn start(owner: &Actor, collectors: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told: Arc<Mutex<Told>> = Arc::default();
        let mut workers = JoinSet::new();
        for worker in 0..=collectors {
            let (owner, stop, told) = (owner.clone(), Arc::clone(&stop), Arc::clone(&told));
            workers.spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    if worker == 0 {
                        let body =
                            json!({"name": format!("key {number}"), "scopes": ["events.ingest"]});
                        let request = owner.request(Method::POST, "/api/v2/api-keys").json(&body);
                        write(request, "id", &told, |told| &mut told.keys).await;
                    } else {
                        let line =
                            format!("{{\"time\":\"2026-11-23T10:00:00Z\",\"n\":{number}}}\n");
                        let request = owner
                            .request(Method::POST, "/api/v2/events?format=json")
                            .body(line);
                        write(request, "batch_id", &told, |told| &mut told.batches).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self {
            stop,
            told,
            workers,
        }
    }

    pub(super) fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }

    /// Waits until this many more writes were acknowledged.
    pub(super) async fn acknowledges(&self, more: usize) {
        let wanted = self.told().count() + more;
        patiently("acknowledged writes", async || {
            (self.told().count() >= wanted).then_some(())
        })
        .await;
    }

    pub(super) async fn stop(mut self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        self.told()
    }
}

async fn write(
    request: reqwest::RequestBuilder,
    id: &str,
    told: &Mutex<Told>,
    list: impl Fn(&mut Told) -> &mut Vec<Act>,
) {
    let answer = async {
        let response = request.timeout(PATIENCE).send().await?;
        Ok((response.status(), response.text().await?))
    };
    let answer: Result<_, reqwest::Error> = answer.await;
    let at = Instant::now();
    let mut told = told.lock().unwrap();
    let other = match answer {
        Ok((status, text)) if status.is_success() => {
            let body: Value = serde_json::from_str(&text).unwrap();
            let id = body[id].as_str().unwrap().to_owned();
            list(&mut told).push(Act { at, id });
            return;
        }
        Ok((status, _)) => status.as_u16().to_string(),
        Err(error) if error.is_timeout() => "no answer in time".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    *told.seen.entry(other).or_default() += 1;
}

impl Told {
    pub(super) fn count(&self) -> usize {
        self.batches.len() + self.keys.len()
    }

    /// The longest time without an acknowledged write.
    pub(super) fn gap(&self) -> Duration {
        let mut times: Vec<Instant> = self.batches.iter().map(|act| act.at).collect();
        times.extend(self.keys.iter().map(|act| act.at));
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().expect("something was acknowledged")
    }

    /// Clients were refused or not answered, and nothing else.
    #[track_caller]
    pub(super) fn expect_only_refusals(&self) {
        let strange = self
            .seen
            .keys()
            .find(|what| !["503", "504", "no answer in time"].contains(&what.as_str()));
        assert!(strange.is_none(), "{:#?}", self.seen);
    }

    /// What was acknowledged and is not there any more; the ledger that says so verifies.
    pub(super) async fn lost(&self, owner: &Actor) -> Vec<String> {
        let ids =
            |acts: &[Act]| -> BTreeSet<String> { acts.iter().map(|act| act.id.clone()).collect() };
        let keys = all(owner, "/api/v2/api-keys").await;
        let keys: BTreeSet<String> = keys
            .iter()
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect();
        let mut lost: Vec<String> = ids(&self.keys).difference(&keys).cloned().collect();
        // An act is in the database before it has its place in the ledger.
        let sent = ids(&self.batches);
        let deadline = Instant::now() + Duration::from_secs(10);
        let text = loop {
            let text = export(owner).await;
            let found = batches(&text).into_iter().map(|(id, _)| id).collect();
            let missing: Vec<String> = sent.difference(&found).cloned().collect();
            if missing.is_empty() || Instant::now() > deadline {
                lost.extend(missing);
                break text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        verifies(&text);
        lost
    }
}
