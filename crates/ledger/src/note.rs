//! Signed notes (C2SP `signed-note`): a text, a blank line, and a signature line per signer.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The signature algorithm byte of Ed25519 in C2SP `signed-note`.
const ED25519_ID: u8 = 1;

/// Who signs: a name, a public key, and the act of signing. The vault implements it.
pub trait Signer: Send + Sync {
    /// The key's name: no spaces, no `+`.
    fn name(&self) -> &str;
    /// The Ed25519 public key, 32 bytes.
    fn public_key(&self) -> [u8; 32];
    /// An Ed25519 signature of the message, 64 bytes.
    ///
    /// # Errors
    /// [`Error::Signing`] if the key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;

    /// The signature together with the public key that verifies it. Whoever may exchange its key at any moment answers
    /// both from the same one.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    fn signed(&self, message: &[u8]) -> Result<([u8; 32], Vec<u8>), Error> {
        Ok((self.public_key(), self.sign(message)?))
    }
}

/// A public key that checks notes; printed as `name+hash+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: [u8; 32],
}

impl VerifierKey {
    /// # Errors
    /// [`Error::Key`] if the name has a space or `+` or is empty.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, Error> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(Error::Key("its name must have no space and no `+`"));
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The verifier of a signer's signatures.
    ///
    /// # Errors
    /// [`Error::Key`] if the signer's name is unfit.
    pub fn of(signer: &dyn Signer) -> Result<Self, Error> {
        Self::new(signer.name(), signer.public_key())
    }

    /// Reads `name+hash+base64`.
    ///
    /// # Errors
    /// [`Error::Key`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::Key("expected `name+hash+key`"));
        };
        let key = STANDARD
            .decode(key)
            .map_err(|_| Error::Key("its key is not base64"))?;
        let Some((&ED25519_ID, key)) = key.split_first() else {
            return Err(Error::Key("its algorithm is not Ed25519"));
        };
        let key = key
            .try_into()
            .map_err(|_| Error::Key("its key is not 32 bytes"))?;
        let parsed = Self::new(name, key)?;
        if hex::encode(parsed.id()) == id {
            Ok(parsed)
        } else {
            Err(Error::Key("its hash does not fit its key"))
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The four bytes that tell keys of one name apart.
    pub fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ED25519_ID]);
        hasher.update(self.key);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
        [a, b, c, d]
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut key = vec![ED25519_ID];
        key.extend(self.key);
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex::encode(self.id()),
            STANDARD.encode(key)
        )
    }
}

/// Signs a text, which must end with a newline.
///
/// # Errors
/// [`Error::Note`] if the text does not end with a newline, [`Error::Signing`] if the key fails.
pub fn sign(text: &str, signer: &dyn Signer) -> Result<String, Error> {
    if !text.ends_with('\n') {
        return Err(Error::Note("its text must end with a newline"));
    }
    let (public, signed) = signer.signed(text.as_bytes())?;
    let key = VerifierKey::new(signer.name(), public)?;
    let mut signature = key.id().to_vec();
    signature.extend(signed);
    Ok(format!(
        "{text}\n\u{2014} {} {}\n",
        key.name,
        STANDARD.encode(signature)
    ))
}

/// The text of a note that at least one signature of `key` verifies.
///
/// # Errors
/// [`Error::Note`] if it is malformed, [`Error::Signature`] if no signature of that key verifies.
pub fn open<'n>(note: &'n str, key: &VerifierKey) -> Result<&'n str, Error> {
    let split = note
        .rfind("\n\n")
        .ok_or(Error::Note("it has no blank line before its signatures"))?;
    let text = note.get(..=split).ok_or(Error::Note("it is cut off"))?;
    let signatures = note.get(split + 2..).ok_or(Error::Note("it is cut off"))?;
    for line in signatures.lines() {
        let rest = line
            .strip_prefix("\u{2014} ")
            .ok_or(Error::Note("a signature line lacks its dash"))?;
        let (name, signature) = rest
            .split_once(' ')
            .ok_or(Error::Note("a signature line lacks its signature"))?;
        if name != key.name {
            continue;
        }
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| Error::Note("a signature is not base64"))?;
        let Some((id, signature)) = signature.split_at_checked(4) else {
            return Err(Error::Note("a signature is too short"));
        };
        let verifies = UnparsedPublicKey::new(&ED25519, key.key).verify(text.as_bytes(), signature);
        if id == key.id() && verifies.is_ok() {
            return Ok(text);
        }
    }
    Err(Error::Signature(key.name.clone()))
}
