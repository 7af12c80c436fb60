//! The console: server-rendered pages for people.

use axum::Router;

use crate::state::App;

/// The console's routes.
pub(crate) fn router(_app: App) -> Router<App> {
    Router::new()
}
