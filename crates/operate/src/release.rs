//! A release: a folder with the server's binary, or the name of its image, or both; what it is made of (SBOM); and a
//! signed manifest that names each file's digest.
//!
//! The manifest is a signed note (C2SP `signed-note`), the form in which the ledger's checkpoints are signed too. Its
//! text is one fact a line: `security-hub-release 1`, `version`, `commit`, `built`, then `file SHA-256 NAME` for each.

use std::fs;
use std::path::{Path, PathBuf};

use hub_base::Timestamp;
use hub_ledger::note;
use hub_ledger::{Signer, VerifierKey};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The manifest's name in the folder.
pub const MANIFEST: &str = "release.note";
/// The server's binary.
pub const SERVER: &str = "security-hub";
/// A line that names the server's image by its digest: `registry/name@sha256:…`.
pub const IMAGE: &str = "image";
/// What it is made of, as CycloneDX.
pub const SBOM: &str = "sbom.cdx.json";
/// What a scan of its dependencies found: `cargo audit --json`.
pub const SCAN: &str = "audit.json";
/// What the migrations' linter said.
pub const LINT: &str = "migrations.json";
const FORM: &str = "security-hub-release 1";
/// A manifest is a few lines; what is longer is none.
const MOST: u64 = 64 * 1024;

/// A release whose manifest and files were checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    pub dir: PathBuf,
    pub version: String,
    pub commit: String,
    pub built: String,
    /// SHA-256 of the server's image, or of its binary, in hexadecimal: what a release is told apart by.
    pub digest: String,
    /// The image's name with its digest.
    pub image: Option<String>,
    pub has_server: bool,
    /// Whether a trusted key's signature was asked for and found.
    pub signed: bool,
    pub has_sbom: bool,
    pub has_scan: bool,
    pub has_lint: bool,
}

/// What the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Manifest {
    version: String,
    commit: String,
    built: String,
    /// (SHA-256 in hexadecimal, name)
    files: Vec<(String, String)>,
}

impl Manifest {
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(FORM) {
            return Err(format!("its manifest does not begin with `{FORM}`"));
        }
        let mut manifest = Self::default();
        for (at, line) in lines.enumerate() {
            let bad = || format!("line {} of its manifest is not understood", at + 2);
            let (word, rest) = line.split_once(' ').ok_or_else(bad)?;
            match word {
                "version" => rest.clone_into(&mut manifest.version),
                "commit" => rest.clone_into(&mut manifest.commit),
                "built" => rest.clone_into(&mut manifest.built),
                "file" => {
                    let (digest, name) = rest.split_once(' ').ok_or_else(bad)?;
                    let plain =
                        !name.is_empty() && !name.contains('/') && name != "." && name != "..";
                    if digest.len() != 64 || hex::decode(digest).is_err() || !plain {
                        return Err(bad());
                    }
                    manifest.files.push((digest.to_owned(), name.to_owned()));
                }
                _ => return Err(bad()),
            }
        }
        if manifest.version.is_empty() {
            return Err("its manifest names no version".to_owned());
        }
        Ok(manifest)
    }

    fn print(&self) -> String {
        let mut text = format!(
            "{FORM}\nversion {}\ncommit {}\nbuilt {}\n",
            self.version, self.commit, self.built
        );
        for (digest, name) in &self.files {
            text = format!("{text}file {digest} {name}\n");
        }
        text
    }

    fn digest_of(&self, wanted: &str) -> Option<&str> {
        let found = self.files.iter().find(|(_, name)| name == wanted);
        found.map(|(digest, _)| digest.as_str())
    }
}

impl Release {
    /// Reads a release and checks each file against the manifest, and the manifest against `trust` if it is given.
    ///
    /// # Errors
    /// [`Error::Release`] that says which file is missing, changed or unsigned.
    pub fn open(dir: &Path, trust: Option<&VerifierKey>) -> Result<Self, Error> {
        let fault = |what: String| Error::Release {
            dir: dir.to_owned(),
            what,
        };
        let dir = fs::canonicalize(dir).map_err(|error| fault(error.to_string()))?;
        let path = dir.join(MANIFEST);
        let size = fs::metadata(&path).map_or(0, |meta| meta.len());
        if size > MOST {
            return Err(fault(format!("its {MANIFEST} is longer than {MOST} bytes")));
        }
        let text = fs::read_to_string(&path)
            .map_err(|error| fault(format!("its {MANIFEST} cannot be read: {error}")))?;
        let body = match trust {
            Some(key) => note::open(&text, key).map_err(|error| {
                fault(format!(
                    "its {MANIFEST} is not signed by the trusted key: {error}"
                ))
            })?,
            None => text
                .rsplit_once("\n\n")
                .map_or(text.as_str(), |(body, _)| body),
        };
        let manifest = Manifest::parse(body.trim_end()).map_err(&fault)?;
        for (digest, name) in &manifest.files {
            let found = digest_file(&dir.join(name))
                .map_err(|error| fault(format!("its `{name}` cannot be read: {error}")))?;
            if found != *digest {
                return Err(fault(format!(
                    "its `{name}` is not the one that was released: SHA-256 {found}, the manifest says {digest}"
                )));
            }
        }
        let server = manifest.digest_of(SERVER).map(ToOwned::to_owned);
        let image = match manifest.digest_of(IMAGE) {
            Some(_) => Some(image_of(&dir).map_err(&fault)?),
            None => None,
        };
        let by_image = image
            .as_ref()
            .and_then(|name| name.rsplit_once(':'))
            .map(|(_, digest)| digest.to_owned());
        Ok(Self {
            digest: by_image
                .or_else(|| server.clone())
                .ok_or_else(|| fault(NEITHER.to_owned()))?,
            image,
            has_server: server.is_some(),
            has_sbom: manifest.digest_of(SBOM).is_some(),
            has_scan: manifest.digest_of(SCAN).is_some(),
            has_lint: manifest.digest_of(LINT).is_some(),
            signed: trust.is_some(),
            version: manifest.version,
            commit: manifest.commit,
            built: manifest.built,
            dir,
        })
    }

