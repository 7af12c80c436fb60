//! Sessions of the caller's tenant.

use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{SessionId, Timestamp, UserId};
use hub_identity::sessions::{self, Session};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Asked, At, Caller, List};
use super::table::Api;
use crate::problem::Problem;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/sessions",
        (Action::SessionsRead, "Sessions, of one person or of all"),
        list,
    )
    .asks::<SessionsQuery>()
    .gives::<List<SessionView>>(StatusCode::OK);
    api.at(
        Method::DELETE,
        "/api/v2/sessions/{id}",
        (Action::SessionsRevoke, "End a session"),
        revoke,
    )
    .answers(StatusCode::NO_CONTENT, "");
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionsQuery {
    user: Option<UserId>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SessionView {
    id: String,
    user_id: String,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    expires_at: Timestamp,
    ended_at: Option<Timestamp>,
    address: Option<String>,
    user_agent: Option<String>,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            id: session.id.to_string(),
            user_id: session.user.to_string(),
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            ended_at: session.ended_at,
            address: session.address,
            user_agent: session.user_agent,
        }
    }
}

async fn list(
    Caller(cx): Caller,
    Asked(query): Asked<SessionsQuery>,
) -> Result<List<SessionView>, Problem> {
    Ok(List::whole(
        sessions::list(&cx, query.user)
            .await?
            .into_iter()
            .map(SessionView::from),
    ))
}

async fn revoke(Caller(cx): Caller, At((id,)): At<(SessionId,)>) -> Result<StatusCode, Problem> {
    sessions::revoke(&cx, id, "revoked by an administrator").await?;
    Ok(StatusCode::NO_CONTENT)
}
