//! Signing in and out by form.

use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hub_identity::passwords::RESET_TTL;
use hub_identity::sessions::{self, Login};
use serde::Deserialize;

use super::door::{page, render};
use super::view::{Forgot, Reset, SignIn};
use crate::api::extract::Caller;
use crate::api::sign_in;
use crate::front::admit;
use crate::front::pipeline::Visit;
use crate::problem::Problem;
use crate::state::{App, SESSION_COOKIE};

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
    /// What was done before: `reset` after a new password was set.
    #[serde(default)]
    done: String,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    tenant: String,
    username: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Only places of the console: never a way to another site.
fn inside(next: &str) -> &str {
    let plain = next
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/-_".contains(&b));
    if plain && next.starts_with("/console/") {
        next
    } else {
        "/console/now"
    }
}

pub(crate) async fn sign_in_page(State(app): State<App>, Query(wanted): Query<Wanted>) -> Response {
    let mut page = page(&app, None, None).await;
    if wanted.done == "reset" {
        page.notice = Some("The new password is set. Sign in with it.".to_owned());
    }
    let next = inside(&wanted.next).to_owned();
    let (tenant, username) = (String::new(), String::new());
    render(
        &page.clone(),
        &SignIn {
            page,
            tenant,
            username,
            next,
        },
    )
}

pub(crate) async fn sign_in(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Form(typed): Form<Credentials>,
) -> Response {
    if admit::is_cross_site(&Method::POST, &headers) {
        return Problem::cross_site().into_response();
    }
    let next = inside(&typed.next).to_owned();
    let login = Login {
        username: typed.username.clone(),
        password: typed.password,
    };
    match sign_in::sign_in(&app, &visit, typed.tenant.trim(), &login).await {
        Ok((_, tokens)) => {
            (sign_in::cookies(&app, &visit, &tokens), Redirect::to(&next)).into_response()
        }
        Err(problem) => {
            let mut page = page(&app, None, None).await;
            let status = problem.status();
            page.error = Some(problem.words().to_owned());
            let again = SignIn {
                page: page.clone(),
                tenant: typed.tenant,
                username: typed.username,
                next,
            };
            // A wrong password is an answer of the form, not a challenge to the browser.
            let status = if status == StatusCode::UNAUTHORIZED {
                StatusCode::OK
            } else {
                status
            };
            (status, render(&page, &again)).into_response()
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Forgetful {
    tenant: String,
    username: String,
}

pub(crate) async fn forgot_page(State(app): State<App>) -> Response {
    forgot_answer(&app, false, None).await
}

async fn forgot_answer(app: &App, asked: bool, error: Option<String>) -> Response {
    let mut page = page(app, None, None).await;
    page.error = error;
    let minutes = RESET_TTL.as_secs() / 60;
    render(
        &page.clone(),
        &Forgot {
            page,
            asked,
            minutes,
        },
    )
}

pub(crate) async fn forgot(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Form(typed): Form<Forgetful>,
) -> Response {
    if admit::is_cross_site(&Method::POST, &headers) {
        return Problem::cross_site().into_response();
    }
    match sign_in::ask_reset(&app, &visit, typed.tenant.trim(), &typed.username).await {
        Ok(()) => forgot_answer(&app, true, None).await,
        Err(problem) => {
            let answer = forgot_answer(&app, false, Some(problem.words().to_owned())).await;
            (problem.status(), answer).into_response()
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    token: String,
}

#[derive(Deserialize)]
pub(crate) struct NewPassword {
    token: String,
    password: String,
}

pub(crate) async fn reset_page(State(app): State<App>, Query(link): Query<Link>) -> Response {
    let page = page(&app, None, None).await;
    let token = link.token;
    render(&page.clone(), &Reset { page, token })
}

pub(crate) async fn reset(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Form(typed): Form<NewPassword>,
) -> Response {
    if admit::is_cross_site(&Method::POST, &headers) {
        return Problem::cross_site().into_response();
    }
    match sign_in::use_reset(&app, &visit, &typed.token, &typed.password).await {
        Ok(()) => Redirect::to("/console/sign-in?done=reset").into_response(),
        Err(problem) => {
            let mut page = page(&app, None, None).await;
            page.error = Some(if problem.status() == StatusCode::UNAUTHORIZED {
                "This link was used already, or is too old. Ask for a new one.".to_owned()
            } else {
                problem.words().to_owned()
            });
            let token = typed.token;
            render(&page.clone(), &Reset { page, token })
        }
    }
}

pub(crate) async fn sign_out(Caller(cx): Caller) -> Result<Response, Problem> {
    sessions::logout(&cx).await?;
    let mut response = Redirect::to("/console/sign-in").into_response();
    let gone = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    if let Ok(value) = HeaderValue::from_str(&gone) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    Ok(response)
}
