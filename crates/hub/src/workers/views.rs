//! Keeps this process's views of the database fresh: revocations, grants, blocks, live totals. Fed by the bus; what
//! the bus lost is loaded again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use hub_base::{IncidentId, TenantId};
use hub_store::Committed;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;

use super::crew::{Stop, told};
use crate::front::blocks::Block;
use crate::state::App;

/// How often everything is loaded again, for what other processes changed.
const REFRESH: Duration = Duration::from_secs(30);

/// Loads every view, before the first request is served.
pub(crate) async fn load(app: &App) -> anyhow::Result<()> {
    app.revocations
        .load(&app.store)
        .await
        .context("the revocations could not be loaded")?;
    for tenant in app.store.tenants().await? {
        blocks(app, tenant).await?;
    }
    Ok(())
}

/// What must hold before a change is answered: an ended session is refused, a taken role is gone.
pub(crate) fn attach(app: &App) {
    let parts = app.downgrade();
    app.store.bus().attach(move |committed| {
        if let Some(parts) = parts.upgrade() {
            parts.revocations.apply(committed);
            parts.authorizer.apply(committed);
        }
    });
}

pub(super) async fn follow(app: App, mut stop: Stop) -> anyhow::Result<()> {
    let mut bus = app.store.bus().listen();
    let mut refresh = tokio::time::interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Of this process's life: an incident is contained once, however often it is updated.
    let mut measured = BTreeSet::new();
    loop {
        tokio::select! {
            heard = bus.recv() => match heard {
                Ok(committed) => {
                    let mut stale = BTreeSet::new();
                    let mut contained = Vec::from_iter(contained_incident(&committed));
                    take(&app, &committed, &mut stale);
                    while let Ok(committed) = bus.try_recv() {
                        take(&app, &committed, &mut stale);
                        contained.extend(contained_incident(&committed));
                    }
                    for (tenant, incident) in contained {
                        if measured.insert(incident) {
                            measure(&app, tenant, incident).await?;
                        }
                    }
                    for tenant in stale {
                        blocks(&app, tenant).await?;
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    app.authorizer.forget_all();
                    load(&app).await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            _ = refresh.tick() => if let Err(error) = load(&app).await {
                tracing::warn!(error = format!("{error:#}"), "the views could not be refreshed");
            },
            () = told(&mut stop) => return Ok(()),
        }
    }
}

fn take(app: &App, committed: &Committed, stale: &mut BTreeSet<TenantId>) {
    app.live.count(committed);
    match committed.operation {
        "address.block" | "address.release" | "containment.apply" | "containment.release" => {
            stale.insert(committed.tenant);
        }
        "finding.create" => app.metrics.finding(),
        "incident.open" => app.metrics.incident(),
        _ => {}
    }
}

/// Reads a tenant's blocks anew. Who changes a block awaits this before answering, so that "released" is true when it is said.
pub(crate) async fn blocks(app: &App, tenant: TenantId) -> anyhow::Result<()> {
    let standing = hub_respond::blocks::load(&app.store, tenant)
        .await
        .context("the blocks could not be loaded")?;
    let blocks = standing.into_iter().map(|block| Block {
        network: block.network,
        until: block.until,
    });
    app.blocks.replace(tenant, blocks.collect());
    Ok(())
}

/// The incident that this act says is contained.
fn contained_incident(committed: &Committed) -> Option<(TenantId, IncidentId)> {
    let event = &committed.event;
    let is = committed.operation == "incident.update"
        && event.text("unmapped.incident.status") == Some("contained");
    let id = event.text("resource.uid").filter(|_| is)?;
    Some((committed.tenant, id.parse().ok()?))
}

async fn measure(app: &App, tenant: TenantId, id: IncidentId) -> anyhow::Result<()> {
    let case = hub_respond::incidents::show(&app.system(tenant, "metrics"), id).await?;
    if let Some(at) = case.incident.contained_at {
        app.metrics
            .contained(at.since(case.incident.first_activity_at));
    }
    Ok(())
}
