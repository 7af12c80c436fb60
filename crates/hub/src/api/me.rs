//! The caller's own account.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::SET_COOKIE;
use http::{HeaderValue, Method, StatusCode};
use hub_access::Action;
use hub_base::Actor;
use hub_identity::{passwords, sessions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Caller, Given, Json, Reply};
use super::table::Api;
use crate::permits;
use crate::problem::Problem;
use crate::state::{App, SESSION_COOKIE};

pub(super) fn routes(api: &mut Api) {
    let own = Action::Itself;
    api.at(Method::GET, "/api/v2/me", (own, "Who the caller is"), me)
        .gives::<MeView>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/me/password",
        (own, "Change one's password"),
        password,
    )
    .takes::<PasswordChange>()
    .answers(StatusCode::NO_CONTENT, "");
    api.at(
        Method::POST,
        "/api/v2/logout",
        (own, "End this session"),
        logout,
    )
    .answers(StatusCode::NO_CONTENT, "");
}

#[derive(Debug, Serialize, JsonSchema)]
struct MeView {
    /// `user` or `api_key`.
    kind: &'static str,
    id: String,
    name: String,
    tenant_id: String,
    session_id: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    current: String,
    new: String,
}

async fn me(State(app): State<App>, Caller(cx): Caller) -> Reply<MeView> {
    let tenant_id = cx.tenant().to_string();
    let view = match &cx.principal.actor {
        Actor::User {
            user,
            session,
            username,
            ..
        } => MeView {
            kind: "user",
            id: user.to_string(),
            name: username.clone(),
            tenant_id,
            session_id: Some(session.to_string()),
            roles: permits::roles(&app, cx.tenant(), *user).await,
            scopes: Vec::new(),
        },
        Actor::ApiKey { key, name, scopes } => MeView {
            kind: "api_key",
            id: key.to_string(),
            name: name.clone(),
            tenant_id,
            session_id: None,
            roles: Vec::new(),
            scopes: scopes.clone(),
        },
        Actor::Anonymous | Actor::System { .. } => {
            return Err(Problem::of(hub_base::ErrorKind::Unauthenticated));
        }
    };
    Ok(Json(view))
}

async fn password(
    State(app): State<App>,
    Caller(cx): Caller,
    Given(change): Given<PasswordChange>,
) -> Result<StatusCode, Problem> {
    passwords::change(&cx, &change.current, &change.new, &app.hashing).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn logout(Caller(cx): Caller) -> Result<Response, Problem> {
    sessions::logout(&cx).await?;
    let text = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    Ok(response)
}
