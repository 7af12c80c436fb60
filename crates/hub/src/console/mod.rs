//! The console: server-rendered pages for people. Works without scripts; scripts make it live.
//!
//! Knows nothing of the domain's rules: a page asks a room, turns the answer into words (`view`), and renders.

mod assets;
mod door;
mod forms;
mod incidents;
mod ledger;
mod live;
mod now;
mod page;
mod runbooks;
mod view;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{MethodRouter, get, post};
use hub_access::Action;

use crate::state::App;

/// The console's routes; each page but those around signing in stands behind a permission.
pub(crate) fn router(app: App) -> Router<App> {
    let see = Action::IncidentsRead;
    Router::new()
        .route("/", get(async || Redirect::to("/console/now")))
        .route("/console", get(async || Redirect::to("/console/now")))
        .route("/console/assets/{hash}/{name}", get(assets::serve))
        .route(
            "/console/sign-in",
            open(&app, get(forms::sign_in_page).post(forms::sign_in)),
        )
        .route(
            "/console/forgot",
            open(&app, get(forms::forgot_page).post(forms::forgot)),
        )
        .route(
            "/console/reset",
            open(&app, get(forms::reset_page).post(forms::reset)),
        )
        .route(
            "/console/sign-out",
            guarded(&app, Action::Itself, post(forms::sign_out)),
        )
        .route("/console/now", page_of(&app, see, now::now))
        .route("/console/live", page_of(&app, see, live::live))
        .route("/console/incidents", page_of(&app, see, incidents::list))
        .route(
            "/console/incidents/{id}",
            page_of(&app, see, incidents::show),
        )
        .route(
            "/console/incidents/{id}/status",
            guarded(&app, Action::IncidentsRespond, post(incidents::decide)),
        )
        .route(
            "/console/incidents/{id}/actions/{action}/release",
            guarded(&app, Action::IncidentsRespond, post(incidents::release)),
        )
        .merge(runs(&app))
        .route(
            "/console/ledger",
            page_of(&app, Action::LedgerRead, ledger::list),
        )
        .route(
            "/console/ledger/{index}",
            page_of(&app, Action::LedgerRead, ledger::entry),
        )
}

fn runs(app: &App) -> Router<App> {
    let (see, say) = (Action::OperationsRead, Action::OperationsRecord);
    Router::new()
        .route("/console/runbooks", page_of(app, see, runbooks::list))
        .route("/console/runbooks/{id}", page_of(app, see, runbooks::show))
        .route(
            "/console/runbooks/{id}/live",
            page_of(app, see, runbooks::live),
        )
        .route(
            "/console/runbooks/{id}/answers",
            guarded(app, say, post(runbooks::answer)),
        )
        .route(
            "/console/runbooks/{id}/notes",
            guarded(app, say, post(runbooks::note)),
        )
}

fn page_of<H, T>(app: &App, action: Action, handler: H) -> MethodRouter<App>
where
    H: Handler<T, App>,
    T: 'static,
{
    guarded(app, action, get(handler))
}

/// For anybody, counted by address: who has forgotten a password cannot prove who they are.
fn open(app: &App, route: MethodRouter<App>) -> MethodRouter<App> {
    route.layer(from_fn_with_state(app.clone(), door::visitor))
}

fn guarded(app: &App, action: Action, route: MethodRouter<App>) -> MethodRouter<App> {
    route.layer(from_fn_with_state((app.clone(), action), door::admit))
}
