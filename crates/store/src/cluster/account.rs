//! Whom the server runs as. PostgreSQL refuses to run as root; as anybody else it simply runs as us.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::error::Error;

/// An unprivileged user to step down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// `None` if we are not root and run the server as ourselves; else `postgres`, else `nobody`.
    pub fn for_server() -> Result<Option<Self>, Error> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            })
            .map(Some)
            .ok_or(Error::NoAccount)
    }

    /// Whether this user can step into `directory`, by its permission bits.
    pub fn can_enter(&self, directory: &Path) -> bool {
        let Ok(meta) = std::fs::metadata(directory) else {
            return false;
        };
        let mode = meta.permissions().mode();
        if meta.uid() == self.uid {
            mode & 0o100 != 0
        } else if meta.gid() == self.gid {
            mode & 0o010 != 0
        } else {
            mode & 0o001 != 0
        }
    }
}

/// A command that runs as the server's user, in `/`, speaking English, with nothing inherited to write to.
pub fn command(account: Option<&Account>, program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .env("LC_ALL", "C")
        .env_remove("PGDATA")
        .env_remove("PGOPTIONS")
        .stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes `directory` (0700) if it is missing and hands it to the server's user.
pub fn directory(account: Option<&Account>, directory: &Path) -> Result<(), Error> {
    match std::fs::create_dir(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::files("make", directory)(error)),
    }
    give(account, directory)?;
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory, mode).map_err(Error::files("protect", directory))
}

/// Hands a path to the server's user.
pub fn give(account: Option<&Account>, path: &Path) -> Result<(), Error> {
    let Some(account) = account else {
        return Ok(());
    };
    std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid))
        .map_err(Error::files("hand over", path))
}
