//! Follows each tenant's ledger through the rules, and takes findings into incidents in the transaction that
//! commits them and the position: all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hub_base::{ErrorKind, TenantId};
use hub_detect::{Step, TenantDetector, worker};
use hub_respond::incidents;
use tokio::sync::broadcast::error::RecvError;

use super::crew::{Stop, told};
use crate::state::App;

/// Events read in one step: one transaction, one round of findings.
const STEP: usize = 2000;
/// How often every tenant is looked at, for hints that were lost.
const SWEEP: Duration = Duration::from_secs(2);

pub(super) async fn follow(app: App, mut stop: Stop) -> anyhow::Result<()> {
    let mut grown = app.sequencer.listen();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut detectors: BTreeMap<TenantId, TenantDetector> = BTreeMap::new();
    loop {
        let mut tenants = BTreeSet::new();
        tokio::select! {
            heard = grown.recv() => match heard {
                Ok(tenant) => { tenants.insert(tenant); }
                Err(RecvError::Lagged(_)) => tenants.extend(app.store.tenants().await?),
                Err(RecvError::Closed) => return Ok(()),
            },
            _ = sweep.tick() => tenants.extend(app.store.tenants().await?),
            () = told(&mut stop) => return Ok(()),
        }
        while let Ok(tenant) = grown.try_recv() {
            tenants.insert(tenant);
        }
        for tenant in tenants {
            let detector = detectors.entry(tenant).or_insert_with(|| {
                TenantDetector::new(Arc::clone(&app.detection.rules), Arc::clone(app.clock()))
            });
            read_on(&app, tenant, detector, &stop).await?;
        }
        app.metrics.worker_round("detection");
    }
}

/// Reads one tenant's ledger to its end.
async fn read_on(
    app: &App,
    tenant: TenantId,
    detector: &mut TenantDetector,
    stop: &Stop,
) -> anyhow::Result<()> {
    let cx = app.system(tenant, "detect");
    let mut at_end = false;
    // What comes after the end announces itself.
    while !at_end && !*stop.borrow() {
        match worker::step(&cx, detector, STEP).await {
            Ok(Step::Idle) => return Ok(()),
            Ok(Step::Read { at_end: ended, .. }) => at_end = ended,
            Ok(Step::Found(found)) => {
                let mut found = *found;
                at_end = found.at_end;
                incidents::absorb(&mut found.tx, &found.findings, &app.detection.playbooks)
                    .await
                    .context("findings could not be taken into incidents")?;
                found
                    .commit()
                    .await
                    .context("findings could not be committed")?;
            }
            // Another replica reads this tenant; it will go on.
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(()),
            Err(error) => return Err(error).context("detection could not read on"),
        }
    }
    Ok(())
}
