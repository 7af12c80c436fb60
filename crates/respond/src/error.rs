//! What can go wrong in responding.

use hub_base::{ActionId, ErrorKind, EvidenceId, IncidentId};

use crate::playbooks::Faults;

/// The room's faults. `Display` never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no incident `{0}` in this tenant")]
    UnknownIncident(IncidentId),
    #[error("no action `{0}` in this incident")]
    UnknownAction(ActionId),
    #[error("no evidence `{0}` in this incident")]
    UnknownEvidence(EvidenceId),
    #[error("no protected entry `{0}` in this tenant")]
    UnknownProtected(String),
    #[error("an incident that is `{from}` cannot become `{to}`")]
    Transition {
        from: &'static str,
        to: &'static str,
    },
    #[error("the action is `{state}`: only an applied action can be released")]
    NotReleasable { state: &'static str },
    #[error("{what} cannot be undone: {why}")]
    Irreversible {
        what: &'static str,
        why: &'static str,
    },
    #[error("the incident already has this action on `{target}`, and it is `{state}`")]
    ActionExists { target: String, state: &'static str },
    #[error("`{value}` is already on the protected list")]
    AlreadyProtected { value: String },
    #[error("{field}: {why}")]
    Invalid { field: &'static str, why: String },
    /// The stored bytes no longer have the hash that the ledger recorded.
    #[error("evidence `{0}` does not match its recorded hash")]
    EvidenceChanged(EvidenceId),
    #[error("{0}")]
    Playbooks(Faults),
    #[error("the playbook folder `{path}` cannot be read")]
    PlaybookFolder {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the identity room refused the change")]
    Identity(#[source] hub_identity::Error),
    #[error("the incident database did not take part")]
    Store(#[source] hub_store::Error),
    #[error("an incident's data cannot be written as JSON")]
    Unprintable(#[source] serde_json::Error),
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownIncident(_)
            | Self::UnknownAction(_)
            | Self::UnknownEvidence(_)
            | Self::UnknownProtected(_) => ErrorKind::NotFound,
            Self::Transition { .. }
            | Self::NotReleasable { .. }
            | Self::Irreversible { .. }
            | Self::ActionExists { .. }
            | Self::AlreadyProtected { .. } => ErrorKind::Conflict,
            Self::Invalid { .. } | Self::Playbooks(_) | Self::PlaybookFolder { .. } => {
                ErrorKind::Invalid
            }
            Self::EvidenceChanged(_) | Self::Unprintable(_) => ErrorKind::Internal,
            Self::Identity(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            why: why.into(),
        }
    }
}

impl From<hub_store::Error> for Error {
    fn from(error: hub_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<hub_identity::Error> for Error {
    fn from(error: hub_identity::Error) -> Self {
        Self::Identity(error)
    }
}

/// A statement's fault, by way of the store's own classes. For `repo` files.
pub(crate) fn sql(error: sqlx::Error) -> Error {
    Error::Store(error.into())
}

/// A row that does not parse: a bug or tampering.
pub(crate) fn inconsistent(
    table: &'static str,
    column: &'static str,
    id: impl std::fmt::Display,
) -> Error {
    Error::Store(hub_store::Error::Inconsistent {
        table,
        column,
        id: id.to_string(),
    })
}
