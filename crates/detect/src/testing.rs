//! For this room's tests.

use std::path::{Path, PathBuf};

/// A folder of the shared test data; says loudly when it is not there.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HUB_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = root.join(path);
    if folder.exists() {
        return Some(folder);
    }
    println!("SKIPPED: {test}: no ../shared/data");
    None
}

/// A signer whose signatures nobody checks.
#[derive(Debug)]
pub(crate) struct NoSigner;

impl hub_ledger::Signer for NoSigner {
    fn name(&self) -> &'static str {
        "test"
    }
    fn public_key(&self) -> [u8; 32] {
        [7; 32]
    }
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, hub_ledger::Error> {
        Ok(vec![7; 64])
    }
}
