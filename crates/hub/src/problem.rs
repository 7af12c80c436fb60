//! Errors as a client sees them: `application/problem+json` (RFC 9457), made in one place from a kind and its words.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use hub_base::{ErrorKind, chain};
use serde_json::json;

/// What the `type` of a problem begins with.
const TYPES: &str = "https://security-hub.dev/problems/";

/// A refusal or failure on its way to the client.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Option<String>,
    /// Seconds.
    retry_after: Option<u64>,
    /// A member of its own, for tools.
    more: Option<Box<(&'static str, serde_json::Value)>>,
    /// The whole chain, for the log; never for the client.
    cause: Option<String>,
}

impl Problem {
    const fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self {
            status,
            slug,
            title,
            detail: None,
            retry_after: None,
            more: None,
            cause: None,
        }
    }

    /// Of a kind, saying nothing more.
    pub(crate) const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "The request is not valid",
            ),
            ErrorKind::Unauthenticated => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in first")
            }
            ErrorKind::Forbidden => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "You may not do this")
            }
            ErrorKind::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "not-found",
                "There is no such thing here",
            ),
            ErrorKind::Conflict => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "The thing's state does not allow this",
            ),
            ErrorKind::TooMany => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests",
            )
            .retry(1),
            ErrorKind::Unavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Something the hub depends on does not answer",
            )
            .retry(2),
            ErrorKind::Internal => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The hub made a mistake",
            ),
        }
    }

    /// Of a room's error. What went wrong on our side is for the log only.
    pub(crate) fn from_error(kind: ErrorKind, error: &dyn std::error::Error) -> Self {
        let problem = Self::of(kind);
        match kind {
            ErrorKind::Internal | ErrorKind::Unavailable => Self {
                cause: Some(chain(error)),
                ..problem
            },
            ErrorKind::Invalid
            | ErrorKind::Unauthenticated
            | ErrorKind::Forbidden
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::TooMany => problem.detail(error.to_string()),
        }
    }

    pub(crate) const fn address_blocked() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "address-blocked",
            "This address is blocked",
        )
    }

    pub(crate) const fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross-site",
            "A cookie does not count in a request from another site",
        )
    }

    pub(crate) const fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
        )
    }

    pub(crate) const fn malformed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "The request could not be read",
        )
    }

    pub(crate) const fn media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The body must be application/json",
        )
    }

    pub(crate) const fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "This address does not take this method",
        )
    }

    pub(crate) const fn late() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "The answer took too long",
        )
        .retry(2)
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) const fn retry(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// What it says to the client, for pages.
    pub(crate) fn words(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.title)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            // The request's span carries its id.
            if self.status == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!(error = %cause, "a request failed");
            } else {
                tracing::warn!(error = %cause, "a request could not be served");
            }
        }
        let mut body = json!({
            "type": format!("{TYPES}{}", self.slug),
            "title": self.title,
            "status": self.status.as_u16(),
        });
        if let (Some(detail), Some(object)) = (self.detail, body.as_object_mut()) {
            object.insert("detail".to_owned(), detail.into());
        }
        if let (Some(more), Some(object)) = (self.more, body.as_object_mut()) {
            let (name, value) = *more;
            object.insert(name.to_owned(), value);
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

macro_rules! from_rooms {
    ($($error:ty),*) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::from_error(error.kind(), &error)
            }
        }
    )*};
}

from_rooms!(
    hub_store::Error,
    hub_access::Error,
    hub_detect::Error,
    hub_respond::Error
);

impl From<hub_operate::Error> for Problem {
    fn from(error: hub_operate::Error) -> Self {
        let mut problem = Self::from_error(error.kind(), &error);
        if let hub_operate::Error::Answered { by, choice } = error {
            problem.more = Some(Box::new(("first", json!({"by": by, "choice": choice}))));
        }
        problem
    }
}

impl From<hub_identity::Error> for Problem {
    fn from(error: hub_identity::Error) -> Self {
        let problem = Self::from_error(error.kind(), &error);
        match error {
            hub_identity::Error::TooMany { retry_after } => {
                problem.retry(retry_after.as_secs().max(1))
            }
            _ => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_faults_keep_their_words_to_themselves() {
        let error = std::io::Error::other("disk 7 at /secret");
        assert!(
            Problem::from_error(ErrorKind::Internal, &error)
                .detail
                .is_none()
        );
        assert_eq!(
            Problem::from_error(ErrorKind::Invalid, &error).words(),
            "disk 7 at /secret"
        );
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let response = Problem::of(ErrorKind::TooMany).retry(7).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
