//! Legal holds: what must not be removed while a matter is open.

use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{ErrorKind, HoldId, TenantId, Timestamp};
use hub_operate::holds::{self, Covers, Hold};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{At, Caller, Created, Given, Json, List, Reply};
use super::table::Api;
use crate::problem::Problem;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/holds",
        (Action::HoldsRead, "Legal holds, newest first"),
        list,
    )
    .gives::<List<HoldView>>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/holds",
        (
            Action::HoldsUpdate,
            "Hold one's own tenant; operators hold any, or everything",
        ),
        place,
    )
    .takes::<Wish>()
    .gives::<HoldView>(StatusCode::CREATED);
    api.at(
        Method::POST,
        "/api/v2/holds/{id}/release",
        (Action::HoldsUpdate, "Release a hold"),
        release,
    )
    .takes::<Reason>()
    .answers(StatusCode::NO_CONTENT, "");
}

#[derive(Debug, Serialize, JsonSchema)]
struct HoldView {
    id: String,
    /// The slug or id of a tenant's; null for everything.
    covers: Option<String>,
    reason: String,
    placed_by: String,
    placed_at: Timestamp,
    released_at: Option<Timestamp>,
}

impl From<Hold> for HoldView {
    fn from(hold: Hold) -> Self {
        Self {
            id: hold.id.to_string(),
            covers: hold.covers.map(|tenant| tenant.to_string()),
            reason: hold.reason,
            placed_by: hold.placed_by,
            placed_at: hold.placed_at,
            released_at: hold.released_at,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wish {
    reason: String,
    /// A tenant's slug, or `*` for everything; without it the caller's own.
    covers: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

async fn list(Caller(cx): Caller) -> Reply<List<HoldView>> {
    let holds = holds::list(&cx).await?.into_iter();
    Ok(Json(List::whole(holds.map(HoldView::from))))
}

async fn place(Caller(cx): Caller, Given(wish): Given<Wish>) -> Result<Created<HoldView>, Problem> {
    let own = cx.tenant();
    let covers = match wish.covers.as_deref() {
        None => Covers::Tenant(own),
        Some("*") => Covers::Everything,
        Some(slug) => {
            let found = hub_store::directory::by_slug(&mut *cx.read().await?, slug).await?;
            let unknown =
                || Problem::of(ErrorKind::Invalid).detail("covers: there is no such tenant");
            // To others every tenant but their own is unknown.
            let seen = |id: &TenantId| own == TenantId::SYSTEM || *id == own;
            let id = found.map(|tenant| tenant.id).filter(seen);
            Covers::Tenant(id.ok_or_else(unknown)?)
        }
    };
    Ok(Created(
        holds::place(&cx, covers, &wish.reason).await?.into(),
    ))
}

async fn release(
    Caller(cx): Caller,
    At((id,)): At<(HoldId,)>,
    Given(wish): Given<Reason>,
) -> Result<StatusCode, Problem> {
    holds::release(&cx, id, &wish.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
