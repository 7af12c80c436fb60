//! Where the cluster's files lie: under the data directory, unless the server's user cannot get there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::account::{self, Account};
use super::error::Error;

/// `<data directory>/<name>`, made and handed to the server's user.
///
/// A server that runs as another user must be able to step through every parent. Our own data directory is
/// opened for stepping through (0711); a parent that is not ours (`/root`) is left alone, and the files go to
/// `far`, with a link in the data directory that says so.
pub fn place(
    data_directory: &Path,
    name: &str,
    far: &Path,
    account: Option<&Account>,
) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(data_directory).map_err(Error::files("make", data_directory))?;
    let whole = data_directory
        .canonicalize()
        .map_err(Error::files("find", data_directory))?;
    let near = whole.join(name);
    if let Some(account) = account {
        let mode = std::fs::metadata(&whole)
            .map_err(Error::files("read", &whole))?
            .permissions()
            .mode();
        if mode & 0o001 == 0 {
            let open = std::fs::Permissions::from_mode(mode | 0o011);
            std::fs::set_permissions(&whole, open).map_err(Error::files("open", &whole))?;
        }
        let closed = whole.ancestors().find(|parent| !account.can_enter(parent));
        if let Some(closed) = closed {
            return elsewhere(&near, far, account, closed);
        }
    }
    account::directory(account, &near)?;
    near.canonicalize().map_err(Error::files("find", &near))
}

fn elsewhere(near: &Path, far: &Path, account: &Account, closed: &Path) -> Result<PathBuf, Error> {
    let target = far.join(super::short_hash(near));
    std::fs::create_dir_all(far).map_err(Error::files("make", far))?;
    account::directory(Some(account), &target)?;
    if std::fs::symlink_metadata(near).is_err() {
        std::os::unix::fs::symlink(&target, near).map_err(Error::files("link", near))?;
        tracing::warn!(
            closed = %closed.display(),
            files = %target.display(),
            "the user `{}` cannot enter the data directory; the database lies elsewhere",
            account.name
        );
    }
    Ok(target)
}
