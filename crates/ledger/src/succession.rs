//! The statement by which a key that signs checkpoints names the key that follows it.
//!
//! Whoever keeps one published key checks everything that later keys signed, with these statements and nothing else. A key
//! that was stolen can name any successor: then the new key is published anew, and the old one trusted no longer.

use crate::error::Error;
use crate::note::{self, Signer, VerifierKey};

/// The first line of every such statement; no checkpoint begins with it.
const HEADING: &str = "security-hub/key-succession/1";

/// One key's word for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    pub from: VerifierKey,
    pub to: VerifierKey,
}

/// The statement of `signer` that `to` follows it, as a signed note.
///
/// # Errors
/// [`Error::Signing`] if the key fails.
pub fn sign(to: &VerifierKey, signer: &dyn Signer) -> Result<String, Error> {
    let from = VerifierKey::of(signer)?;
    note::sign(&format!("{HEADING}\n{from}\n{to}\n"), signer)
}

/// Reads a statement; it must be signed by the key that it says it is from.
///
/// # Errors
/// [`Error::Note`] if it is malformed, [`Error::Signature`] if it is another's.
pub fn open(text: &str) -> Result<Succession, Error> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADING) {
        return Err(Error::Note("it is no statement about a key's successor"));
    }
    let mut key = || VerifierKey::parse(lines.next().unwrap_or_default());
    let (from, to) = (key()?, key()?);
    note::open(text, &from)?;
    Ok(Succession { from, to })
}

/// Whether `pinned` is `key`, or stands for it through these statements. What does not verify counts for nothing.
pub fn leads(pinned: &VerifierKey, key: &VerifierKey, statements: &[String]) -> bool {
    let all: Vec<Succession> = statements.iter().filter_map(|s| open(s).ok()).collect();
    let mut trusted = vec![pinned.clone()];
    let mut at = 0;
    while let Some(one) = trusted.get(at).cloned() {
        if one == *key {
            return true;
        }
        for next in all.iter().filter(|next| next.from == one) {
            if !trusted.contains(&next.to) {
                trusted.push(next.to.clone());
            }
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests;
