//! The writer: small batches for each tenant, one after the other, and what was acknowledged when. Only what it was told
//! to be durable counts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_base::{Clock, Timestamp};
use serde_json::json;
use tokio::task::JoinHandle;

use super::door::Door;
use super::installation::Tenant;

/// A write that the hub said to be durable.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    /// The tenant's place in the list.
    pub(super) tenant: usize,
    /// Stands in the entry of the tenant's ledger.
    pub(super) batch: String,
    pub(super) at: Timestamp,
}

#[derive(Debug, Default)]
struct Seen {
    acknowledged: Vec<Acknowledged>,
    refused: usize,
}

/// Writers at work; they end when it is dropped.
#[derive(Debug)]
pub(super) struct Load {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// One write; its batch if it was acknowledged.
pub(super) async fn write(door: &Door, tenant: &Tenant) -> Result<String, String> {
    let path = "/api/v2/events?format=json&source=drill/load";
    let body = json!({"time": "2026-01-01T00:00:00Z", "said": "a write of the drill"});
    let answer = door.post(path, Some(&tenant.key), &body).await?;
    match (answer.status, answer.field("batch_id")) {
        (202, batch) if !batch.is_empty() => Ok(batch),
        (status, _) => Err(format!("a write was answered with {status}")),
    }
}

impl Load {
    pub(super) fn start(
        door: &Door,
        tenants: &[Tenant],
        pause: Duration,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let writer = |(number, tenant): (usize, &Tenant)| {
            let (door, tenant) = (door.clone(), tenant.clone());
            let (seen, clock) = (Arc::clone(&seen), Arc::clone(clock));
            tokio::spawn(async move {
                loop {
                    let done = write(&door, &tenant).await;
                    {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        match done {
                            Ok(batch) => seen.acknowledged.push(Acknowledged {
                                tenant: number,
                                batch,
                                at: clock.now(),
                            }),
                            Err(_) => seen.refused += 1,
                        }
                    }
                    tokio::time::sleep(pause).await;
                }
            })
        };
        let tasks = tenants.iter().enumerate().map(writer).collect();
        Self { seen, tasks }
    }

    pub(super) fn count(&self) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.acknowledged.len()
    }

    /// What was acknowledged until now, in order, and how many were refused.
    pub(super) fn told(&self) -> (Vec<Acknowledged>, usize) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut acknowledged = seen.acknowledged.clone();
        acknowledged.sort_by_key(|one| one.at);
        (acknowledged, seen.refused)
    }
}
