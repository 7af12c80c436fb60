//! What the hub does by itself: putting acts in order, detecting, responding, telling people, tidying.
//!
//! Each worker is a loop around one verb of a room; it knows when to wake, not what to do.

pub(crate) mod crew;
mod detect;
pub(crate) mod mail;
mod respond;
pub(crate) mod views;

use std::sync::Arc;

use hub_ledger::Signer;

use crate::front::access_log;
use crate::state::App;

/// Starts every worker.
pub(crate) fn start(app: &App) {
    let crew = &app.crew;
    let hub = app.clone();
    crew.hire("sequencer", move |stop| {
        let hub = hub.clone();
        let signer: Arc<dyn Signer> = hub.keys.checkpoints.clone();
        async move {
            hub.sequencer.run(hub.store.clone(), signer, stop).await;
            Ok(())
        }
    });
    let hub = app.clone();
    crew.hire("views", move |stop| views::follow(hub.clone(), stop));
    let hub = app.clone();
    crew.hire("detection", move |stop| detect::follow(hub.clone(), stop));
    let hub = app.clone();
    crew.hire("response", move |stop| respond::follow(hub.clone(), stop));
    let hub = app.clone();
    crew.hire("notifications", move |stop| {
        respond::notify(hub.clone(), stop)
    });
    let hub = app.clone();
    crew.hire("access_log", move |stop| access(hub.clone(), stop));
}

/// Ingests what the front door has noted, and the rest when stopping.
async fn access(app: App, mut stop: crew::Stop) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(access_log::INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => app.access_log.flush(&app.store, &app.metrics).await,
            () = crew::told(&mut stop) => {
                app.access_log.flush(&app.store, &app.metrics).await;
                return Ok(());
            }
        }
    }
}
