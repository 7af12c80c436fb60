//! From a request to its caller: credential, block list, rate, permission.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{Extensions, HeaderMap, Method, Request};
use hub_access::Action;
use hub_base::{Actor, ErrorKind, Origin, Principal, TenantId};
use hub_identity::Error as IdentityError;
use hub_store::Cx;

use super::access_log::Verdict;
use super::pipeline::Visit;
use super::rate::Who;
use crate::config::Exposure;
use crate::problem::Problem;
use crate::state::{App, SESSION_COOKIE};

/// A caller whose credential was good.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) cx: Cx,
}

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .find_map(|pair| {
            pair.trim()
                .split_once('=')
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value)
        })
}

/// What a caller offers as proof.
#[derive(Debug, PartialEq, Eq)]
enum Credential<'h> {
    Bearer(&'h str),
    Cookie(&'h str),
}

fn credential(headers: &HeaderMap) -> Option<Credential<'_>> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| Credential::Bearer(token.trim()));
    }
    cookie(headers, SESSION_COOKIE).map(Credential::Cookie)
}

/// Whether a browser says that another site caused this request. Browsers always say where an unsafe request comes
/// from, in `Sec-Fetch-Site` or in `Origin`; who says neither is no browser, and holds the cookie itself.
pub(crate) fn is_cross_site(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return false;
    }
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("unreadable"))
    };
    if let Some(site) = text(http::header::HeaderName::from_static("sec-fetch-site")) {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = text(ORIGIN) else {
        return false;
    };
    let host = text(HOST);
    origin.split_once("://").map(|(_, authority)| authority) != host
}

fn visit(extensions: &Extensions) -> Result<&Visit, Problem> {
    extensions
        .get::<Visit>()
        .ok_or_else(|| Problem::of(ErrorKind::Internal))
}

/// A visitor without a proven identity: counted by address.
pub(crate) fn visitor(app: &App, extensions: &Extensions) -> Result<(), Problem> {
    let address = visit(extensions)?.origin.address;
    app.rate
        .take(Who::Address(address), app.clock().now())
        .map_err(slow_down)
}

/// Whether the request comes from the machine itself, and the configuration says that this is enough.
pub(crate) fn is_local(app: &App, extensions: &Extensions) -> bool {
    app.config.metrics == Exposure::Loopback && visit(extensions).is_ok_and(|visit| visit.is_local)
}

/// What a caller claims, still unproven. Apart from the request, which cannot be shared while we wait.
pub(crate) fn claim<B>(app: &App, request: &Request<B>) -> Result<Claim, Problem> {
    identify(
        app,
        request.method(),
        request.headers(),
        request.extensions(),
    )
}

/// A credential and where it came from.
#[derive(Debug)]
pub(crate) struct Claim {
    bearer: Option<String>,
    session: Option<String>,
    visit: Visit,
}

