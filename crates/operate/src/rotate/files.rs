//! Files with secrets: written whole or not at all, by whoever rotates, for whoever reads them.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use secrecy::SecretString;

use crate::error::{Error, fault};

/// A folder that nobody else looks into.
pub(super) fn private_folder(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(fault(path, "made"))
}

/// Puts these bytes where the file is, in one moment, readable for whoever could read it; a new one for its owner only.
/// A symbolic link stays one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = real.parent().unwrap_or(Path::new("/"));
    let written = || -> std::io::Result<()> {
        let mut beside = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)?;
        if let Ok(before) = fs::metadata(&real) {
            let now = beside.as_file().metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                fchown(beside.as_file(), Some(before.uid()), Some(before.gid()))?;
            }
            let mode = Permissions::from_mode(before.mode() & 0o777);
            beside.as_file().set_permissions(mode)?;
        }
        beside.write_all(bytes)?;
        beside.as_file().sync_all()?;
        beside.persist(&real)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(fault(path, "written"))
}

/// A secret without the newline at its end; `None` if there is no such file.
pub(super) fn secret(path: &Path) -> Result<Option<SecretString>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(fault(path, "read")(source)),
    }
}

/// A secret that must be there.
pub(super) fn needed(path: &Path) -> Result<SecretString, Error> {
    secret(path)?.ok_or_else(|| fault(path, "read")(std::io::ErrorKind::NotFound.into()))
}

/// Nothing to do if it is gone.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(fault(path, "removed")(error))
        }
        _ => Ok(()),
    }
}
