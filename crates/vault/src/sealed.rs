//! Sealed files (age, C2SP `age-encryption.org/v1`): anybody who knows a recipient seals, only who holds a recovery key
//! opens. Any `age` program reads them.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::str::FromStr as _;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use secrecy::{SecretSlice, SecretString};
use zeroize::Zeroizing;

use crate::error::Error;

/// Opens what was sealed to its recipient. Kept away from what it opens.
pub struct RecoveryKey(x25519::Identity);

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKey(…)")
    }
}

/// Whom a file is sealed to: `age1…`, no secret.
#[derive(Clone)]
pub struct Recipient(x25519::Recipient);

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Recipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        x25519::Recipient::from_str(text.trim())
            .map(Self)
            .map_err(|why| Error::Sealed(format!("`{text}` is no recipient (age1…): {why}")))
    }
}

impl RecoveryKey {
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Reads an age identity file: `AGE-SECRET-KEY-1…` on a line, comments with `#`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Sealed`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|source| Error::File {
            path: path.to_owned(),
            what: "read",
            source,
        })?;
        Self::parse(&text).ok_or_else(|| {
            let name = path.display();
            Error::Sealed(format!("{name} holds no recovery key (AGE-SECRET-KEY-1…)"))
        })
    }

    /// `None` if the text holds none.
    pub fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim);
        let mut lines = lines.filter(|line| line.starts_with("AGE-SECRET-KEY-1"));
        x25519::Identity::from_str(lines.next()?).ok().map(Self)
    }

    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// For the one moment in which it is handed to its keeper.
    pub fn text(&self) -> SecretString {
        SecretString::from(self.0.to_string().expose_secret().to_owned())
    }

    /// # Errors
    /// [`Error::Sealed`]: another key's, cut off, or changed.
    pub fn open(&self, sealed: &[u8]) -> Result<SecretSlice<u8>, Error> {
        let fault = |why: String| Error::Sealed(why);
        let decryptor = age::Decryptor::new(sealed)
            .map_err(|why| fault(format!("it is no sealed file, or cut off: {why}")))?;
        let mut reader = decryptor
            .decrypt(std::iter::once(&self.0 as &dyn age::Identity))
            .map_err(|_| fault(format!("it is not sealed to {}", self.recipient())))?;
        let mut plain = Vec::new();
        reader
            .read_to_end(&mut plain)
            .map_err(|why| fault(format!("it was cut off or changed: {why}")))?;
        Ok(SecretSlice::from(plain))
    }
}

/// Seals to every recipient; each opens it alone.
///
/// # Errors
/// [`Error::Sealed`] without recipients.
pub fn seal(plain: &[u8], recipients: &[Recipient]) -> Result<Vec<u8>, Error> {
    let fault = |why: String| Error::Sealed(why);
    let keys = recipients.iter().map(|one| &one.0 as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(keys)
        .map_err(|why| fault(format!("it cannot be sealed: {why}")))?;
    let mut sealed = Vec::new();
    let written = encryptor.wrap_output(&mut sealed).and_then(|mut writer| {
        writer.write_all(plain)?;
        writer.finish().map(drop)
    });
    written.map_err(|why| fault(format!("it cannot be sealed: {why}")))?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn any_of_its_recipients_opens_it_and_nobody_else() {
        let (ada, bob, eve) = (
            RecoveryKey::generate(),
            RecoveryKey::generate(),
            RecoveryKey::generate(),
        );
        let sealed = seal(b"the keys", &[ada.recipient(), bob.recipient()]).unwrap();
        for key in [&ada, &bob] {
            assert_eq!(key.open(&sealed).unwrap().expose_secret(), b"the keys");
        }
        let said = eve.open(&sealed).unwrap_err().to_string();
        assert!(said.contains("not sealed to age1"), "{said}");
        assert!(seal(b"x", &[]).is_err());
    }

    #[test]
    fn a_cut_or_changed_file_says_so() {
        let key = RecoveryKey::generate();
        let sealed = seal(&vec![7; 200_000], &[key.recipient()]).unwrap();
        for length in [0, 10, 100, sealed.len() / 2, sealed.len() - 1] {
            let said = key.open(&sealed[..length]).unwrap_err().to_string();
            assert!(said.contains("cut off"), "{length}: {said}");
        }
        let mut changed = sealed;
        changed[150_000] ^= 1;
        assert!(key.open(&changed).is_err());
    }

    #[test]
    fn the_text_of_a_key_is_read_again() {
        let key = RecoveryKey::generate();
        let text = format!("# kept in the safe\n{}\n", key.text().expose_secret());
        let again = RecoveryKey::parse(&text).unwrap();
        assert_eq!(again.recipient().to_string(), key.recipient().to_string());
        assert!(RecoveryKey::parse("AGE-SECRET-KEY-1NONSENSE").is_none());
        assert!("age1nonsense".parse::<Recipient>().is_err());
    }
}
