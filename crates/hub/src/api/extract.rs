//! What handlers take and give: the caller's context, path, query and body, each refusal naming field and reason.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use hub_base::{ErrorKind, Page};
use hub_store::Cx;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::table::Records;
use crate::front::pipeline::Visit;
use crate::problem::Problem;
use crate::state::App;

/// What a handler answers.
pub(crate) type Reply<T> = Result<Json<T>, Problem>;

/// A JSON answer.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A JSON answer to a creation.
#[derive(Debug)]
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

/// A list, with the number of its records for the access log.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Give this as `after` to read on; null at the end.
    pub(crate) next: Option<String>,
}

impl<T> List<T> {
    pub(crate) fn whole(items: impl IntoIterator<Item = T>) -> Self {
        Self {
            items: items.into_iter().collect(),
            next: None,
        }
    }

    pub(crate) fn page<S, K: ToString>(page: Page<S, K>, view: impl FnMut(S) -> T) -> Self {
        Self {
            next: page.next.map(|key| key.to_string()),
            items: page.items.into_iter().map(view).collect(),
        }
    }
}

impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        let records = Records(self.items.len() as u64);
        let mut response = axum::Json(self).into_response();
        response.extensions_mut().insert(records);
        response
    }
}

/// The admitted caller's context.
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Cx);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        // Only the guard puts it there; without a guard there is no caller.
        parts
            .extensions
            .get::<Cx>()
            .cloned()
            .map(Self)
            .ok_or_else(|| Problem::of(ErrorKind::Unauthenticated))
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::of(ErrorKind::Internal))
    }
}

/// The path's parameters, in order.
#[derive(Debug)]
pub(crate) struct At<T>(pub(crate) T);

async fn path(parts: &mut Parts, app: &App) -> Result<Vec<(String, String)>, Problem> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|error| Problem::malformed().detail(format!("path: {error}")))?;
    Ok(params
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// A parameter that does not parse names nothing that could be here.
fn segment<T: FromStr<Err: Display>>(
    params: &[(String, String)],
    nth: usize,
) -> Result<T, Problem> {
    let (name, text) = params
        .get(nth)
        .ok_or_else(|| Problem::of(ErrorKind::Internal))?;
    text.parse()
        .map_err(|error| Problem::malformed().detail(format!("path: {name}: {error}")))
}

impl<A: FromStr<Err: Display>> FromRequestParts<App> for At<(A,)> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = path(parts, app).await?;
        Ok(Self((segment(&params, 0)?,)))
    }
}

impl<A, B> FromRequestParts<App> for At<(A, B)>
where
    A: FromStr<Err: Display>,
    B: FromStr<Err: Display>,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = path(parts, app).await?;
        Ok(Self((segment(&params, 0)?, segment(&params, 1)?)))
    }
}

/// The query's parameters; an unknown or ill-typed one is named.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| Problem::malformed().detail(format!("query: {}", error.body_text())))
    }
}

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Given<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Given<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let media = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let is_json = media.is_some_and(|text| {
            let essence = text.split(';').next().unwrap_or("").trim();
            essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
        });
        if !is_json {
            return Err(Problem::media_type());
        }
        let bytes = Bytes::from_request(request, app)
            .await
            .map_err(unreadable)?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let (field, inner) = (error.path().to_string(), error.into_inner());
            let problem = if inner.is_data() {
                Problem::of(ErrorKind::Invalid)
            } else {
                Problem::malformed()
            };
            problem.detail(format!("body: {field}: {inner}"))
        })?;
        reader
            .end()
            .map_err(|error| Problem::malformed().detail(format!("body: {error}")))?;
        Ok(Self(value))
    }
}

/// A body of any media type.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<App> for Raw {
    type Rejection = Problem;
    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        Bytes::from_request(request, app)
            .await
            .map(Self)
            .map_err(unreadable)
    }
}

fn unreadable(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::malformed().detail("body: it could not be read to its end"),
    }
}
