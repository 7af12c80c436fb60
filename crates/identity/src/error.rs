//! What can go wrong with identities. Nothing here tells a stranger whether an account exists.

use std::time::Duration;

use hub_base::ErrorKind;

/// The room's faults.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the {field} is not acceptable: {why}")]
    Unfit { field: &'static str, why: String },
    #[error("the {field} is taken")]
    Taken { field: &'static str },
    /// Wrong user name, wrong password, or a locked account: all the same to a stranger.
    #[error("the user name or the password is wrong")]
    BadLogin,
    #[error("the credential is not valid")]
    BadCredential,
    #[error("too many attempts")]
    TooMany { retry_after: Duration },
    #[error("the server has too much to do")]
    Busy,
    #[error("no such {0} in this tenant")]
    Unknown(&'static str),
    #[error("the enrolment secret is not valid or was used before")]
    BadEnrolment,
    #[error("the directory did not answer")]
    Store(#[source] hub_store::Error),
    #[error("a key could not be used")]
    Vault(#[source] hub_vault::Error),
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unfit { .. } => ErrorKind::Invalid,
            Self::Taken { .. } => ErrorKind::Conflict,
            Self::BadLogin | Self::BadCredential | Self::BadEnrolment => ErrorKind::Unauthenticated,
            Self::TooMany { .. } | Self::Busy => ErrorKind::TooMany,
            Self::Unknown(_) => ErrorKind::NotFound,
            Self::Store(error) => error.kind(),
            Self::Vault(error) => error.kind(),
        }
    }
}

impl From<hub_store::Error> for Error {
    fn from(error: hub_store::Error) -> Self {
        match error.constraint() {
            Some("app_user_username_unique") => Self::Taken { field: "user name" },
            Some("tenant_slug_key") => Self::Taken { field: "slug" },
            Some("tenant_slug_form") => Self::Unfit {
                field: "slug",
                why: "use 1 to 63 lower-case letters, digits and hyphens".into(),
            },
            Some("tenant_name_length") => Self::Unfit {
                field: "name",
                why: "use 1 to 200 characters".into(),
            },
            _ => Self::Store(error),
        }
    }
}

impl From<hub_vault::Error> for Error {
    fn from(error: hub_vault::Error) -> Self {
        Self::Vault(error)
    }
}
