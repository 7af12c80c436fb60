//! Signing in and what belongs to it: tokens, forgotten passwords, the first administrator.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hub_base::{Principal, TenantId};
use hub_identity::sessions::{self, ACCESS_TOKEN_TTL, Login, LoginParts, SESSION_TTL, Tokens};
use hub_identity::users::NewUser;
use hub_identity::{credential, enrolment, passwords};
use hub_store::{Cx, WriteTx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Created, Given, Json};
use super::table::Api;
use crate::front::Scheme;
use crate::front::admit;
use crate::front::pipeline::Visit;
use crate::permits;
use crate::problem::Problem;
use crate::state::{App, DEVICE_COOKIE, DEVICE_TTL, SESSION_COOKIE};

pub(super) fn routes(api: &mut Api) {
    let proves = "it proves the caller itself";
    api.public(
        Method::POST,
        "/api/v2/login",
        (proves, "Sign in with a password"),
        login,
    )
    .takes::<LoginRequest>()
    .gives::<TokensView>(StatusCode::OK);
    api.public(
        Method::POST,
        "/api/v2/token/refresh",
        (proves, "Exchange a refresh token"),
        refresh,
    )
    .takes::<RefreshRequest>()
    .gives::<TokensView>(StatusCode::OK);
    let same = "the answer is the same for everybody";
    api.public(
        Method::POST,
        "/api/v2/password/forgot",
        (same, "Ask for a password reset"),
        forgot,
    )
    .takes::<ForgotRequest>()
    .answers(StatusCode::ACCEPTED, "");
    api.public(
        Method::POST,
        "/api/v2/password/reset",
        (proves, "Set a password with a reset token"),
        reset,
    )
    .takes::<ResetRequest>()
    .answers(StatusCode::NO_CONTENT, "");
    api.public(
        Method::POST,
        "/api/v2/enrol",
        (proves, "Make the first administrator"),
        enrol,
    )
    .takes::<EnrolRequest>()
    .gives::<EnrolView>(StatusCode::CREATED);
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LoginRequest {
    /// The tenant's slug.
    tenant: String,
    username: String,
    password: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefreshRequest {
    refresh_token: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForgotRequest {
    tenant: String,
    username: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    token: String,
    password: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EnrolRequest {
    /// Shown once when the hub first started.
    secret: String,
    username: String,
    email: String,
    password: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct TokensView {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    refresh_token: String,
    session_id: String,
    user_id: String,
    tenant_id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EnrolView {
    user_id: String,
    tenant_id: String,
}

impl TokensView {
    fn new(tenant: TenantId, tokens: &Tokens) -> Self {
        Self {
            access_token: tokens.access.clone(),
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_TTL.as_secs(),
            refresh_token: tokens.refresh.clone(),
            session_id: tokens.session.to_string(),
            user_id: tokens.user.to_string(),
            tenant_id: tenant.to_string(),
        }
    }
}

fn anonymous(app: &App, tenant: TenantId, visit: &Visit) -> Cx {
    Cx::new(
        app.store.clone(),
        Principal::anonymous(tenant),
        Some(visit.origin.clone()),
    )
}

/// Stands for all tenants that do not exist, in the turns for hashing.
const NOBODY: TenantId = TenantId::from_uuid(uuid::Uuid::max());

/// The tenant of that slug; an unknown one answers like a wrong password.
async fn tenant(app: &App, slug: &str) -> Result<TenantId, Problem> {
    let tenant = app.slugs.find(&app.store, slug).await?;
    tenant.ok_or_else(|| hub_identity::Error::BadLogin.into())
}

/// Signs a person in; also what the console's form does.
pub(crate) async fn sign_in(
    app: &App,
    visit: &Visit,
    slug: &str,
    login: &Login,
) -> Result<(TenantId, Tokens), Problem> {
    let tenant = match tenant(app, slug).await {
        Ok(tenant) => tenant,
        Err(problem) => {
            // As long as a wrong password takes: no list of the tenants comes out of guessing.
            app.hashing.check(NOBODY, &login.password, None).await?;
            return Err(problem);
        }
    };
    let cx = anonymous(app, tenant, visit);
    if let Err(problem) = admit::unblocked(app, tenant, visit) {
        sessions::refuse_blocked(&cx, &login.username).await?;
        return Err(problem);
    }
    let parts = LoginParts {
        pool: &app.hashing,
        throttle: &app.throttle,
        tokens: &app.tokens,
    };
    let roles = async |cx: &Cx, user| permits::roles(app, cx.tenant(), user).await;
    let tokens = sessions::login(&cx, login, parts, roles).await;
    app.metrics.authenticated(if tokens.is_ok() {
        "signed_in"
    } else {
        "refused"
    });
    Ok((tenant, tokens?))
}

/// The cookies of a fresh session.
pub(crate) fn cookies(app: &App, visit: &Visit, tokens: &Tokens) -> HeaderMap {
    let secure = if visit.scheme == Scheme::Https {
        "; Secure"
    } else {
        ""
    };
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str, seconds: u64| {
        let text =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(SET_COOKIE, value);
        }
    };
    if let Some(value) = &tokens.cookie {
        put(SESSION_COOKIE, value, SESSION_TTL.as_secs());
    }
    if visit.origin.device.is_none()
        && let Some(value) = app.new_device()
    {
        put(DEVICE_COOKIE, &value, DEVICE_TTL.as_secs());
    }
    headers
}

async fn login(
    State(app): State<App>,
    visit: Visit,
    Given(request): Given<LoginRequest>,
) -> Result<Response, Problem> {
    let login = Login {
        username: request.username,
        password: request.password,
    };
    let (tenant, tokens) = sign_in(&app, &visit, &request.tenant, &login).await?;
    Ok((
        cookies(&app, &visit, &tokens),
        Json(TokensView::new(tenant, &tokens)),
    )
        .into_response())
}

async fn refresh(
    State(app): State<App>,
    visit: Visit,
    Given(request): Given<RefreshRequest>,
) -> Result<Json<TokensView>, Problem> {
    let bad = || Problem::from(hub_identity::Error::BadCredential);
    let tenant = credential::tenant_of(&request.refresh_token).ok_or_else(bad)?;
    admit::unblocked(&app, tenant, &visit)?;
    let cx = anonymous(&app, tenant, &visit);
    let roles = async |cx: &Cx, user| permits::roles(&app, cx.tenant(), user).await;
    let tokens = sessions::refresh(&cx, &request.refresh_token, &app.tokens, roles).await?;
    Ok(Json(TokensView::new(tenant, &tokens)))
}

async fn forgot(
    State(app): State<App>,
    visit: Visit,
    Given(request): Given<ForgotRequest>,
) -> Result<StatusCode, Problem> {
    ask_reset(&app, &visit, &request.tenant, &request.username).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Mails a reset to whom it may concern; also what the console's form does.
pub(crate) async fn ask_reset(
    app: &App,
    visit: &Visit,
    slug: &str,
    username: &str,
) -> Result<(), Problem> {
    if let Ok(tenant) = tenant(app, slug).await {
        admit::unblocked(app, tenant, visit)?;
        let mail = passwords::forgot(&anonymous(app, tenant, visit), username).await?;
        crate::workers::mail::reset(app, mail);
    }
    Ok(())
}

async fn reset(
    State(app): State<App>,
    visit: Visit,
    Given(request): Given<ResetRequest>,
) -> Result<StatusCode, Problem> {
    use_reset(&app, &visit, &request.token, &request.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a password with a reset token; also what the console's form does.
pub(crate) async fn use_reset(
    app: &App,
    visit: &Visit,
    token: &str,
    password: &str,
) -> Result<(), Problem> {
    let bad = || Problem::from(hub_identity::Error::BadCredential);
    let tenant = credential::tenant_of(token).ok_or_else(bad)?;
    admit::unblocked(app, tenant, visit)?;
    let cx = anonymous(app, tenant, visit);
    passwords::reset(&cx, token, password, &app.hashing).await?;
    Ok(())
}

async fn enrol(
    State(app): State<App>,
    visit: Visit,
    Given(request): Given<EnrolRequest>,
) -> Result<Created<EnrolView>, Problem> {
    let cx = anonymous(&app, TenantId::SYSTEM, &visit);
    let person = NewUser {
        display_name: request.username.clone(),
        username: request.username,
        email: request.email,
        password: request.password,
    };
    let name = person.username.clone();
    let grant = async |tx: &mut WriteTx, user| permits::First::Operator.give(tx, user, &name).await;
    let user = enrolment::enrol(&cx, &request.secret, person, &app.hashing, grant).await?;
    Ok(Created(EnrolView {
        user_id: user.to_string(),
        tenant_id: TenantId::SYSTEM.to_string(),
    }))
}
