//! Random secrets of 256 bits, and the hashes by which they are stored and compared.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::Error;

/// 32 random bytes that a client keeps. Never printed, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl std::fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret32(…)")
    }
}

impl Secret32 {
    /// # Errors
    /// [`Error::Randomness`] if the machine gives none.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| Error::Randomness)?;
        Ok(Self(bytes))
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For the one moment in which it is handed to its owner.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What is stored of it. Plain SHA-256 serves, because the secret has 256 random bits.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0).into())
    }
}

/// The stored form of a secret.
#[derive(Debug, Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compared in constant time.
    pub fn matches(&self, secret: &Secret32) -> bool {
        self.0.ct_eq(&secret.hash().0).into()
    }
}

/// Whether two texts are equal, in time that depends on their lengths only.
pub fn texts_match(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// SHA-256 of any bytes, for cache keys of credentials.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
