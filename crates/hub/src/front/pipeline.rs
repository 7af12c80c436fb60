//! Around every request: its id, its span, its client address, a time limit, security headers, its count.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::FutureExt as _;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, USER_AGENT,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hub_base::{ErrorKind, Origin, RequestId};
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::listener::Answer;
use super::{Arrival, Scheme, address};
use crate::api::Matched;
use crate::problem::Problem;
use crate::state::App;

/// The longest user agent that is kept.
const USER_AGENT_BYTES: usize = 256;

/// What the front door knows of a request, for its handler.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) origin: Arc<Origin>,
    pub(crate) scheme: Scheme,
    /// The TCP peer is on this machine and no proxy stands between.
    pub(crate) is_local: bool,
}

/// The function that the accept loop calls for each request.
pub(crate) fn answer(app: App, router: Router) -> Answer {
    Arc::new(move |request, arrival| {
        let (app, router) = (app.clone(), router.clone());
        async move { respond(&app, router, request.map(Body::new), arrival).await }.boxed()
    })
}

async fn respond(
    app: &App,
    router: Router,
    mut request: Request<Body>,
    arrival: Arrival,
) -> Response<Body> {
    let visit = visit(app, request.headers(), arrival);
    let id = visit.origin.request;
    let span = tracing::info_span!("request", request.id = %id, http.method = %request.method());
    request.extensions_mut().insert(visit);
    let method = request.method().clone();
    let started = app.clock().now();
    let in_progress = app.metrics.begin(request.uri().path());
    // Streams answer with their head at once, so the limit never cuts a stream.
    let limit = app.config.limits.request_timeout;
    let answering = tokio::time::timeout(limit, router.oneshot(request)).instrument(span);
    let mut response = match AssertUnwindSafe(answering).catch_unwind().await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_late)) => Problem::late().into_response(),
        // Its words are on standard error.
        Err(_panic) => {
            tracing::error!(request.id = %id, "a request's handler panicked");
            Problem::of(ErrorKind::Internal).into_response()
        }
    };
    drop(in_progress);
    let took = app.clock().now().since(started);
    let route = response
        .extensions()
        .get::<Matched>()
        .map_or("none", |matched| matched.0);
    app.metrics
        .request(&method, route, response.status().as_u16(), took);
    tracing::debug!(request.id = %id, http.method = %method, http.route = route,
        http.status = response.status().as_u16(), duration_ms = took.as_millis() as u64, "a request was answered");
    dress(response.headers_mut(), id, arrival.scheme);
    response
}

fn visit(app: &App, headers: &HeaderMap, arrival: Arrival) -> Visit {
    let peer = arrival.peer.ip();
    let address = address::client(
        peer,
        &app.config.trusted_proxies,
        app.config.trusted_header,
        headers,
    );
    let user_agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .map(|text| text.get(..USER_AGENT_BYTES).unwrap_or(text).to_owned());
    let request = RequestId::new(&**app.clock());
    let origin = Origin {
        request,
        address,
        user_agent,
        device: app.device(headers),
    };
    Visit {
        origin: Arc::new(origin),
        scheme: arrival.scheme,
        is_local: peer.to_canonical().is_loopback() && !address::is_forwarded(headers),
    }
}

/// The headers that every response has; a handler's own come first.
fn dress(headers: &mut HeaderMap, id: RequestId, scheme: Scheme) {
    headers.reserve(10);
    let mut put = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    put(
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    );
    put(X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(X_FRAME_OPTIONS, "DENY");
    put(REFERRER_POLICY, "no-referrer");
    put(CACHE_CONTROL, "no-store");
    put(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    put(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    put(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    );
    if scheme == Scheme::Https {
        put(
            STRICT_TRANSPORT_SECURITY,
            "max-age=31536000; includeSubDomains",
        );
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}
