//! The key ring: for each purpose one primary key and any number of older ones that still verify.
//!
//! It lives in one file, readable by its owner only, written whole or not at all. How a key is exchanged while servers
//! run is in `rotation.rs`.

use std::collections::HashSet;
use std::fs::{File, Metadata, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::signature::Ed25519KeyPair;
#[cfg(test)]
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hub_base::{Clock, Timestamp};
use hub_ledger::succession;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::digest;

/// What a key is for; a key serves one purpose only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Ed25519: signs access tokens.
    AccessToken,
    /// Ed25519: signs ledger checkpoints.
    Checkpoint,
    /// HMAC-SHA-256: signs device cookies.
    Device,
    /// Ed25519: signs the manifests of releases.
    Release,
}

impl Purpose {
    /// What a server's ring holds.
    pub const SERVER: &[Self] = &[Self::AccessToken, Self::Checkpoint, Self::Device];
    /// What the ring of those who release holds: never on a server.
    const RELEASER: &[Self] = &[Self::Release];

    /// As the ring's file names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access-token",
            Self::Checkpoint => "checkpoint",
            Self::Device => "device",
            Self::Release => "release",
        }
    }

    /// The purpose of that name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::SERVER.iter().chain(Self::RELEASER);
        all.find(|purpose| purpose.name() == name).copied()
    }
}

/// One key as the file holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyLine {
    id: String,
    purpose: String,
    made_at: Timestamp,
    primary: bool,
    /// The 32-byte seed in base64.
    seed: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    keys: Vec<KeyLine>,
    /// How each key that signed checkpoints named the next; kept when the key itself is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    successions: Vec<String>,
}

/// A key in memory.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) purpose: Purpose,
    pub(crate) made_at: Timestamp,
    pub(crate) primary: bool,
    pub(crate) seed: Zeroizing<[u8; 32]>,
}

impl Key {
    fn new(purpose: Purpose, clock: &dyn Clock) -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(&mut *seed).map_err(|_| Error::Randomness)?;
        Ok(Self {
            id: id_of(&seed),
            purpose,
            made_at: clock.now(),
            primary: true,
            seed,
        })
    }

    pub(crate) fn ed25519(&self) -> Result<Ed25519KeyPair, Error> {
        Ed25519KeyPair::from_seed_unchecked(&*self.seed).map_err(|_| Error::Key)
    }

    #[cfg(test)]
    pub(crate) fn public(&self) -> Result<[u8; 32], Error> {
        self.ed25519()?
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| Error::Key)
    }
}

