//! Removing what is no longer to be kept: operators see first what would go, then have it removed batch by batch.

use axum::extract::State;
use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{OperationId, Timestamp};
use hub_operate::cleanup::{self, Due, Removed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Caller, Given, Json, Reply};
use super::table::Api;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/cleanup",
        (Action::CleanupRun, "What the retention policy would remove"),
        plan,
    )
    .gives::<Plan>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/cleanup",
        (
            Action::CleanupRun,
            "Remove the next batch of each tenant; nothing comes back once nothing is due",
        ),
        remove,
    )
    .takes::<Ask>()
    .gives::<Batches>(StatusCode::OK);
}

#[derive(Debug, Serialize, JsonSchema)]
struct Plan {
    /// SHA-256 of the policy, by which certificates name it.
    policy_sha256: String,
    due: Vec<DueView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DueView {
    tenant: String,
    class: String,
    count: i64,
    oldest: Option<Timestamp>,
    bytes: i64,
    /// Why it stays all the same: the reason of a legal hold.
    held: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The operation that this belongs to: the caller's own id for it.
    #[schemars(with = "String")]
    operation: OperationId,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Batches {
    removed: Vec<RemovedView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RemovedView {
    tenant: String,
    class: String,
    count: u64,
    ids_sha256: String,
    /// A note that the checkpoints' key signed, where the policy asks for one.
    certificate: Option<String>,
}

impl From<Due> for DueView {
    fn from(due: Due) -> Self {
        Self {
            tenant: due.slug,
            class: due.class.to_string(),
            count: due.count,
            oldest: due.oldest,
            bytes: due.bytes,
            held: due.held,
        }
    }
}

impl From<Removed> for RemovedView {
    fn from(removed: Removed) -> Self {
        Self {
            tenant: removed.tenant.to_string(),
            class: removed.class.to_string(),
            count: removed.count,
            ids_sha256: removed.ids_sha256,
            certificate: removed.certificate,
        }
    }
}

async fn plan(State(app): State<App>, _: Caller) -> Reply<Plan> {
    let due = cleanup::plan(&app.store, &app.retention).await?;
    Ok(Json(Plan {
        policy_sha256: app.retention.digest(),
        due: due.into_iter().map(DueView::from).collect(),
    }))
}

async fn remove(State(app): State<App>, _: Caller, Given(ask): Given<Ask>) -> Reply<Batches> {
    let signer = &*app.keys.checkpoints;
    let removed = cleanup::remove(&app.store, &app.retention, ask.operation, signer).await?;
    Ok(Json(Batches {
        removed: removed.into_iter().map(RemovedView::from).collect(),
    }))
}
