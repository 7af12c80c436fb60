//! What can go wrong with a cluster of our own. Every text says what and how to mend it.

use std::path::PathBuf;

use hub_base::ErrorKind;

/// The private cluster's faults.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no PostgreSQL server binaries found (looked in PATH, /usr/lib/postgresql/*/bin and pg_config): \
         install them (Debian: `apt-get install postgresql`), or set DATABASE_URL to a server of yours"
    )]
    NoBinaries,
    #[error(
        "PostgreSQL {found} in {path} is too old: install version 15 or newer, or set DATABASE_URL"
    )]
    TooOld { found: u32, path: PathBuf },
    #[error(
        "the data in {path} was made by PostgreSQL {data}, but only {found} is installed: \
         install PostgreSQL {data} beside it, or move the data with pg_upgrade"
    )]
    VersionMismatch {
        data: u32,
        found: String,
        path: PathBuf,
    },
    #[error("another security-hub already uses {path}: stop it, or choose another data directory")]
    InUse { path: PathBuf },
    #[error(
        "no user to run PostgreSQL as: it refuses to run as root, and this machine has neither `postgres` \
         nor `nobody`: create a user `postgres`, or start the hub as an ordinary user"
    )]
    NoAccount,
    #[error("the disk that holds {path} is full: make room, then start again")]
    DiskFull { path: PathBuf },
    #[error("{path} belongs to somebody else or is open to others: remove it, then start again")]
    UnsafeDirectory { path: PathBuf },
    #[error("cannot {what} {path}: {source}")]
    Files {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// `output` is the program's own words, bounded.
    #[error("`{program}` failed: {output}")]
    Program {
        program: &'static str,
        output: String,
    },
    #[error("the private cluster started, but does not let us in")]
    Login(#[source] sqlx::Error),
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoBinaries
            | Self::TooOld { .. }
            | Self::VersionMismatch { .. }
            | Self::NoAccount
            | Self::UnsafeDirectory { .. } => ErrorKind::Invalid,
            Self::InUse { .. } => ErrorKind::Conflict,
            Self::DiskFull { .. } | Self::Files { .. } | Self::Login(_) => ErrorKind::Unavailable,
            Self::Program { .. } => ErrorKind::Internal,
        }
    }

    /// For `map_err` on file operations; a full disk keeps its own name.
    pub(crate) fn files(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| {
            if source.kind() == std::io::ErrorKind::StorageFull {
                Self::DiskFull { path }
            } else {
                Self::Files { what, path, source }
            }
        }
    }

    /// The error behind a failed program's words.
    pub(crate) fn program(program: &'static str, output: &str, data: &std::path::Path) -> Self {
        if output.contains("No space left on device") || output.contains("Disk quota exceeded") {
            return Self::DiskFull {
                path: data.to_owned(),
            };
        }
        // The end tells why; the beginning is what went well.
        let skip = output.chars().count().saturating_sub(1500);
        Self::Program {
            program,
            output: output
                .chars()
                .skip(skip)
                .collect::<String>()
                .trim()
                .to_owned(),
        }
    }
}
