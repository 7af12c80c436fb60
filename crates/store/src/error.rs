//! What can go wrong between the hub and its database.

use hub_base::ErrorKind;

/// The store's faults. `Display` never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database did not answer")]
    Unavailable(#[source] sqlx::Error),
    #[error("the database refused a statement")]
    Refused(#[source] sqlx::Error),
    /// A unique or foreign-key constraint, by its name, so that a room can map it to the field at fault.
    #[error("the change breaks the rule `{constraint}`")]
    Constraint { constraint: String, #[source] source: sqlx::Error },
    /// A row that does not parse: a bug or tampering, never the user's fault.
    #[error("table `{table}`, column `{column}`, row `{id}` is inconsistent")]
    Inconsistent { table: &'static str, column: &'static str, id: String },
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Constraint { .. } => ErrorKind::Conflict,
            Self::Refused(_) | Self::Inconsistent { .. } => ErrorKind::Internal,
        }
    }

    /// The name of the constraint that refused the change, if one did.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { constraint, .. } => Some(constraint),
            Self::Unavailable(_) | Self::Refused(_) | Self::Inconsistent { .. } => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            if let Some(constraint) = database.constraint() {
                let constraint = constraint.to_owned();
                return Self::Constraint { constraint, source: error };
            }
            // 53: insufficient resources (disk full), 57: shutdown or cancel, 40: serialisation, 08: connection.
            let code = database.code().unwrap_or_default();
            return match code.get(..2) {
                Some("53" | "57" | "40" | "08") => Self::Unavailable(error),
                _ => Self::Refused(error),
            };
        }
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(error),
            other => Self::Refused(other),
        }
    }
}
