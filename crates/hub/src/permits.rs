//! The bridge to the access room: who holds which roles, who may do what, who may hand what on.

use std::collections::BTreeSet;

use hub_access::{Action, Resource, roles};
use hub_base::{ErrorKind, Principal, TenantId, UserId};
use hub_store::{Cx, WriteTx};

use crate::problem::Problem;
use crate::state::App;

/// Whether the caller may do `action` in their tenant.
pub(crate) async fn decide(app: &App, cx: &Cx, action: Action) -> Result<bool, Problem> {
    let principal: &Principal = &cx.principal;
    // What one does to oneself has oneself as its owner.
    let resource = match (action, principal.user()) {
        (Action::Itself, Some(user)) => Resource::owned(cx.tenant(), user),
        _ => Resource::of(cx.tenant()),
    };
    Ok(app
        .authorizer
        .decide(principal, action, resource)
        .await?
        .allowed)
}

/// Refuses, as the route's own guard does, what part of a request needs beyond the route's permission.
pub(crate) async fn demand(app: &App, cx: &Cx, action: Action) -> Result<(), Problem> {
    if decide(app, cx, action).await? {
        return Ok(());
    }
    Err(lacking(action))
}

/// The answer to who lacks a permission.
pub(crate) fn lacking(action: Action) -> Problem {
    let needs = format!("this needs the permission `{}`", action.name());
    Problem::of(ErrorKind::Forbidden).detail(needs)
}

/// The names of a person's roles, for tokens and views. None if they cannot be read just now: a decision never
/// relies on them.
pub(crate) async fn roles(app: &App, tenant: TenantId, user: UserId) -> Vec<String> {
    app.authorizer
        .roles_of(tenant, user)
        .await
        .unwrap_or_default()
}

/// What is given without asking anybody: there is nobody yet who could.
#[derive(Debug, Clone, Copy)]
pub(crate) enum First {
    Operator,
    Owner,
}

impl First {
    pub(crate) async fn give(
        self,
        tx: &mut WriteTx,
        user: UserId,
        name: &str,
    ) -> Result<(), hub_store::Error> {
        let role = match self {
            Self::Operator => "operator",
            Self::Owner => "owner",
        };
        roles::grant_in(tx, user, name, &BTreeSet::from([role.to_owned()])).await
    }
}
