//! What can go wrong with a decision.

use hub_base::ErrorKind;

use crate::policies::Fault;

/// The room's faults.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{field}` {why}")]
    Invalid { field: String, why: String },
    #[error("the role `{0}` is not known in this tenant")]
    UnknownRole(String),
    #[error("the role `{0}` is built in and cannot be changed")]
    BuiltIn(String),
    /// One cannot grant what one does not have.
    #[error("you cannot give `{0}`, because you do not have it")]
    Beyond(String),
    /// One cannot act on somebody who may do more.
    #[error(
        "they may do `{0}` and you may not: only somebody who may do as much can do this to them"
    )]
    Outranked(String),
    /// A tenant without them could never be administered again.
    #[error("nobody else holds the role `{0}`: give it to somebody else first")]
    Last(&'static str),
    #[error("no such user in this tenant")]
    UnknownUser,
    #[error("the policies have {} faults", .0.len())]
    Policies(Vec<Fault>),
    #[error("the roles could not be read")]
    Store(#[source] hub_store::Error),
}

impl Error {
    pub(crate) fn unfit_name() -> Self {
        Self::Invalid {
            field: "name".into(),
            why: "must be 1 to 63 lower-case letters, digits, `_` and `-`, a letter first".into(),
        }
    }

    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::UnknownRole(_) => ErrorKind::Invalid,
            Self::BuiltIn(_) | Self::Last(_) => ErrorKind::Conflict,
            Self::Beyond(_) | Self::Outranked(_) => ErrorKind::Forbidden,
            Self::UnknownUser => ErrorKind::NotFound,
            Self::Policies(_) => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
        }
    }
}

impl From<hub_store::Error> for Error {
    fn from(error: hub_store::Error) -> Self {
        match error.constraint() {
            Some("user_role_tenant_id_user_id_fkey") => Self::UnknownUser,
            Some("role_name_form") => Self::unfit_name(),
            _ => Self::Store(error),
        }
    }
}
