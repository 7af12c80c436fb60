//! A signed statement of a log's size and root (C2SP `tlog-checkpoint`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::merkle::Hash;
use crate::note::{self, Signer, VerifierKey};

/// A log's name, size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `security-hub/<tenant id>`.
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// The checkpoint as a signed note.
    ///
    /// # Errors
    /// [`Error::Signing`] if the key fails.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, Error> {
        let text = format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0)
        );
        note::sign(&text, signer)
    }

    /// Reads a signed checkpoint and checks its signature.
    ///
    /// # Errors
    /// [`Error::Note`] if it is malformed, [`Error::Signature`] if it is not signed by `key`.
    pub fn open(text: &str, key: &VerifierKey) -> Result<Self, Error> {
        Self::parse(note::open(text, key)?)
    }

    /// Reads the first three lines of a checkpoint without checking a signature.
    ///
    /// # Errors
    /// [`Error::Note`] if it is malformed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.lines();
        let origin = lines
            .next()
            .filter(|l| !l.is_empty())
            .ok_or(Error::Note("it has no origin"))?;
        let size = lines.next().ok_or(Error::Note("it has no size"))?;
        let canonical = size == "0" || !size.starts_with('0');
        let size = size
            .parse()
            .ok()
            .filter(|_| canonical && !size.starts_with('+'));
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok());
        Ok(Self {
            origin: origin.to_owned(),
            size: size.ok_or(Error::Note("its size is not a number"))?,
            root: root
                .and_then(|bytes| Hash::from_slice(&bytes))
                .ok_or(Error::Note("its root is not a base64 hash"))?,
        })
    }
}
