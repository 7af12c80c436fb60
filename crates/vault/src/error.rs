//! What can go wrong with keys and tokens.

use std::path::PathBuf;

use hub_base::ErrorKind;

/// The vault's faults; none of them shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the key file {path} cannot be {what}")]
    File {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("the key file {path} is readable by others (mode {mode:o}): run `chmod 600` on it")]
    Open { path: PathBuf, mode: u32 },
    #[error("the key file {path} is damaged: {what}; restore it from your backup")]
    Damaged { path: PathBuf, what: String },
    #[error("the key ring has no primary key for {0}")]
    NoPrimary(&'static str),
    #[error("the key ring does not hold the key `{0}`")]
    NoKey(String),
    #[error("the key `{0}` is the one that signs: another must sign before it can go")]
    Signs(String),
    #[error("the token is not valid: {0}")]
    Token(&'static str),
    #[error("this machine gives no randomness")]
    Randomness,
    #[error("a key could not be used")]
    Key,
    #[error("{0}")]
    Sealed(String),
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Token(_) => ErrorKind::Unauthenticated,
            Self::File { .. } | Self::Randomness => ErrorKind::Unavailable,
            Self::Open { .. } | Self::Damaged { .. } | Self::Sealed(_) => ErrorKind::Invalid,
            Self::NoKey(_) => ErrorKind::NotFound,
            Self::Signs(_) => ErrorKind::Conflict,
            Self::NoPrimary(_) | Self::Key => ErrorKind::Internal,
        }
    }
}
