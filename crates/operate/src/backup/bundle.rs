//! Everything else that a restore needs, in one sealed file beside each backup: the key ring, configuration, content,
//! certificates, what runs, and names of what is kept elsewhere. Redis is not in it: what the hub would keep there are
//! copies of what the database holds.

use std::fs;
use std::io::{Cursor, Read as _};
use std::path::{Component, Path, PathBuf};

use hub_base::Timestamp;
use hub_store::survey::{Table, Tree};
use hub_vault::{Recipient, RecoveryKey, sealed};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::info::Kind;
use super::site::Site;
use crate::error::{Error, fault};

/// Folders of the data directory that are no part of it: the database is backed up by pgBackRest.
const NOT: &[&str] = &["postgres", "backup"];
/// A bundle is for configuration, not for data.
const LARGEST: u64 = 64 << 20;

/// What a bundle holds and what the database held then. No secret: it lies beside the backup, readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// pgBackRest's label of the backup.
    pub backup: String,
    pub kind: Kind,
    pub at: Timestamp,
    /// Of `hubctl`.
    pub program: String,
    /// Bytes of the database.
    pub size: u64,
    /// Each tenant's ledger just before the backup began: what is restored must contain it.
    pub trees: Vec<Tree>,
    /// Counted and summed just before; comparable only if nothing was written meanwhile.
    #[serde(default)]
    pub tables: Vec<Table>,
    pub files: Vec<Held>,
    pub references: Vec<String>,
    /// SHA-256 of the sealed file.
    pub sealed: String,
    /// How long the backup took, for the expectation of a restore.
    pub took_ms: u64,
}

/// A file in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// `data/keys.json`, or `files/etc/…` for those of the configuration.
    pub name: String,
    pub size: u64,
    pub sha256: String,
}

/// The files of a bundle, with their hashes.
pub(super) struct Bundle {
    pub(super) files: Vec<Held>,
    tar: Vec<u8>,
}

pub(super) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Bundle {
    pub(super) fn gather(site: &Site) -> Result<Self, Error> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&site.data_dir).map_err(fault(&site.data_dir, "read"))? {
            let path = entry.map_err(fault(&site.data_dir, "read"))?.path();
            let name = path.file_name().unwrap_or_default().to_owned();
            if !NOT.contains(&name.to_string_lossy().as_ref()) {
                files_under(&path, &Path::new("data").join(&name), &mut paths)?;
            }
        }
        for path in &site.config.files {
            if !path.exists() {
                return Err(Error::Configuration {
                    path: path.clone(),
                    what: "is to be backed up and is not there".to_owned(),
                });
            }
            let inside: PathBuf = path
                .components()
                .filter(|part| matches!(part, Component::Normal(_)))
                .collect();
            files_under(path, &Path::new("files").join(inside), &mut paths)?;
        }
        paths.sort_by(|a, b| a.1.cmp(&b.1));
        Self::of(paths)
    }

    fn of(paths: Vec<(PathBuf, PathBuf)>) -> Result<Self, Error> {
        let (mut files, mut total) = (Vec::new(), 0);
        let mut tar = tar::Builder::new(Vec::new());
        for (path, name) in paths {
            let bytes = fs::read(&path).map_err(fault(&path, "read"))?;
            total += bytes.len() as u64;
            if total > LARGEST {
                return Err(Error::Backup(format!(
                    "the files beside the database are larger than {} MiB at {}: name only configuration in `files`",
                    LARGEST >> 20,
                    path.display()
                )));
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(0);
            tar.append_data(&mut header, &name, &*bytes)
                .map_err(fault(&path, "packed"))?;
            files.push(Held {
                name: name.display().to_string(),
                size: bytes.len() as u64,
                sha256: hash(&bytes),
            });
        }
        let tar = tar
            .into_inner()
            .map_err(fault(Path::new("the bundle"), "packed"))?;
        Ok(Self { files, tar })
    }

    pub(super) fn seal(&self, recipients: &[Recipient]) -> Result<Vec<u8>, Error> {
        Ok(sealed::seal(&self.tar, recipients)?)
    }
}

/// Regular files only: a socket or a lock is nothing to restore.
fn files_under(path: &Path, name: &Path, found: &mut Vec<(PathBuf, PathBuf)>) -> Result<(), Error> {
    let meta = fs::symlink_metadata(path).map_err(fault(path, "read"))?;
    if meta.is_dir() {
        for entry in fs::read_dir(path).map_err(fault(path, "read"))? {
            let entry = entry.map_err(fault(path, "read"))?;
            files_under(&entry.path(), &name.join(entry.file_name()), found)?;
        }
    } else if meta.is_file() && meta.len() > 0 {
        found.push((path.to_owned(), name.to_owned()));
    }
    Ok(())
}

/// Checks a sealed bundle against its manifest, as far as that goes without a key.
pub(super) fn intact(manifest: &Manifest, sealed: &[u8]) -> Result<(), Error> {
    if hash(sealed) == manifest.sealed {
        return Ok(());
    }
    Err(Error::Backup(format!(
        "the bundle of {} is not what its manifest says: it was cut off or changed",
        manifest.backup
    )))
}

/// The key ring in a data directory.
pub(crate) const RING: &str = "keys.json";

