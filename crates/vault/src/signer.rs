//! The keys that sign notes: ledger checkpoints, manifests of releases.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::error::Error;
use crate::ring::{KeyRing, Purpose};

/// Signs notes with the ring's primary key of one purpose.
#[derive(Debug)]
pub struct NoteSigner {
    name: String,
    pair: Ed25519KeyPair,
}

impl NoteSigner {
    /// Signs ledger checkpoints. `name` is the signer's name in the signature line: no spaces, no `+`.
    ///
    /// # Errors
    /// [`Error::NoPrimary`], [`Error::Key`].
    pub fn checkpoints(ring: &KeyRing, name: &str) -> Result<Self, Error> {
        Self::of(ring, Purpose::Checkpoint, name)
    }

    /// Signs manifests of releases.
    ///
    /// # Errors
    /// As [`NoteSigner::checkpoints`].
    pub fn releases(ring: &KeyRing, name: &str) -> Result<Self, Error> {
        Self::of(ring, Purpose::Release, name)
    }

    fn of(ring: &KeyRing, purpose: Purpose, name: &str) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            pair: ring.primary(purpose)?.ed25519()?,
        })
    }
}

impl hub_ledger::Signer for NoteSigner {
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