/// A short name for a key that says nothing about it.
fn id_of(seed: &[u8; 32]) -> String {
    let mut salted = Zeroizing::new(b"key id".to_vec());
    salted.extend(seed);
    hex::encode(digest(&salted).first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// All keys of the hub.
pub struct KeyRing {
    keys: Vec<Key>,
    successions: Vec<String>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self
            .keys
            .iter()
            .map(|key| (key.purpose.name(), &key.id))
            .collect();
        f.debug_struct("KeyRing")
            .field("keys", &ids)
            .finish_non_exhaustive()
    }
}

impl KeyRing {
    /// A new ring with one key for each purpose.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    pub fn generate(clock: &dyn Clock) -> Result<Self, Error> {
        Self::with(Purpose::SERVER, clock)
    }

    fn with(purposes: &[Purpose], clock: &dyn Clock) -> Result<Self, Error> {
        let keys = purposes
            .iter()
            .map(|purpose| Key::new(*purpose, clock))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            successions: Vec::new(),
        })
    }

    /// Reads the ring, or makes it if the file is not there. Of two processes that start at once one makes it, and
    /// both read the same.
    ///
    /// # Errors
    /// [`Error::Open`] if others can read the file, [`Error::Damaged`] if it does not parse, lacks a key or holds one
    /// twice.
    pub fn load_or_create(path: &Path, clock: &dyn Clock) -> Result<Self, Error> {
        Self::load_or_make(path, Purpose::SERVER, clock)
    }

    /// Makes a server's ring where there is none.
    ///
    /// # Errors
    /// [`Error::File`] also if something is there.
    pub fn create(path: &Path, clock: &dyn Clock) -> Result<Self, Error> {
        let ring = Self::generate(clock)?;
        ring.beside(path)?
            .persist_noclobber(path)
            .map_err(|error| unwritten(path)(error.error))?;
        synced(path).map(|()| ring)
    }

    /// The same for the ring of those who release: it holds one key, and a server has no use for it.
    ///
    /// # Errors
    /// As [`KeyRing::load_or_create`].
    pub fn load_or_create_releaser(path: &Path, clock: &dyn Clock) -> Result<Self, Error> {
        Self::load_or_make(path, Purpose::RELEASER, clock)
    }

    fn load_or_make(path: &Path, purposes: &[Purpose], clock: &dyn Clock) -> Result<Self, Error> {
        match Self::load(path) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
        let ring = Self::with(purposes, clock)?;
        match ring.beside(path)?.persist_noclobber(path) {
            Ok(_) => synced(path).map(|()| ring),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(unwritten(path)(error.error)),
        }
    }

    /// # Errors
    /// As [`KeyRing::load_or_create`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::read(path, 0o077)
    }

    /// Reads a ring that was handed in, such as a mounted secret: that belongs to root and is read through its group,
    /// so the group may read it.
    ///
    /// # Errors
    /// As [`KeyRing::load_or_create`].
    pub fn load_mounted(path: &Path) -> Result<Self, Error> {
        Self::read(path, 0o037)
    }

    /// `refused`: the bits of the file's mode of which none may be set.
    fn read(path: &Path, refused: u32) -> Result<Self, Error> {
        let fault = |source| Error::File {
            path: path.to_owned(),
            what: "read",
            source,
        };
        let mut file = File::open(path).map_err(fault)?;
        let mode = file.metadata().map_err(fault)?.permissions().mode() & 0o777;
        if mode & refused != 0 {
            return Err(Error::Open {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(fault)?;
        parse(&text).map_err(|what| Error::Damaged {
            path: path.to_owned(),
            what,
        })
    }

    /// Writes the ring beside its place and moves it there, so that the file is never half written.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        self.beside(path)?
            .persist(path)
            .map_err(|error| unwritten(path)(error.error))?;
        synced(path)
    }

    /// The ring in a file of its owner (mode 0600) in the folder of `path`; gone unless it is moved.
    fn beside(&self, path: &Path) -> Result<NamedTempFile, Error> {
        let keys = self
            .keys
            .iter()
            .map(|key| KeyLine {
                id: key.id.clone(),
                purpose: key.purpose.name().to_owned(),
                made_at: key.made_at,
                primary: key.primary,
                seed: Zeroizing::new(STANDARD_NO_PAD.encode(*key.seed)),
            })
            .collect();
        let file = KeyFile {
            version: 1,
            keys,
            successions: self.successions.clone(),
        };
        let text = serde_json::to_string_pretty(&file).map(Zeroizing::new);
        let text = text.map_err(|_| Error::Key)?;
        let mut file = tempfile::Builder::new()
            .prefix(".keys-")
            .tempfile_in(folder(path))
            .map_err(unwritten(path))?;
        // The server may run as somebody else: who could read the ring before can read it afterwards.
        if let Ok(before) = std::fs::metadata(path) {
            like(file.as_file(), &before).map_err(unwritten(path))?;
        }
        file.write_all(text.as_bytes()).map_err(unwritten(path))?;
        file.as_file().sync_all().map_err(unwritten(path))?;
        Ok(file)
    }

    pub(crate) fn primary(&self, purpose: Purpose) -> Result<&Key, Error> {
        self.all(purpose)
            .find(|key| key.primary)
            .ok_or(Error::NoPrimary(purpose.name()))
    }

    pub(crate) fn all(&self, purpose: Purpose) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.purpose == purpose)
    }

    /// An HMAC-SHA-256 tag under the primary device key, in hex.
    ///
    /// # Errors
    /// [`Error::NoPrimary`].
    pub fn device_tag(&self, text: &str) -> Result<String, Error> {
        let key = self.primary(Purpose::Device)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*key.seed);
        Ok(hex::encode(hmac::sign(&key, text.as_bytes())))
    }

    /// Whether a tag is of any device key, in constant time.
    pub fn device_tag_verifies(&self, text: &str, tag: &str) -> bool {
        let Ok(tag) = hex::decode(tag) else {
            return false;
        };
        self.all(Purpose::Device).any(|key| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &*key.seed);
            hmac::verify(&key, text.as_bytes(), &tag).is_ok()
        })
    }
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Gives a file another's owner and group, and its mode as far as a ring may have it.
fn like(file: &File, other: &Metadata) -> std::io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (other.uid(), other.gid()) {
        std::os::unix::fs::fchown(file, Some(other.uid()), Some(other.gid()))?;
    }
    let mode = match other.mode() {
        open if open & 0o037 != 0 => 0o600,
        mode => mode & 0o640,
    };
    file.set_permissions(Permissions::from_mode(mode))
}