/// What is taken out of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Everything,
    Ring,
}

/// Unpacks a bundle: what was in the data directory into `data_dir`, the rest under `data_dir/restored-files`. Nothing is
/// written unless every file is what the manifest says. The names.
pub(crate) fn unpack(
    manifest: &Manifest,
    sealed: &[u8],
    key: &RecoveryKey,
    data_dir: &Path,
    take: Take,
) -> Result<Vec<String>, Error> {
    intact(manifest, sealed)?;
    let plain = key.open(sealed)?;
    let damaged = |why: String| Error::Backup(format!("the bundle of {}: {why}", manifest.backup));
    let mut archive = tar::Archive::new(Cursor::new(plain.expose_secret()));
    let mut files = Vec::new();
    for entry in archive.entries().map_err(|e| damaged(e.to_string()))? {
        let mut entry = entry.map_err(|e| damaged(e.to_string()))?;
        let name = entry
            .path()
            .map_err(|e| damaged(e.to_string()))?
            .into_owned();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|e| damaged(e.to_string()))?;
        files.push((name, bytes));
    }
    for held in &manifest.files {
        let found = files
            .iter()
            .find(|(name, _)| *name == Path::new(&held.name));
        if found.is_none_or(|(_, bytes)| hash(bytes) != held.sha256) {
            return Err(damaged(format!("{} is missing or changed", held.name)));
        }
    }
    if take == Take::Ring {
        files.retain(|(name, _)| *name == Path::new("data").join(RING));
        if files.is_empty() {
            return Err(damaged(
                "it holds no key ring: the installation has its own from outside".to_owned(),
            ));
        }
    }
    let mut written = Vec::new();
    for (name, bytes) in files {
        let Some(place) = place(&name, data_dir) else {
            return Err(damaged(format!("{} leads elsewhere", name.display())));
        };
        let folder = place.parent().unwrap_or(data_dir);
        fs::create_dir_all(folder).map_err(fault(folder, "made"))?;
        let text = bytes;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fault(&place, "written"))?;
        std::io::Write::write_all(&mut file, &text)
            .and_then(|()| file.as_file().sync_all())
            .map_err(fault(&place, "written"))?;
        file.persist(&place)
            .map_err(|error| fault(&place, "written")(error.error))?;
        written.push(name.display().to_string());
    }
    Ok(written)
}

/// Where a file of a bundle goes; `None` if its name leads out of it.
fn place(name: &Path, data_dir: &Path) -> Option<PathBuf> {
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let inside = name.strip_prefix("data").ok();
    plain.then(|| match inside {
        Some(inside) => data_dir.join(inside),
        None => data_dir
            .join("restored-files")
            .join(name.strip_prefix("files").unwrap_or(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(bundle: &Bundle, sealed: &[u8]) -> Manifest {
        Manifest {
            version: 1,
            backup: "20261124-020000F".to_owned(),
            kind: Kind::Full,
            at: Timestamp::from_unix_seconds(0),
            program: String::new(),
            size: 0,
            trees: Vec::new(),
            tables: Vec::new(),
            files: bundle.files.clone(),
            references: Vec::new(),
            sealed: hash(sealed),
            took_ms: 0,
        }
    }

    fn packed(dir: &Path) -> Bundle {
        fs::create_dir_all(dir.join("tls")).unwrap();
        fs::write(dir.join("keys.json"), b"ring").unwrap();
        fs::write(dir.join("tls/cert.pem"), b"cert").unwrap();
        let mut paths = Vec::new();
        files_under(dir, Path::new("data"), &mut paths).unwrap();
        Bundle::of(paths).unwrap()
    }

    #[test]
    fn what_was_packed_is_unpacked_only_whole() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let bundle = packed(from.path());
        let key = RecoveryKey::generate();
        let sealed = bundle.seal(&[key.recipient()]).unwrap();
        let manifest = manifest(&bundle, &sealed);
        let cut = &sealed[..sealed.len() - 1];
        let said = unpack(&manifest, cut, &key, to.path(), Take::Everything).unwrap_err();
        assert!(said.to_string().contains("cut off"), "{said}");
        let other = RecoveryKey::generate();
        assert!(unpack(&manifest, &sealed, &other, to.path(), Take::Everything).is_err());
        let mut lies = manifest.clone();
        lies.files[1].sha256 = hash(b"else");
        assert!(unpack(&lies, &sealed, &key, to.path(), Take::Everything).is_err());
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
        let names = unpack(&manifest, &sealed, &key, to.path(), Take::Everything).unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(fs::read(to.path().join("tls/cert.pem")).unwrap(), b"cert");
    }

    #[test]
    fn a_name_that_leads_out_is_refused() {
        let dir = Path::new("/hub");
        assert_eq!(place(Path::new("data/../../etc/passwd"), dir), None);
        assert_eq!(place(Path::new("/etc/passwd"), dir), None);
        assert_eq!(
            place(Path::new("data/keys.json"), dir),
            Some("/hub/keys.json".into())
        );
        assert_eq!(
            place(Path::new("files/etc/hub.toml"), dir),
            Some("/hub/restored-files/etc/hub.toml".into())
        );
    }
}
