//! The sequencer at work: woken by each commit of this process, and going over all tenants as a safety net.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hub_base::TenantId;
use hub_ledger::Signer;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::{anything_waits, run_once};
use crate::error::Error;
use crate::tx::Store;

/// How often every tenant is looked at, for acts of replicas that died before sequencing them.
const SWEEP: Duration = Duration::from_secs(5);
/// From the start of one round to that of the next at least. The first act after a pause is sequenced at once; a stream
/// of them shares its rounds, each of which costs a signature and a flush to disk.
const PACE: Duration = Duration::from_millis(50);

/// A running sequencer's handle for those who follow the ledger.
#[derive(Debug, Clone)]
pub struct Sequencer {
    advanced: broadcast::Sender<TenantId>,
}

impl Default for Sequencer {
    fn default() -> Self {
        Self {
            advanced: broadcast::channel(4096).0,
        }
    }
}

impl Sequencer {
    /// Tenants whose ledger has grown. A slow listener loses hints, never entries.
    pub fn listen(&self) -> broadcast::Receiver<TenantId> {
        self.advanced.subscribe()
    }

    /// Sequences until `stop` turns true; what waits then is sequenced first.
    pub async fn run(
        &self,
        store: Store,
        signer: Arc<dyn Signer>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut bus = store.bus().listen();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut next_round = Instant::now();
        loop {
            let mut dirty = BTreeSet::new();
            // Whom nobody spoke of, but who may have been forgotten.
            let mut others = BTreeSet::new();
            let mut stopping = false;
            tokio::select! {
                committed = bus.recv() => match committed {
                    Ok(committed) => { dirty.insert(committed.tenant); }
                    Err(broadcast::error::RecvError::Lagged(_)) => everyone(&store, &mut others).await,
                    Err(broadcast::error::RecvError::Closed) => stopping = true,
                },
                _ = sweep.tick() => everyone(&store, &mut others).await,
                _ = stop.changed() => { stopping = true; everyone(&store, &mut others).await; }
            }
            if !stopping {
                tokio::time::sleep_until(next_round).await;
            }
            next_round = Instant::now() + PACE;
            while let Ok(committed) = bus.try_recv() {
                dirty.insert(committed.tenant);
            }
            for tenant in others.difference(&dirty) {
                self.look(&store, *tenant, &*signer).await;
            }
            for tenant in dirty {
                self.drain(&store, tenant, &*signer).await;
            }
            if stopping {
                return;
            }
        }
    }

    async fn look(&self, store: &Store, tenant: TenantId, signer: &dyn Signer) {
        match anything_waits(store, tenant).await {
            Ok(true) => self.drain(store, tenant, signer).await,
            Ok(false) => {}
            Err(error) => failed(tenant, &error),
        }
    }

    async fn drain(&self, store: &Store, tenant: TenantId, signer: &dyn Signer) {
        loop {
            match run_once(store, tenant, signer).await {
                Ok(Some(moved)) => {
                    // No follower is no fault.
                    let _unheard = self.advanced.send(tenant);
                    if moved.is_all() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => return failed(tenant, &error),
            }
        }
    }
}

/// The sweep tries again; nothing is lost meanwhile.
fn failed(tenant: TenantId, error: &Error) {
    tracing::error!(tenant.id = %tenant, error = error as &dyn std::error::Error, "sequencing failed");
}

async fn everyone(store: &Store, dirty: &mut BTreeSet<TenantId>) {
    match store.tenants().await {
        Ok(tenants) => dirty.extend(tenants),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the tenants could not be listed"
            );
        }
    }
}
