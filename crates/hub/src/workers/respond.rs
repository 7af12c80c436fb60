//! Takes queued response actions as soon as they are committed, releases what has ended, sends notifications.

use std::collections::BTreeSet;
use std::time::Duration;

use hub_base::TenantId;
use hub_respond::actions;
use hub_store::Committed;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::crew::{Stop, told};
use crate::state::App;

/// How often every tenant is looked at: actions to be tried again, blocks that end, messages that wait.
const SWEEP: Duration = Duration::from_secs(1);

/// What woke a worker.
enum Woken {
    Tenants(BTreeSet<TenantId>),
    Everyone,
    Stop,
}

async fn wake(
    bus: &mut Receiver<Committed>,
    concerns: fn(&str) -> bool,
    sweep: &mut tokio::time::Interval,
    stop: &mut Stop,
) -> Woken {
    loop {
        tokio::select! {
            heard = bus.recv() => match heard {
                Ok(committed) => {
                    let mut tenants = BTreeSet::new();
                    if concerns(committed.operation) {
                        tenants.insert(committed.tenant);
                    }
                    while let Ok(committed) = bus.try_recv() {
                        if concerns(committed.operation) {
                            tenants.insert(committed.tenant);
                        }
                    }
                    if !tenants.is_empty() {
                        return Woken::Tenants(tenants);
                    }
                }
                Err(RecvError::Lagged(_)) => return Woken::Everyone,
                Err(RecvError::Closed) => return Woken::Stop,
            },
            _ = sweep.tick() => return Woken::Everyone,
            () = told(stop) => return Woken::Stop,
        }
    }
}

/// Response actions.
pub(super) async fn follow(app: App, mut stop: Stop) -> anyhow::Result<()> {
    let mut bus = app.store.bus().listen();
    let mut sweep = tokio::time::interval(SWEEP);
    let concerns =
        |operation: &str| operation.starts_with("incident.") || operation == "finding.create";
    loop {
        let woken = wake(&mut bus, concerns, &mut sweep, &mut stop).await;
        let (tenants, sweeping) = match woken {
            Woken::Stop => return Ok(()),
            Woken::Tenants(tenants) => (tenants, false),
            Woken::Everyone => (app.store.tenants().await?.into_iter().collect(), true),
        };
        for tenant in tenants {
            if actions::run_pending(&app.store, tenant, &app.responding).await? > 0 {
                super::views::blocks(&app, tenant).await?;
            }
            if sweeping {
                actions::expire(&app.store, tenant).await?;
            }
        }
        app.metrics.worker_round("response");
    }
}

/// Notifications.
pub(super) async fn notify(app: App, mut stop: Stop) -> anyhow::Result<()> {
    let mut bus = app.store.bus().listen();
    let mut sweep = tokio::time::interval(SWEEP);
    let concerns = |operation: &str| {
        operation.starts_with("incident.") || operation.starts_with("notification.")
    };
    loop {
        let tenants: BTreeSet<TenantId> =
            match wake(&mut bus, concerns, &mut sweep, &mut stop).await {
                Woken::Stop => return Ok(()),
                Woken::Tenants(tenants) => tenants,
                Woken::Everyone => app.store.tenants().await?.into_iter().collect(),
            };
        for tenant in tenants {
            hub_respond::notify::deliver_pending(&app.store, tenant, &app.notifier).await?;
        }
        app.metrics.worker_round("notifications");
    }
}
