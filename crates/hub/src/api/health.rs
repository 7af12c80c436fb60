//! Is it alive, is it ready, how are its parts, what has it counted.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{TenantId, Timestamp};
use hub_detect::worker;
use hub_identity::sessions::ACCESS_TOKEN_TTL;
use hub_operate::records;
use hub_store::sequence;
use hub_vault::{KeyInfo, Purpose};
use serde_json::json;
use tokio::time::timeout;

use super::extract::Json;
use super::table::Api;
use crate::state::{App, DEVICE_TTL};

pub(super) fn routes(api: &mut Api) {
    let open = "it says yes or no, and nothing else";
    api.public(
        Method::GET,
        "/health/live",
        (open, "Whether the process answers"),
        alive,
    )
    .gives::<serde_json::Value>(StatusCode::OK);
    api.public(
        Method::GET,
        "/health/ready",
        (open, "Whether it should get requests"),
        ready,
    )
    .gives::<serde_json::Value>(StatusCode::OK);
    api.local(
        Method::GET,
        "/health",
        (Action::HealthRead, "Every part in detail"),
        detail,
    )
    .gives::<serde_json::Value>(StatusCode::OK);
    api.local(
        Method::GET,
        "/metrics",
        (Action::HealthRead, "OpenMetrics"),
        metrics,
    )
    .answers(StatusCode::OK, hub_telemetry::metrics::MEDIA_TYPE);
}

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

async fn alive() -> Json<serde_json::Value> {
    Json(json!({"status": "pass"}))
}

pub(crate) async fn database(app: &App) -> Result<(), String> {
    match timeout(PATIENCE, app.store.read(TenantId::SYSTEM)).await {
        Ok(Ok(_answered)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_late) => Err("the database did not answer in time".to_owned()),
    }
}

fn verdict(good: bool) -> (StatusCode, &'static str) {
    if good {
        (StatusCode::OK, "pass")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "fail")
    }
}

async fn ready(State(app): State<App>) -> Response {
    let (status, word) = verdict(!app.is_stopping() && database(&app).await.is_ok());
    (status, Json(json!({"status": word}))).into_response()
}

async fn detail(State(app): State<App>) -> Response {
    let database = database(&app).await;
    let workers: serde_json::Map<String, serde_json::Value> = app
        .crew
        .conditions()
        .into_iter()
        .map(|(name, condition)| {
            let body = json!({
                "status": if condition.running { "pass" } else { "fail" },
                "restarts": condition.restarts,
                "last_fault": condition.last_fault,
            });
            (name.to_owned(), body)
        })
        .collect();
    let working = app
        .crew
        .conditions()
        .values()
        .all(|condition| condition.running);
    let (status, word) = verdict(!app.is_stopping() && database.is_ok() && working);
    let body = json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": app.started_at.to_string(),
        "stopping": app.is_stopping(),
        "database": {"status": verdict(database.is_ok()).1, "fault": database.err(), "login": app.store.login()},
        "keys": keys(&app),
        "workers": workers,
        "hashes_waiting": app.hashes_waiting(),
        "blocked_addresses": app.blocks.count(),
        "rules": {"loaded": app.detection.rules.len(), "refused": app.detection.faults},
    });
    (status, Json(body)).into_response()
}

/// What this process signs with and what it verifies: a rotation asks every replica before its next step.
fn keys(app: &App) -> Vec<serde_json::Value> {
    let ring = app.keys.ring().info();
    let purpose = |purpose: &Purpose| {
        let of: Vec<&KeyInfo> = ring.iter().filter(|key| key.purpose == *purpose).collect();
        let lifetime = match purpose {
            Purpose::AccessToken => ACCESS_TOKEN_TTL,
            Purpose::Device => DEVICE_TTL,
            // Statements of earlier keys stand for them for ever.
            Purpose::Checkpoint | Purpose::Release => Duration::ZERO,
        };
        json!({
            "purpose": purpose.name(),
            "primary": of.iter().find(|key| key.primary).map(|key| &key.id),
            "known": of.iter().map(|key| &key.id).collect::<Vec<_>>(),
            "lifetime_s": lifetime.as_secs(),
        })
    };
    Purpose::SERVER.iter().map(purpose).collect()
}

async fn metrics(State(app): State<App>) -> Response {
    app.metrics.hashes_waiting(app.hashes_waiting());
    app.metrics.blocked_addresses(app.blocks.count());
    // Without the database the counts of this process are still worth having.
    if let Ok((entries, waiting, unread)) = ledger(&app).await {
        app.metrics.ledger(entries, waiting);
        app.metrics.detection(unread);
    }
    match operations(&app).await {
        Ok(newest) => app.metrics.operations(&newest),
        Err(error) => tracing::debug!(
            error = hub_base::chain(&error),
            "what was done was not asked for"
        ),
    }
    (
        [(CONTENT_TYPE, hub_telemetry::metrics::MEDIA_TYPE)],
        app.metrics.print(),
    )
        .into_response()
}

/// When an operation of each kind last went well, in any tenant: operations are told to one of them.
async fn operations(app: &App) -> Result<Vec<(&'static str, Timestamp)>, hub_operate::Error> {
    let mut newest: BTreeMap<&'static str, Timestamp> = BTreeMap::new();
    for tenant in app.store.tenants().await? {
        for (kind, ended) in records::newest(&mut *app.store.read(tenant).await?).await? {
            let known = newest.entry(kind).or_insert(ended);
            *known = ended.max(*known);
        }
    }
    Ok(newest.into_iter().collect())
}

/// Entries in all ledgers, acts that wait for their place in one, and entries that detection has not read.
async fn ledger(app: &App) -> Result<(u64, i64, i64), hub_detect::Error> {
    let (mut entries, mut waiting, mut unread) = (0, 0, 0);
    for tenant in app.store.tenants().await? {
        let mut tx = app.store.read(tenant).await?;
        entries += sequence::head(&mut tx).await?.map_or(0, |head| head.size);
        waiting += sequence::backlog(&mut tx).await?;
        unread += worker::lag(&mut tx).await?.0;
    }
    Ok((entries, waiting, unread))
}
