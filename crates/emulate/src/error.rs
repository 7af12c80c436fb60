//! What can go wrong with an emulation itself (an attack that is not caught is no error but a result).

use hub_base::ErrorKind;

/// The room's faults.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the scenario {file}, line {line}, column {column}: {what}")]
    Scenario {
        file: String,
        line: usize,
        column: usize,
        what: String,
    },
    #[error("the scenario {file}: {what}")]
    Content { file: String, what: String },
    #[error("{address} does not answer")]
    Unreachable {
        address: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{method} {path} answered {status}: {detail}")]
    Refused {
        method: String,
        path: String,
        status: u16,
        detail: String,
    },
    #[error("{path} answered something else than expected: {what}")]
    Unexpected { path: String, what: String },
    #[error("the report could not be made")]
    Report(#[source] askama::Error),
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Scenario { .. } | Self::Content { .. } => ErrorKind::Invalid,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Refused { status, .. } => match *status {
                401 => ErrorKind::Unauthenticated,
                403 => ErrorKind::Forbidden,
                409 => ErrorKind::Conflict,
                429 => ErrorKind::TooMany,
                400..=499 => ErrorKind::Invalid,
                _ => ErrorKind::Unavailable,
            },
            Self::Unexpected { .. } | Self::Report(_) => ErrorKind::Internal,
        }
    }
}
