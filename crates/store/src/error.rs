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
    Constraint {
        constraint: String,
        #[source]
        source: sqlx::Error,
    },
    /// The ledger's stored tree contradicts itself: tampering or a bug.
    #[error("the ledger of this tenant is inconsistent: {0}")]
    Ledger(String),
    /// A row that does not parse: a bug or tampering, never the user's fault.
    #[error("table `{table}`, column `{column}`, row `{id}` is inconsistent")]
    Inconsistent {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    /// A limit passed before the batch was committed.
    #[error("nobody waits for this batch any more: it was not stored")]
    LetGo,
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// A migration that PostgreSQL refused; nothing of it remains.
    #[error("migration {file}, line {line}: {message}")]
    Migration {
        file: &'static str,
        line: usize,
        message: String,
        #[source]
        source: sqlx::Error,
    },
    /// A migration that was applied from another text than this binary carries.
    #[error(
        "migration {file} was applied from another text; this program and the database do not belong together"
    )]
    MigrationChanged { file: String },
    /// Migrations in the database that this binary does not know.
    #[error(
        "the database is at migration {found}, newer than this program ({known}): start the newer program"
    )]
    Ahead { found: i32, known: i32 },
    /// A migration in the database has taken away what this release uses.
    #[error(
        "this release ({known:04}) is too old for the database, from which a newer one took away what it uses: only releases from \
         migration {needs:04} on can run on it; start one of those"
    )]
    TooOld { needs: i32, known: i32 },
    /// A way back that would lose what people put in, and nobody said that it may.
    #[error(
        "the way back of {0} loses data, and no snapshot of it is asked for (--snapshot FILE): nothing was taken back"
    )]
    LosesData(String),
    #[error("the snapshot {}: {what}", path.display())]
    Snapshot {
        path: std::path::PathBuf,
        what: String,
    },
    /// The private cluster could not be made or started; the text says what and how to mend it.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    /// A value that cannot be stored as it is (too many rows, too long a key).
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable(_) | Self::LetGo | Self::Snapshot { .. } => ErrorKind::Unavailable,
            Self::Cluster(fault) => fault.kind(),
            Self::Constraint { .. } | Self::LosesData(_) => ErrorKind::Conflict,
            Self::Url(_) | Self::Invalid(_) => ErrorKind::Invalid,
            Self::Refused(_)
            | Self::Inconsistent { .. }
            | Self::Ledger(_)
            | Self::Migration { .. }
            | Self::MigrationChanged { .. }
            | Self::Ahead { .. }
            | Self::TooOld { .. } => ErrorKind::Internal,
        }
    }

    /// The name of the constraint that refused the change, if one did.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { constraint, .. } => Some(constraint),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            if let Some(constraint) = database.constraint() {
                let constraint = constraint.to_owned();
                return Self::Constraint {
                    constraint,
                    source: error,
                };
            }
            // 53: insufficient resources (disk full), 57: shutdown or cancel, 40: serialisation, 08: connection; 25006: the
            // server became a standby under us.
            let code = database.code().unwrap_or_default();
            if code == "22021" {
                return Self::Invalid("a text with a NUL character cannot be stored".to_owned());
            }
            return match code.get(..2) {
                _ if code == "25006" => Self::Unavailable(error),
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
