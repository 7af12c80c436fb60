//! A PostgreSQL cluster of the hub's own, for those who bring none: the same engine and the same SQL as in
//! production, under the data directory, reachable through a Unix socket that nobody else can open.

pub mod account;
pub mod binaries;
mod error;
mod place;
mod private;
pub(crate) mod repo;
pub mod server;

use std::path::Path;

use sha2::{Digest as _, Sha256};

pub use error::Error;
pub use place::place;
pub use private::PrivateCluster;
pub use server::Server;

/// Twelve hexadecimal digits that stand for a path.
pub fn short_hash(path: &Path) -> String {
    let mut hash = hex::encode(Sha256::digest(path.as_os_str().as_encoded_bytes()));
    hash.truncate(12);
    hash
}
