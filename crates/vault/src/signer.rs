//! The keys that sign notes: ledger checkpoints, manifests of releases.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use hub_ledger::{VerifierKey, note};

use crate::error::Error;
use crate::ring::{CHECKPOINT_SIGNER, Key, KeyRing, Purpose};

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
        Self::with(ring.primary(purpose)?, name)
    }

    pub(crate) fn with(key: &Key, name: &str) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            pair: key.ed25519()?,
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

/// Signs checkpoints with the ring's primary key, whichever that is by now, and knows the keys that did so before.
#[derive(Debug)]
pub struct Checkpoints {
    current: RwLock<Arc<Known>>,
}

#[derive(Debug)]
struct Known {
    signer: NoteSigner,
    /// Every key that ever signed.
    keys: Vec<VerifierKey>,
    successions: Vec<String>,
}

impl Known {
    fn of(ring: &KeyRing) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            signer: NoteSigner::checkpoints(ring, CHECKPOINT_SIGNER)?,
            keys: ring.checkpoint_keys()?,
            successions: ring.successions().to_vec(),
        }))
    }
}

impl Checkpoints {
    /// # Errors
    /// [`Error::NoPrimary`], [`Error::Key`].
    pub fn new(ring: &KeyRing) -> Result<Self, Error> {
        Ok(Self {
            current: RwLock::new(Known::of(ring)?),
        })
    }

    /// Goes over to what the ring says now.
    ///
    /// # Errors
    /// As [`Checkpoints::new`]; then it stays as it was.
    pub fn renew(&self, ring: &KeyRing) -> Result<(), Error> {
        let known = Known::of(ring)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key that checks what is signed from now on.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn key(&self) -> Result<VerifierKey, Error> {
        VerifierKey::of(&self.known().signer).map_err(|_| Error::Key)
    }

    /// The key that checks this note; `None` if none of ours does.
    pub fn key_of(&self, signed: &str) -> Option<VerifierKey> {
        let known = self.known();
        let mut keys = known.keys.iter();
        keys.find(|key| note::open(signed, key).is_ok()).cloned()
    }

    /// How earlier keys lead to later ones: see [`hub_ledger::succession`].
    pub fn successions(&self) -> Vec<String> {
        self.known().successions.clone()
    }
}

impl hub_ledger::Signer for Checkpoints {
    fn name(&self) -> &str {
        CHECKPOINT_SIGNER
    }

    fn public_key(&self) -> [u8; 32] {
        self.known().signer.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, hub_ledger::Error> {
        self.known().signer.sign(message)
    }

    fn signed(&self, message: &[u8]) -> Result<([u8; 32], Vec<u8>), hub_ledger::Error> {
        self.known().signer.signed(message)
    }
}
