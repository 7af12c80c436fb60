//! Keys and what is done with them: the key ring, signatures, access tokens, secrets and their hashes.
//!
//! Knows nothing of databases, users or HTTP. No key material leaves this room except through its verbs.

pub mod error;
pub mod ring;
pub mod scram;
pub mod sealed;
pub mod secret;
pub mod signer;
pub mod tokens;

pub use error::Error;
pub use ring::{KeyInfo, KeyRing, Purpose};
pub use sealed::{Recipient, RecoveryKey};
pub use secret::{Secret32, SecretHash};
pub use signer::{Checkpoints, NoteSigner};
pub use tokens::{Claims, TokenVerifier};
