//! What can go wrong with an operation itself (a release that is found bad and taken back is no error but an outcome).

use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_base::{ErrorKind, HoldId, OperationId, Timestamp};

/// The room's faults.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the release {}: {what}", dir.display())]
    Release { dir: PathBuf, what: String },
    #[error("{}: {what}", path.display())]
    Configuration { path: PathBuf, what: String },
    #[error("{}: cannot be {verb}", path.display())]
    File {
        path: PathBuf,
        verb: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{field}: {what}")]
    Record { field: &'static str, what: String },
    #[error("`{table}.{column}` of {id} does not parse")]
    Inconsistent {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    #[error(transparent)]
    Store(#[from] hub_store::Error),
    #[error("another operation holds {}", .0.display())]
    Held(PathBuf),
    #[error("{0} is unfinished: it stopped {1}")]
    Unfinished(String, String),
    #[error("the way back from {0} is unfinished: it stopped because {1}")]
    Stuck(String, String),
    #[error("{0}, which ran before, does not come up: {1}")]
    NotBack(String, String),
    #[error("{0}, which ran before, is not ready: {1}")]
    NotReady(String, String),
    /// The line of the plan that says so.
    #[error("the database has other migrations than the release: {0}")]
    Migrations(String),
    #[error("nothing to go back to: {0}")]
    NoWayBack(&'static str),
    #[error("{0} never had all the traffic here: bring it in with `hubctl deploy`")]
    NeverRan(String),
    #[error("the configuration says nothing of it: [{0}] is missing")]
    Unconfigured(&'static str),
    /// Why the run does not take what was said to it.
    #[error("{0}")]
    Untimely(String),
    /// Somebody was first; a decision's word, or nothing for what is done.
    #[error("{by} was first: {}", choice.as_deref().unwrap_or("done"))]
    Answered { by: String, choice: Option<String> },
    #[error("there is no run {0}")]
    UnknownRun(OperationId),
    #[error("there is no hold {0}")]
    UnknownHold(HoldId),
    #[error("{0} is missing")]
    Lost(String),
    #[error("a certificate is issued elsewhere: give --cert and --key")]
    Unissued,
    #[error("not everybody goes along: {0}")]
    Unsettled(String),
    #[error("what the former one made is good until {0}")]
    TooEarly(Timestamp),
    /// Who works there now.
    #[error("{0} has taken over here: nothing more was changed")]
    TakenOver(String),
    #[error("the cluster: {what}")]
    Cluster { what: String },
    #[error("the load balancer at {} does not answer", path.display())]
    Balancer {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the load balancer refused `{command}`: {answer}")]
    Refused { command: String, answer: String },
    #[error("the load balancer's answer makes no sense: {0}")]
    Nonsense(String),
    #[error("the process {0} could not be started")]
    Start(PathBuf, #[source] std::io::Error),
    #[error("{0} is not on this machine: {1}")]
    Absent(&'static str, &'static str),
    #[error(transparent)]
    Vault(#[from] hub_vault::Error),
    #[error(
        "the database does not archive its WAL, so nothing could be restored but the backup itself: {0}"
    )]
    NotArchiving(String),
    #[error("{0}")]
    Backup(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Scenarios(Vec<crate::disaster::Fault>),
    #[error("there is no scenario `{name}`: there are {known}")]
    UnknownScenario { name: String, known: String },
    #[error("the drill: {0}")]
    Drill(String),
    /// What is in the way of the nodes changing places.
    #[error("{0}")]
    Pair(String),
    #[error("no Patroni answers: {0}")]
    NoPatroni(String),
    /// What was decided of a copy cannot be done; every fault on a line of its own.
    #[error("{0}")]
    Decided(String),
    #[error("the restore does not hold: {0}")]
    NotProven(String),
    #[error("{what} took longer than {limit:?}")]
    Late { what: String, limit: Duration },
    #[error("{program} ended with {status}: {said}")]
    Failed {
        program: String,
        status: String,
        said: String,
    },
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Vault(error) => error.kind(),
            Self::Release { .. }
            | Self::Configuration { .. }
            | Self::Record { .. }
            | Self::Unconfigured(_)
            | Self::Unissued
            | Self::Scenarios(_)
            | Self::Decided(_) => ErrorKind::Invalid,
            Self::Lost(_)
            | Self::UnknownHold(_)
            | Self::UnknownRun(_)
            | Self::UnknownScenario { .. } => ErrorKind::NotFound,
            Self::Held(_)
            | Self::Unfinished(..)
            | Self::Stuck(..)
            | Self::Migrations(_)
            | Self::NoWayBack(_)
            | Self::NeverRan(_)
            | Self::TakenOver(_)
            | Self::TooEarly(_)
            | Self::Backup(_)
            | Self::Untimely(_)
            | Self::Answered { .. }
            | Self::Pair(_) => ErrorKind::Conflict,
            Self::Unsettled(_)
            | Self::Balancer { .. }
            | Self::Absent(..)
            | Self::NotArchiving(_)
            | Self::NotProven(_)
            | Self::Drill(_)
            | Self::NoPatroni(_)
            | Self::Cluster { .. }
            | Self::Late { .. }
            | Self::NotBack(..)
            | Self::NotReady(..)
            | Self::File { .. }
            | Self::Start(..)
            | Self::Failed { .. } => ErrorKind::Unavailable,
            Self::Refused { .. } | Self::Nonsense(_) | Self::Inconsistent { .. } => {
                ErrorKind::Internal
            }
        }
    }
}

/// The file that could not be made, read, written and so on.
pub(crate) fn fault(path: &Path, verb: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, verb, source }
}
