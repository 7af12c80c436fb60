//! The console's door: who may see a page, and the headers that every page has.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, Method, StatusCode};
use hub_access::Action;
use hub_base::{Actor, ErrorKind};
use hub_store::Cx;
use hub_store::directory;

use super::page::{Page, Place, Who};
use crate::front::access_log::Verdict;
use crate::front::admit;
use crate::problem::Problem;
use crate::state::App;

/// Lets in whom the policies let in; sends everybody else to the sign-in page.
pub(crate) async fn admit(
    State((app, action)): State<(App, Action)>,
    mut request: Request,
    next: Next,
) -> Response {
    let claim = admit::claim(&app, &request);
    let admission = match claim {
        Ok(claim) => claim.prove(&app).await,
        Err(problem) => Err(problem),
    };
    let admission = match admission {
        Ok(admission) => admission,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            return sign_in_first(&request);
        }
        Err(problem) => return problem.into_response(),
    };
    if let Err((problem, verdict)) = admission.permit(&app, action).await {
        admission.note(&app, action, verdict, 0);
        return refused(&app, &admission.cx, &problem).await;
    }
    request.extensions_mut().insert(admission.cx.clone());
    let response = next.run(request).await;
    admission.note(&app, action, Verdict::Done, 0);
    response
}

/// Lets anybody in, at a limited rate.
pub(crate) async fn visitor(State(app): State<App>, request: Request, next: Next) -> Response {
    match admit::visitor(&app, request.extensions()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn sign_in_first(request: &Request) -> Response {
    let wanted = request.uri().path();
    let back = if request.method() == Method::GET
        && wanted.starts_with("/console/")
        && !wanted.ends_with("/live")
    {
        format!("/console/sign-in?next={wanted}")
    } else {
        "/console/sign-in".to_owned()
    };
    Redirect::to(&back).into_response()
}

/// A page that says what is missing, in place of the one that was asked for.
async fn refused(app: &App, cx: &Cx, problem: &Problem) -> Response {
    let mut page = page(app, Some(cx), None).await;
    page.error = Some(problem.words().to_owned());
    let status = problem.status();
    (
        status,
        render(&page.clone(), &super::view::Refused { page }),
    )
        .into_response()
}

/// What a page begins with.
pub(crate) async fn page(app: &App, cx: Option<&Cx>, here: Option<Place>) -> Page {
    let who = match cx {
        Some(cx) => who(cx).await,
        None => None,
    };
    let nonce = hub_vault::Secret32::random()
        .map(|secret| hex::encode(secret.expose().first_chunk::<16>().unwrap_or(&[0; 16])))
        .unwrap_or_default();
    tracing::trace!(
        uptime_s = app.clock().now().since(app.started_at).as_secs(),
        "a page begins"
    );
    Page {
        nonce,
        version: env!("CARGO_PKG_VERSION"),
        who,
        here,
        error: None,
        notice: None,
    }
}

async fn who(cx: &Cx) -> Option<Who> {
    let Actor::User { username, .. } = &cx.principal.actor else {
        return None;
    };
    let mut tx = cx.read().await.ok()?;
    let tenant = directory::by_id(&mut tx, cx.tenant()).await.ok()??;
    Some(Who {
        username: username.clone(),
        tenant: tenant.slug,
    })
}

/// A page as a response with its Content-Security-Policy: scripts by nonce only, styles from here only.
pub(crate) fn render(page: &Page, template: &impl askama::Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            return Problem::from_error(hub_base::ErrorKind::Internal, &error).into_response();
        }
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{}'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types htmx",
        page.nonce
    );
    let mut response = axum::response::Html(html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// An id out of a page's address; what is none leads to nothing.
pub(super) fn id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::of(ErrorKind::NotFound))
}
