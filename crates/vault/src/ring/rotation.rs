//! Exchanging a key while servers run: the new one is in the ring before it signs, the old one stays until nothing that
//! it signed is good any more.

use hub_base::{Clock, Timestamp};
use hub_ledger::{Signer as _, VerifierKey, succession};

use super::{Key, KeyRing, Purpose};
use crate::error::Error;
use crate::signer::NoteSigner;

/// The name in the signature line of checkpoints.
pub const CHECKPOINT_SIGNER: &str = "security-hub";

/// What may be said of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    pub id: String,
    pub purpose: Purpose,
    pub made_at: Timestamp,
    /// Whether it signs; the others only verify.
    pub primary: bool,
}

impl KeyRing {
    /// Every key, without its secret, oldest first.
    pub fn info(&self) -> Vec<KeyInfo> {
        let info = |key: &Key| KeyInfo {
            id: key.id.clone(),
            purpose: key.purpose,
            made_at: key.made_at,
            primary: key.primary,
        };
        self.keys.iter().map(info).collect()
    }

    /// Adds a key that verifies and does not sign yet; its id.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    pub fn stage(&mut self, purpose: Purpose, clock: &dyn Clock) -> Result<String, Error> {
        let fresh = Key {
            primary: false,
            ..Key::new(purpose, clock)?
        };
        let id = fresh.id.clone();
        self.keys.push(fresh);
        Ok(id)
    }

    /// Makes a key of the ring the one that signs; the one before still verifies. Nothing to do if it signs already.
    ///
    /// # Errors
    /// [`Error::NoKey`] if the ring does not hold it.
    pub fn promote(&mut self, id: &str) -> Result<(), Error> {
        let key = self.keys.iter().find(|key| key.id == id);
        let purpose = key.ok_or_else(|| Error::NoKey(id.to_owned()))?.purpose;
        if self.primary(purpose)?.id == id {
            return Ok(());
        }
        if purpose == Purpose::Checkpoint {
            self.vouch(id)?;
        }
        for key in self.keys.iter_mut().filter(|key| key.purpose == purpose) {
            key.primary = key.id == id;
        }
        Ok(())
    }

    /// The checkpoint key that signs names `id` as the one that follows.
    fn vouch(&mut self, id: &str) -> Result<(), Error> {
        let former = NoteSigner::checkpoints(self, CHECKPOINT_SIGNER)?;
        let next = self.all(Purpose::Checkpoint).find(|key| key.id == id);
        let next = next.ok_or_else(|| Error::NoKey(id.to_owned()))?;
        let next = NoteSigner::with(next, CHECKPOINT_SIGNER)?;
        let key = |signer: &NoteSigner| VerifierKey::of(signer).map_err(|_| Error::Key);
        if !succession::leads(&key(&former)?, &key(&next)?, &self.successions) {
            let word = succession::sign(&key(&next)?, &former).map_err(|_| Error::Key)?;
            self.successions.push(word);
        }
        Ok(())
    }

    /// Takes a key out. Nothing to do if it is not there.
    ///
    /// # Errors
    /// [`Error::Signs`] if it is the one that signs.
    pub fn remove(&mut self, id: &str) -> Result<(), Error> {
        if self.keys.iter().any(|key| key.id == id && key.primary) {
            return Err(Error::Signs(id.to_owned()));
        }
        self.keys.retain(|key| key.id != id);
        Ok(())
    }

    /// The statements by which each checkpoint key named the next.
    pub fn successions(&self) -> &[String] {
        &self.successions
    }

    /// Every key that ever signed checkpoints, as far as the ring knows: what it holds, and what its statements name.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn checkpoint_keys(&self) -> Result<Vec<VerifierKey>, Error> {
        let mut all = Vec::new();
        for key in self.all(Purpose::Checkpoint) {
            let signer = NoteSigner::with(key, CHECKPOINT_SIGNER)?;
            let key = VerifierKey::new(signer.name(), signer.public_key());
            all.push(key.map_err(|_| Error::Key)?);
        }
        let words = self.successions.iter();
        for one in words.filter_map(|word| succession::open(word).ok()) {
            all.extend([one.from, one.to]);
        }
        let mut known = Vec::new();
        all.retain(|key| {
            let is_new = !known.contains(&key.id());
            known.push(key.id());
            is_new
        });
        Ok(all)
    }
}
