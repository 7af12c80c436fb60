//! Blocked addresses in force, and what is never contained automatically.

use axum::extract::State;
use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{ErrorKind, Timestamp};
use hub_respond::blocks::{self, Block};
use hub_respond::protected::{self, Kind, Protected, ProtectedId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{At, Caller, Created, Given, List};
use super::table::Api;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/blocks",
        (Action::BlocksRead, "Blocked addresses in force"),
        list,
    )
    .gives::<List<BlockView>>(StatusCode::OK);
    let (read, update) = (Action::ProtectedRead, Action::ProtectedUpdate);
    api.at(
        Method::GET,
        "/api/v2/protected",
        (read, "What is never contained automatically"),
        protected_list,
    )
    .gives::<List<ProtectedView>>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/protected",
        (update, "Protect something"),
        protect,
    )
    .takes::<Protect>()
    .gives::<ProtectedView>(StatusCode::CREATED);
    api.at(
        Method::DELETE,
        "/api/v2/protected/{id}",
        (update, "Protect it no longer"),
        unprotect,
    )
    .answers(StatusCode::NO_CONTENT, "");
}

#[derive(Debug, Serialize, JsonSchema)]
struct BlockView {
    id: String,
    network: String,
    incident_id: String,
    action_id: String,
    reason: String,
    created_at: Timestamp,
    until: Option<Timestamp>,
}

impl From<Block> for BlockView {
    fn from(block: Block) -> Self {
        Self {
            id: block.id.to_string(),
            network: block.network.to_string(),
            incident_id: block.incident.to_string(),
            action_id: block.action.to_string(),
            reason: block.reason,
            created_at: block.created_at,
            until: block.until,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct ProtectedView {
    /// Null for what the server's configuration protects.
    id: Option<String>,
    kind: &'static str,
    value: String,
    reason: String,
    added_by: String,
    added_at: Option<Timestamp>,
}

impl From<Protected> for ProtectedView {
    fn from(entry: Protected) -> Self {
        Self {
            id: entry.id.map(|id| id.to_string()),
            kind: entry.kind.name(),
            value: entry.value,
            reason: entry.reason,
            added_by: entry.added_by,
            added_at: entry.added_at,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Protect {
    /// `user`, `address` or `api_key`.
    kind: String,
    value: String,
    reason: String,
}

async fn list(Caller(cx): Caller) -> Result<List<BlockView>, Problem> {
    Ok(List::whole(
        blocks::list(&cx).await?.into_iter().map(BlockView::from),
    ))
}

async fn protected_list(
    State(app): State<App>,
    Caller(cx): Caller,
) -> Result<List<ProtectedView>, Problem> {
    let entries = protected::list(&cx, &app.config.respond).await?;
    Ok(List::whole(entries.into_iter().map(ProtectedView::from)))
}

async fn protect(
    Caller(cx): Caller,
    Given(wish): Given<Protect>,
) -> Result<Created<ProtectedView>, Problem> {
    let unknown =
        || Problem::of(ErrorKind::Invalid).detail("kind: must be `user`, `address` or `api_key`");
    let kind = Kind::parse(&wish.kind).ok_or_else(unknown)?;
    Ok(Created(
        protected::add(&cx, kind, &wish.value, &wish.reason)
            .await?
            .into(),
    ))
}

async fn unprotect(
    Caller(cx): Caller,
    At((id,)): At<(ProtectedId,)>,
) -> Result<StatusCode, Problem> {
    protected::remove(&cx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
