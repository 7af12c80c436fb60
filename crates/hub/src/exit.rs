//! Exit codes, the same for every command of the project.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// The answer is no: not healthy.
    No = 1,
    /// Usage or configuration.
    Usage = 2,
    NotPermitted = 3,
    /// Something needed cannot be reached or is not there: the port, the database, its binaries.
    Unreachable = 4,
    /// Stopped half-way; running it again goes on.
    Interrupted = 5,
    /// Our bug.
    Bug = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    pub(crate) fn of_kind(kind: hub_base::ErrorKind, error: impl Into<anyhow::Error>) -> Self {
        use hub_base::ErrorKind;
        let exit = match kind {
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict => Exit::Usage,
            ErrorKind::Unauthenticated | ErrorKind::Forbidden => Exit::NotPermitted,
            ErrorKind::TooMany | ErrorKind::Unavailable => Exit::Unreachable,
            ErrorKind::Internal => Exit::Bug,
        };
        Self::new(exit, error)
    }
}
