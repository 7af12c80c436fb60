//! Secrets in files: read, and kept where only their owner can read them.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::exit::Failure;

/// A secret from a file (`-` is standard input), without the newline at its end.
pub(crate) fn read_secret(file: &Path) -> Result<SecretString, Failure> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, error))?
    };
    Ok(SecretString::from(text.trim().to_owned()))
}

/// The place of a secret that is yet to be made: what is shown only once is not asked for before it can be kept.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    file: File,
    /// Made here, so it goes again if nothing comes into it.
    is_new: bool,
    is_kept: bool,
}

impl SecretFile {
    /// Opens a file for its owner alone; what it holds stays until there is something new.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (options.open(path), false),
            made => (made, true),
        };
        let fault = |error| Failure::file("write", path, error);
        let file = file.map_err(fault)?;
        // A file that stood there before keeps its mode otherwise.
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(fault)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
            is_kept: false,
        })
    }

    pub(crate) fn keep(mut self, secret: &str) -> Result<(), Failure> {
        self.is_kept = true;
        let written = self.write(secret);
        written.map_err(|error| Failure::file("write", &self.path, error))
    }

    fn write(&mut self, secret: &str) -> std::io::Result<()> {
        // A pipe has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        writeln!(self.file, "{secret}")
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if self.is_new && !self.is_kept {
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}
