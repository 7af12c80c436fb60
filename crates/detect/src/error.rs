//! What can go wrong in detection.

use hub_base::ErrorKind;

/// Detection's faults. `Display` never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store did not do its part in detection")]
    Store(#[source] hub_store::Error),
    /// A named location that cannot be.
    #[error("location `{name}`: {reason}")]
    Location { name: String, reason: String },
    /// A row that does not parse: a bug or tampering, never the user's fault.
    #[error("table `{table}`, column `{column}`, row `{id}` is inconsistent")]
    Inconsistent {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    /// Another worker has moved on meanwhile; nothing was written.
    #[error("another worker detects in this tenant")]
    Overtaken,
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Location { .. } => ErrorKind::Invalid,
            Self::Overtaken => ErrorKind::Conflict,
            Self::Inconsistent { .. } => ErrorKind::Internal,
        }
    }
}

impl From<hub_store::Error> for Error {
    fn from(error: hub_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
