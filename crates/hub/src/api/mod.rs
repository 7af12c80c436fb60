//! The HTTP API: one file per resource, one table of routes.
//!
//! Handlers parse, call one verb of a room, and render. They know nothing of how a caller was proven or permitted.

mod access;
mod blocks;
mod cleanup;
mod evaluation;
mod events;
pub(crate) mod extract;
mod findings;
pub(crate) mod health;
mod holds;
pub(crate) mod incidents;
mod keys;
mod ledger;
mod live;
mod locations;
mod me;
mod openapi;
mod operations;
mod runs;
mod sessions;
pub(crate) mod sign_in;
mod table;
mod tenants;
mod users;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse as _, Response};
use hub_base::ErrorKind;

pub(crate) use table::Matched;

use crate::problem::Problem;
use crate::state::App;
use table::Api;

/// The whole API as one router, with its own description at `/openapi.json`.
pub(crate) fn router(app: &App) -> Router {
    let (router, description) = assemble(app);
    router
        .route(
            "/openapi.json",
            axum::routing::get(async move || described(&description)),
        )
        .merge(crate::console::router(app.clone()))
        .fallback(async || Problem::of(ErrorKind::NotFound))
        .method_not_allowed_fallback(async || Problem::method())
        .layer(DefaultBodyLimit::max(app.config.limits.body))
        .with_state(app.clone())
}

fn assemble(app: &App) -> (Router<App>, Arc<str>) {
    let mut api = Api::new(app.clone());
    sign_in::routes(&mut api);
    me::routes(&mut api);
    tenants::routes(&mut api);
    users::routes(&mut api);
    sessions::routes(&mut api);
    keys::routes(&mut api);
    access::routes(&mut api);
    evaluation::routes(&mut api);
    locations::routes(&mut api);
    operations::routes(&mut api);
    runs::routes(&mut api);
    holds::routes(&mut api);
    cleanup::routes(&mut api);
    events::routes(&mut api);
    findings::routes(&mut api);
    incidents::routes(&mut api);
    blocks::routes(&mut api);
    ledger::routes(&mut api);
    live::routes(&mut api);
    health::routes(&mut api);
    let (router, routes) = api.finish();
    (
        router,
        openapi::document(&routes, env!("CARGO_PKG_VERSION"))
            .to_string()
            .into(),
    )
}

fn described(document: &Arc<str>) -> Response {
    let mut response = document.to_string().into_response();
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    response.extensions_mut().insert(Matched("/openapi.json"));
    response
}