    /// The server's binary.
    ///
    /// # Errors
    /// [`Error::Release`] if it is an image only.
    pub fn server(&self) -> Result<PathBuf, Error> {
        if self.has_server {
            return Ok(self.dir.join(SERVER));
        }
        Err(self.lacks(SERVER))
    }

    /// The server's image, by its digest.
    ///
    /// # Errors
    /// [`Error::Release`] if it is a binary only.
    pub fn image(&self) -> Result<&str, Error> {
        self.image.as_deref().ok_or_else(|| self.lacks(IMAGE))
    }

    /// How many of its dependencies a scan found to be vulnerable; `None` if it was not scanned.
    ///
    /// # Errors
    /// [`Error::Release`] if the scan's report is none.
    pub fn advisories(&self) -> Result<Option<u64>, Error> {
        if !self.has_scan {
            return Ok(None);
        }
        let fault = |what: String| Error::Release {
            dir: self.dir.clone(),
            what: format!("its `{SCAN}` {what}"),
        };
        let text = fs::read_to_string(self.dir.join(SCAN))
            .map_err(|error| fault(format!("cannot be read: {error}")))?;
        let report: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| fault(format!("is no JSON: {error}")))?;
        let count = report.pointer("/vulnerabilities/count");
        let count = count.and_then(serde_json::Value::as_u64);
        count
            .map(Some)
            .ok_or_else(|| fault("names no `vulnerabilities.count`".to_owned()))
    }

    fn lacks(&self, what: &str) -> Error {
        Error::Release {
            dir: self.dir.clone(),
            what: format!("it has no `{what}`, which this target runs"),
        }
    }

    /// Version and the beginning of the digest: enough for people.
    pub fn name(&self) -> String {
        format!(
            "{}-{}",
            self.version,
            self.digest.get(..12).unwrap_or_default()
        )
    }
}

/// What a manifest says that the files do not.
#[derive(Debug, Clone)]
pub struct Facts {
    pub version: String,
    pub commit: String,
    pub built: Timestamp,
}

/// Writes the manifest of every file in `dir`, signed.
///
/// # Errors
/// [`Error::Release`] if there is no server in it, [`Error::File`].
pub fn seal(dir: &Path, facts: &Facts, signer: &dyn Signer) -> Result<(), Error> {
    let fault = |what: String| Error::Release {
        dir: dir.to_owned(),
        what,
    };
    let unread = |source| Error::File {
        path: dir.to_owned(),
        verb: "read",
        source,
    };
    for fact in [&facts.version, &facts.commit] {
        if fact.is_empty() || fact.contains(char::is_whitespace) {
            return Err(fault(format!("`{fact}` is no fit version or commit")));
        }
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != MANIFEST && entry.file_type().map_err(unread)?.is_file() {
            files.push((digest_file(&entry.path()).map_err(unread)?, name));
        }
    }
    files.sort_by(|left, right| left.1.cmp(&right.1));
    let manifest = Manifest {
        version: facts.version.clone(),
        commit: facts.commit.clone(),
        built: facts.built.to_string(),
        files,
    };
    if manifest.digest_of(IMAGE).is_some() {
        image_of(dir).map_err(&fault)?;
    } else if manifest.digest_of(SERVER).is_none() {
        return Err(fault(NEITHER.to_owned()));
    }
    let signed = note::sign(&manifest.print(), signer).map_err(|error| fault(error.to_string()))?;
    let path = dir.join(MANIFEST);
    fs::write(&path, signed).map_err(|source| Error::File {
        path,
        verb: "written",
        source,
    })
}

const NEITHER: &str = "there is neither a `security-hub` nor an `image` in it";

/// The image's name. By digest: a tag can be moved to something else.
fn image_of(dir: &Path) -> Result<String, String> {
    let text = fs::read_to_string(dir.join(IMAGE))
        .map_err(|error| format!("its `{IMAGE}` cannot be read: {error}"))?;
    let name = text.trim();
    let by_digest = name.split_once("@sha256:").is_some_and(|(name, digest)| {
        !name.is_empty() && digest.len() == 64 && hex::decode(digest).is_ok()
    });
    if by_digest && !name.contains(char::is_whitespace) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "its `{IMAGE}` must be one line `registry/name@sha256:digest`"
    ))
}

fn digest_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut fs::File::open(path)?, &mut Write(&mut hasher))?;
    Ok(hex::encode(hasher.finalize()))
}

struct Write<'a>(&'a mut Sha256);

impl std::io::Write for Write<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
