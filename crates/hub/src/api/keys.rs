//! API keys of the caller's tenant.

use axum::extract::State;
use http::{Method, StatusCode};
use hub_access::{Action, roles};
use hub_base::{ApiKeyId, ErrorKind, HumanDuration, Timestamp};
use hub_identity::keys::{self, ApiKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{At, Caller, Created, Given, List};
use super::table::Api;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/api-keys",
        (Action::ApiKeysRead, "API keys, without their secrets"),
        list,
    )
    .gives::<List<KeyView>>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/api-keys",
        (Action::ApiKeysCreate, "Make an API key; shown this once"),
        create,
    )
    .takes::<NewKey>()
    .gives::<CreatedKey>(StatusCode::CREATED);
    api.at(
        Method::POST,
        "/api/v2/api-keys/{id}/rotate",
        (
            Action::ApiKeysCreate,
            "Make a key that takes another's place; both are good for a while",
        ),
        rotate,
    )
    .takes::<Overlap>()
    .gives::<CreatedKey>(StatusCode::CREATED);
    api.at(
        Method::DELETE,
        "/api/v2/api-keys/{id}",
        (Action::ApiKeysRevoke, "Revoke an API key"),
        revoke,
    )
    .answers(StatusCode::NO_CONTENT, "");
}

#[derive(Debug, Serialize, JsonSchema)]
struct KeyView {
    id: String,
    name: String,
    scopes: Vec<String>,
    created_by: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            scopes: key.scopes,
            created_by: key.created_by.map(|user| user.to_string()),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    /// Permission names; the caller must hold each.
    scopes: Vec<String>,
    /// From now.
    expires_in: Option<HumanDuration>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Overlap {
    /// How long the former key is good yet.
    overlap: HumanDuration,
}

#[derive(Serialize, JsonSchema)]
struct CreatedKey {
    id: String,
    /// The only time that it is shown.
    key: String,
}

async fn list(Caller(cx): Caller) -> Result<List<KeyView>, Problem> {
    Ok(List::whole(
        keys::list(&cx).await?.into_iter().map(KeyView::from),
    ))
}

async fn create(
    State(app): State<App>,
    Caller(cx): Caller,
    Given(wish): Given<NewKey>,
) -> Result<Created<CreatedKey>, Problem> {
    roles::check_scopes(&cx, &app.authorizer, &wish.scopes).await?;
    let expires_at = wish
        .expires_in
        .map(|HumanDuration(after)| cx.now().plus(after));
    let (id, key) = keys::create(&cx, &wish.name, wish.scopes, expires_at).await?;
    Ok(Created(CreatedKey {
        id: id.to_string(),
        key,
    }))
}

async fn rotate(
    State(app): State<App>,
    Caller(cx): Caller,
    At((id,)): At<(ApiKeyId,)>,
    Given(wish): Given<Overlap>,
) -> Result<Created<CreatedKey>, Problem> {
    let former = keys::by_id(&mut *cx.read().await?, id).await?;
    let former = former.ok_or_else(|| Problem::of(ErrorKind::NotFound))?;
    roles::check_scopes(&cx, &app.authorizer, &former.scopes).await?;
    let (id, key) = keys::rotate(&cx, id, wish.overlap.0).await?;
    Ok(Created(CreatedKey {
        id: id.to_string(),
        key,
    }))
}

async fn revoke(Caller(cx): Caller, At((id,)): At<(ApiKeyId,)>) -> Result<StatusCode, Problem> {
    keys::revoke(&cx, id, "revoked by an administrator").await?;
    Ok(StatusCode::NO_CONTENT)
}
