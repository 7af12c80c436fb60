//! An append-only Merkle log: hashes, proofs, signed checkpoints, and an export that anyone verifies offline.
//!
//! Hashing is RFC 9162's (SHA-256, `0x00` before a leaf, `0x01` before a node); checkpoints are C2SP
//! `tlog-checkpoint` signed notes. Knows nothing of databases or of what an entry means; does no I/O of its own.

pub mod checkpoint;
pub mod error;
pub mod export;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod succession;

pub use checkpoint::Checkpoint;
pub use error::Error;
pub use export::{Fault, Report, verify};
pub use merkle::{Frontier, Hash, leaf_hash};
pub use note::{Signer, VerifierKey};