fn identify(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Claim, Problem> {
    let visit = visit(extensions)?.clone();
    let claim = |bearer, session| Claim {
        bearer,
        session,
        visit,
    };
    match credential(headers) {
        Some(Credential::Bearer(token)) => Ok(claim(Some(token.to_owned()), None)),
        Some(Credential::Cookie(_)) if is_cross_site(method, headers) => Err(Problem::cross_site()),
        Some(Credential::Cookie(session)) => Ok(claim(None, Some(session.to_owned()))),
        None => {
            app.metrics.authenticated("none");
            Err(Problem::of(ErrorKind::Unauthenticated))
        }
    }
}

impl Claim {
    /// Who is calling. Everything but the permission is checked here.
    pub(crate) async fn prove(self, app: &App) -> Result<Admission, Problem> {
        let now = app.clock().now();
        let proven = match (&self.bearer, &self.session) {
            (Some(token), _) => app.authenticator.bearer(token).await,
            (None, session) => {
                app.authenticator
                    .cookie(session.as_deref().unwrap_or_default())
                    .await
            }
        };
        let principal = match proven {
            Ok(principal) => principal,
            Err(error) => return Err(self.unproven(app, error)),
        };
        app.metrics.authenticated("good");
        app.rate
            .take(who(&principal, &self.visit), now)
            .map_err(slow_down)?;
        Ok(Admission {
            cx: Cx::new(app.store.clone(), principal, Some(self.visit.origin)),
        })
    }

    /// A bad credential costs its address, so that guessing is slow.
    fn unproven(self, app: &App, error: IdentityError) -> Problem {
        app.metrics.authenticated("bad");
        match app
            .rate
            .take(Who::Address(self.visit.origin.address), app.clock().now())
        {
            Err(wait) => slow_down(wait),
            Ok(()) => error.into(),
        }
    }
}

fn who(principal: &Principal, visit: &Visit) -> Who {
    match &principal.actor {
        Actor::User { user, .. } => Who::User(*user),
        Actor::ApiKey { key, .. } => Who::Key(*key),
        Actor::Anonymous | Actor::System { .. } => Who::Address(visit.origin.address),
    }
}

fn slow_down(seconds: u64) -> Problem {
    Problem::of(ErrorKind::TooMany).retry(seconds)
}

/// Refuses an address that the tenant has blocked.
pub(crate) fn unblocked(app: &App, tenant: TenantId, visit: &Visit) -> Result<(), Problem> {
    if app
        .blocks
        .refuses(tenant, visit.origin.address, app.clock().now())
    {
        app.metrics.authenticated("blocked");
        return Err(Problem::address_blocked());
    }
    Ok(())
}

/// How long one answer goes on at most; who watches longer asks again, and shows the credential again.
pub(crate) const WATCH: std::time::Duration = std::time::Duration::from_mins(15);

/// Whether a caller who was let in some time ago would still be: not revoked, not locked, not blocked.
pub(crate) fn may_stay(app: &App, cx: &Cx) -> bool {
    let is_blocked = |origin: &Arc<Origin>| {
        app.blocks
            .refuses(cx.tenant(), origin.address, app.clock().now())
    };
    !app.revocations.refuses(&cx.principal) && !cx.origin.as_ref().is_some_and(is_blocked)
}

impl Admission {
    /// Whether this caller may do `action`, from where they are.
    pub(crate) async fn permit(&self, app: &App, action: Action) -> Result<(), (Problem, Verdict)> {
        if let Some(origin) = &self.cx.origin
            && app
                .blocks
                .refuses(self.cx.tenant(), origin.address, app.clock().now())
        {
            app.metrics.authenticated("blocked");
            return Err((Problem::address_blocked(), Verdict::Blocked));
        }
        match crate::permits::decide(app, &self.cx, action).await {
            Ok(true) => Ok(()),
            Ok(false) => Err((crate::permits::lacking(action), Verdict::Denied)),
            Err(problem) => Err((problem, Verdict::Failed)),
        }
    }

    /// Tells the access log how it ended.
    pub(crate) fn note(&self, app: &App, action: Action, verdict: Verdict, records: u64) {
        if let Some(origin) = &self.cx.origin {
            let what = (action.name(), verdict, records);
            app.access_log.note(
                &self.cx.principal,
                origin,
                what,
                app.clock().now(),
                &app.metrics,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_cookie_does_not_count_from_another_site() {
        let check = |pairs: &[(&'static str, &str)]| is_cross_site(&Method::POST, &headers(pairs));
        assert!(check(&[("sec-fetch-site", "cross-site")]));
        assert!(check(&[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://hub.test"),
            ("host", "hub.test")
        ]));
        assert!(check(&[
            ("origin", "https://evil.test"),
            ("host", "hub.test")
        ]));
        assert!(check(&[("origin", "null"), ("host", "hub.test")]));
        assert!(!check(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://hub.test")
        ]));
        assert!(!check(&[
            ("origin", "https://hub.test:8443"),
            ("host", "hub.test:8443")
        ]));
        assert!(!check(&[]));
        assert!(!is_cross_site(
            &Method::GET,
            &headers(&[("origin", "https://evil.test")])
        ));
    }

    #[test]
    fn cookies_are_found_among_others() {
        let headers = headers(&[("cookie", "a=1; hub_session=xyz;b=2")]);
        assert_eq!(cookie(&headers, "hub_session"), Some("xyz"));
        assert_eq!(cookie(&headers, "session"), None);
        assert_eq!(credential(&headers), Some(Credential::Cookie("xyz")));
    }

    #[test]
    fn a_bearer_comes_before_a_cookie_and_other_schemes_are_none() {
        let both = headers(&[
            ("cookie", "hub_session=x"),
            ("authorization", "bearer shk_1"),
        ]);
        assert_eq!(credential(&both), Some(Credential::Bearer("shk_1")));
        assert_eq!(
            credential(&headers(&[("authorization", "Basic YQ==")])),
            None
        );
    }
}
