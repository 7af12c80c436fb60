//! Exit codes, listed in `--help`, and errors that know theirs.

use std::path::Path;
use std::process::ExitCode;

use hub_base::ErrorKind;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    /// The answer is no: tampered, missed, not healthy.
    No = 1,
    Usage = 2,
    NotPermitted = 3,
    Unreachable = 4,
    Interrupted = 5,
    Bug = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict => Self::Usage,
            ErrorKind::Unauthenticated | ErrorKind::Forbidden => Self::NotPermitted,
            ErrorKind::TooMany | ErrorKind::Unavailable => Self::Unreachable,
            ErrorKind::Internal => Self::Bug,
        }
    }
}

/// An error, its exit code, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
    pub(crate) help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
            help: None,
        }
    }

    /// A file of the operator's that cannot be used: `verb` is "read" or "write".
    pub(crate) fn file(verb: &str, path: &Path, error: std::io::Error) -> Self {
        let error = anyhow::Error::new(error).context(format!("cannot {verb} {}", path.display()));
        Self::new(Exit::Usage, error)
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        let io = self
            .error
            .chain()
            .find_map(|error| error.downcast_ref::<std::io::Error>());
        io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<hub_emulate::Error> for Failure {
    fn from(error: hub_emulate::Error) -> Self {
        Self::new(error.kind().into(), error)
    }
}

impl From<hub_operate::Error> for Failure {
    fn from(error: hub_operate::Error) -> Self {
        Self::new(error.kind().into(), error)
    }
}
