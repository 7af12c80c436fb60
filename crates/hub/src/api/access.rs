//! Roles of the caller's tenant.

use std::collections::BTreeSet;

use axum::extract::State;
use http::{Method, StatusCode};
use hub_access::Action;
use hub_access::roles::{self, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{At, Caller, Given, Json, List, Reply};
use super::table::Api;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/roles",
        (Action::RolesRead, "Roles and what they permit"),
        list,
    )
    .gives::<List<RoleView>>(StatusCode::OK);
    api.at(
        Method::PUT,
        "/api/v2/roles/{name}",
        (Action::RolesUpdate, "Define a role"),
        define,
    )
    .takes::<Permissions>()
    .gives::<RoleView>(StatusCode::OK);
}

#[derive(Debug, Serialize, JsonSchema)]
struct RoleView {
    name: String,
    permissions: BTreeSet<String>,
    built_in: bool,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        Self {
            name: role.name,
            permissions: role.permissions,
            built_in: role.built_in,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Permissions {
    /// The hub's own (`users.read`) or an application's (`document.read`).
    permissions: BTreeSet<String>,
}

async fn list(Caller(cx): Caller) -> Result<List<RoleView>, Problem> {
    Ok(List::whole(
        roles::list(&cx).await?.into_iter().map(RoleView::from),
    ))
}

async fn define(
    State(app): State<App>,
    Caller(cx): Caller,
    At((name,)): At<(String,)>,
    Given(wish): Given<Permissions>,
) -> Reply<RoleView> {
    Ok(Json(
        roles::define(&cx, &app.authorizer, &name, wish.permissions)
            .await?
            .into(),
    ))
}
