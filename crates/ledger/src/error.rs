//! What can be wrong with a proof, a note or a checkpoint.

use hub_base::ErrorKind;

/// The ledger's faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("entry {index} is beyond the tree of {size} entries")]
    Beyond { index: u64, size: u64 },
    #[error("the proof has {found} hashes, {expected} were expected")]
    ProofLength { found: usize, expected: usize },
    #[error("the proof leads to another root")]
    RootMismatch,
    #[error("the note is malformed: {0}")]
    Note(&'static str),
    #[error("no signature of key `{0}` verifies the note")]
    Signature(String),
    #[error("the verifier key is malformed: {0}")]
    Key(&'static str),
    #[error("the signing key failed")]
    Signing,
}

impl Error {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Beyond { .. } => ErrorKind::NotFound,
            Self::Signing => ErrorKind::Internal,
            Self::ProofLength { .. }
            | Self::RootMismatch
            | Self::Note(_)
            | Self::Signature(_)
            | Self::Key(_) => ErrorKind::Invalid,
        }
    }
}
