//! Tenants: for the operators of the hub.

use axum::extract::State;
use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::Timestamp;
use hub_identity::tenants;
use hub_identity::users::NewUser;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Caller, Created, Given, List};
use super::table::Api;
use crate::permits::First;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/tenants",
        (Action::TenantsRead, "All tenants"),
        list,
    )
    .gives::<List<TenantView>>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/tenants",
        (Action::TenantsCreate, "Make a tenant and its owner"),
        create,
    )
    .takes::<NewTenant>()
    .gives::<CreatedTenant>(StatusCode::CREATED);
}

#[derive(Debug, Serialize, JsonSchema)]
struct TenantView {
    id: String,
    slug: String,
    name: String,
    created_at: Timestamp,
    suspended_at: Option<Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    slug: String,
    name: String,
    owner: Owner,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Owner {
    username: String,
    email: String,
    #[serde(default)]
    display_name: String,
    password: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CreatedTenant {
    tenant_id: String,
    owner_id: String,
}

async fn list(Caller(cx): Caller) -> Result<List<TenantView>, Problem> {
    let tenants = tenants::list(&cx).await?;
    Ok(List::whole(tenants.into_iter().map(|tenant| TenantView {
        id: tenant.id.to_string(),
        slug: tenant.slug,
        name: tenant.name,
        created_at: tenant.created_at,
        suspended_at: tenant.suspended_at,
    })))
}

async fn create(
    State(app): State<App>,
    Caller(cx): Caller,
    Given(wish): Given<NewTenant>,
) -> Result<Created<CreatedTenant>, Problem> {
    let owner = NewUser {
        username: wish.owner.username,
        email: wish.owner.email,
        display_name: wish.owner.display_name,
        password: wish.owner.password,
    };
    let name = owner.username.clone();
    let grant = async |tx: &mut hub_store::WriteTx, user| First::Owner.give(tx, user, &name).await;
    let made = tenants::create(&cx, &wish.slug, &wish.name, owner, &app.hashing, grant).await?;
    Ok(Created(CreatedTenant {
        tenant_id: made.tenant.to_string(),
        owner_id: made.owner.to_string(),
    }))
}
