//! The route table: every route with its permission, in one place. A route without one cannot be written.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::{Extensions, Method, StatusCode};
use hub_access::Action;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::front::admit;
use crate::state::App;

/// Who may call a route.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guard {
    /// Anybody; the text says why that is right.
    Public(&'static str),
    /// Operators with this permission, and whoever is on the machine if the configuration says so.
    Local(Action),
    /// A proven caller whom the policies permit this.
    Needs(Action),
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) guard: Guard,
    pub(crate) summary: &'static str,
    pub(crate) takes: Option<SchemaOf>,
    pub(crate) asks: Option<SchemaOf>,
    pub(crate) gives: (StatusCode, Option<SchemaOf>),
    /// The media type of the answer.
    pub(crate) media: &'static str,
}

impl Route {
    /// The JSON body that the route takes.
    pub(crate) fn takes<T: JsonSchema>(&mut self) -> &mut Self {
        self.takes = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// Its query parameters.
    pub(crate) fn asks<T: JsonSchema>(&mut self) -> &mut Self {
        self.asks = Some(SchemaGenerator::root_schema_for::<T>);
        self
    }

    /// Its answer when all went well.
    pub(crate) fn gives<T: JsonSchema>(&mut self, status: StatusCode) -> &mut Self {
        self.gives = (status, Some(SchemaGenerator::subschema_for::<T>));
        self
    }

    /// An answer without a JSON body.
    pub(crate) fn answers(&mut self, status: StatusCode, media: &'static str) -> &mut Self {
        self.gives = (status, None);
        self.media = media;
        self
    }
}

/// The pattern of the route that answered, for metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matched(pub(crate) &'static str);

/// How many records an answer held, for the access log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Records(pub(crate) u64);

/// The table while it is being written.
pub(crate) struct Api {
    app: App,
    router: Router<App>,
    routes: Vec<Route>,
    /// Bytes of the next route's body, where it differs from the configured limit of all.
    body_limit: Option<usize>,
}

impl Api {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app,
            router: Router::new(),
            routes: Vec::new(),
            body_limit: None,
        }
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The next route takes bodies of up to `bytes`.
    pub(crate) fn with_body_limit(&mut self, bytes: usize) -> &mut Self {
        self.body_limit = Some(bytes);
        self
    }

    /// A route for callers who hold `action`.
    pub(crate) fn at<H, T>(
        &mut self,
        method: Method,
        path: &'static str,
        (action, summary): (Action, &'static str),
        handler: H,
    ) -> &mut Route
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.put(method, path, Guard::Needs(action), summary, handler)
    }

    /// A route for anybody; `why` says why that is right.
    pub(crate) fn public<H, T>(
        &mut self,
        method: Method,
        path: &'static str,
        (why, summary): (&'static str, &'static str),
        handler: H,
    ) -> &mut Route
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.put(method, path, Guard::Public(why), summary, handler)
    }

    /// A route for operators, or for the machine itself.
    pub(crate) fn local<H, T>(
        &mut self,
        method: Method,
        path: &'static str,
        (action, summary): (Action, &'static str),
        handler: H,
    ) -> &mut Route
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.put(method, path, Guard::Local(action), summary, handler)
    }

    fn put<H, T>(
        &mut self,
        method: Method,
        path: &'static str,
        guard: Guard,
        summary: &'static str,
        handler: H,
    ) -> &mut Route
    where
        H: Handler<T, App>,
        T: 'static,
    {
        // INVARIANT: the handler is reachable only through the guard.
        let guarded = from_fn_with_state((self.app.clone(), guard, path), pass);
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let router = std::mem::take(&mut self.router);
        let route = match self.body_limit.take() {
            Some(bytes) => on(filter, handler).layer(DefaultBodyLimit::max(bytes)),
            None => on(filter, handler),
        };
        self.router = router.route(path, route.layer(guarded));
        self.routes.push(Route {
            method,
            path,
            guard,
            summary,
            takes: None,
            asks: None,
            gives: (StatusCode::OK, None),
            media: "application/json",
        });
        let last = self.routes.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "one was pushed just now")]
        &mut self.routes[last]
    }

    pub(crate) fn finish(self) -> (Router<App>, Vec<Route>) {
        (self.router, self.routes)
    }
}

async fn pass(
    State((app, guard, path)): State<(App, Guard, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard {
        Guard::Public(_) => match admit::visitor(&app, request.extensions()) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        },
        Guard::Local(action) if admit::is_local(&app, request.extensions()) => {
            tracing::trace!(permission = action.name(), "served to the machine itself");
            next.run(request).await
        }
        Guard::Local(action) | Guard::Needs(action) => admitted(&app, action, request, next).await,
    };
    response.extensions_mut().insert(Matched(path));
    response
}

async fn admitted(app: &App, action: Action, mut request: Request, next: Next) -> Response {
    let claim = match admit::claim(app, &request) {
        Ok(claim) => claim,
        Err(problem) => return problem.into_response(),
    };
    let admission = match claim.prove(app).await {
        Ok(admission) => admission,
        Err(problem) => return problem.into_response(),
    };
    if let Err((problem, verdict)) = admission.permit(app, action).await {
        admission.note(app, action, verdict, 0);
        return problem.into_response();
    }
    request.extensions_mut().insert(admission.cx.clone());
    let response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let verdict = match response.status() {
        StatusCode::FORBIDDEN => crate::front::access_log::Verdict::Denied,
        _ if failed => crate::front::access_log::Verdict::Failed,
        _ => crate::front::access_log::Verdict::Done,
    };
    admission.note(app, action, verdict, records(response.extensions()));
    response
}

fn records(extensions: &Extensions) -> u64 {
    extensions.get::<Records>().map_or(0, |records| records.0)
}
