//! The key that signs ledger checkpoints.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::error::Error;
use crate::ring::{KeyRing, Purpose};

/// Signs checkpoints with the ring's primary checkpoint key.
#[derive(Debug)]
pub struct CheckpointSigner {
    name: String,
    pair: Ed25519KeyPair,
}

impl CheckpointSigner {
    /// `name` is the log operator's name in the signature line: no spaces, no `+`.
    ///
    /// # Errors
    /// [`Error::NoPrimary`], [`Error::Key`].
    pub fn new(ring: &KeyRing, name: &str) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            pair: ring.primary(Purpose::Checkpoint)?.ed25519()?,
        })
    }
}

impl hub_ledger::Signer for CheckpointSigner {
    fn name(&self) -> &str {
        &self.name
    }

    fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, hub_ledger::Error> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}