fn unwritten(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::File {
        path: path.to_owned(),
        what: "written",
        source,
    }
}

/// A new name is lasting only when its folder is on the disk.
fn synced(path: &Path) -> Result<(), Error> {
    File::open(folder(path))
        .and_then(|folder| folder.sync_all())
        .map_err(unwritten(path))
}

/// What the file says, or what is wrong with it. The text of a fault never holds a value: it might be a seed.
fn parse(text: &str) -> Result<KeyRing, String> {
    let file: KeyFile = serde_json::from_str(text)
        .map_err(|error| format!("line {}, column {}", error.line(), error.column()))?;
    if file.version != 1 {
        return Err(format!("version {} is unknown", file.version));
    }
    let keys = file.keys.into_iter().map(key).collect::<Result<_, _>>()?;
    let ring = KeyRing {
        keys,
        successions: file.successions,
    };
    if let Some(odd) = ring
        .successions
        .iter()
        .find(|one| succession::open(one).is_err())
    {
        let line = odd.lines().nth(2).unwrap_or_default();
        return Err(format!(
            "no earlier key vouches for the checkpoint key `{line}`"
        ));
    }
    let mut ids = HashSet::new();
    if let Some(twice) = ring.keys.iter().find(|key| !ids.insert(&key.id)) {
        return Err(format!("key `{}` is in it twice", twice.id));
    }
    let is_releaser = ring.all(Purpose::Release).next().is_some();
    let purposes = if is_releaser {
        Purpose::RELEASER
    } else {
        Purpose::SERVER
    };
    for &purpose in purposes {
        match ring.all(purpose).filter(|key| key.primary).count() {
            0 => return Err(Error::NoPrimary(purpose.name()).to_string()),
            1 => {}
            n => return Err(format!("{n} keys are primary for {}", purpose.name())),
        }
    }
    Ok(ring)
}

fn key(line: KeyLine) -> Result<Key, String> {
    let name: String = line.id.chars().take(32).collect();
    let purpose = Purpose::named(&line.purpose)
        .ok_or_else(|| format!("the purpose of key `{name}` is unknown to this program"))?;
    let bytes = STANDARD_NO_PAD
        .decode(line.seed.as_bytes())
        .map(Zeroizing::new);
    let seed = bytes
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| format!("the seed of key `{name}` is not 32 bytes"))?;
    // The id is made from the seed: one that does not fit betrays a changed byte.
    if id_of(&seed) != line.id {
        return Err(format!("the seed of key `{name}` is not its own"));
    }
    Ok(Key {
        id: line.id,
        purpose,
        made_at: line.made_at,
        primary: line.primary,
        seed,
    })
}

mod rotation;
#[cfg(test)]
mod tests;

pub use rotation::{CHECKPOINT_SIGNER, KeyInfo};
