//! A repository whose files can be neither changed nor removed once they are there, as an object store's lock does it: by
//! the file system's own immutable flag, or where that is not to be had, by belonging to somebody else in folders from
//! which only the owner removes.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_store::cluster::account::Account;
use tokio::task::JoinHandle;

use super::inject::files_under;
use crate::error::{Error, fault};

/// How soon what has come is kept.
const LOOK: Duration = Duration::from_millis(100);
/// Looks at a folder that changes meanwhile, before that is a fault.
const LOOKS: u32 = 10;
/// Names at once in one command.
const AT_ONCE: usize = 200;
/// What pgBackRest still writes, and renames when it is whole.
const UNFINISHED: &str = ".pgbackrest.tmp";

#[derive(Debug, Clone)]
enum Means {
    Immutable,
    Ownership(Account),
}

/// A folder that is kept; let go when dropped.
#[derive(Debug)]
pub(super) struct WriteOnce {
    keeper: Arc<Keeper>,
    task: JoinHandle<()>,
}

/// What keeps it.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: PathBuf,
    means: Means,
    /// Nothing once it is let go: a look that is under way then must not keep anything more.
    kept: Mutex<Option<HashSet<PathBuf>>>,
}

impl WriteOnce {
    /// Keeps what is there, and from then on whatever comes.
    ///
    /// # Errors
    /// [`Error::Absent`] if this machine has no means to it.
    pub(super) fn begin(folder: PathBuf) -> Result<Self, Error> {
        let keeper = Arc::new(Keeper {
            means: means(&folder)?,
            folder,
            kept: Mutex::new(Some(HashSet::new())),
        });
        keeper.keep()?;
        let keeping = Arc::clone(&keeper);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let keeper = Arc::clone(&keeping);
                // A folder that is listed while it changes is listed again.
                let _again = tokio::task::spawn_blocking(move || keeper.keep()).await;
            }
        });
        Ok(Self { keeper, task })
    }

    pub(super) fn keeper(&self) -> Arc<Keeper> {
        Arc::clone(&self.keeper)
    }

    /// In words.
    pub(super) fn means(&self) -> &'static str {
        match self.keeper.means {
            Means::Immutable => "by the immutable flag of the file system, against root",
            Means::Ownership(_) => "by another owner, against the database's user",
        }
    }

    /// Whom it is kept from, if not from root.
    pub(super) fn intruder(&self) -> Option<Account> {
        match &self.keeper.means {
            Means::Immutable => None,
            Means::Ownership(account) => Some(account.clone()),
        }
    }
}

impl Drop for WriteOnce {
    fn drop(&mut self) {
        self.task.abort();
        let mut kept = self
            .keeper
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *kept = None;
        if matches!(self.keeper.means, Means::Immutable) {
            let _gone = chattr("-i", &["-R"], std::slice::from_ref(&self.keeper.folder));
        }
    }
}

fn means(folder: &Path) -> Result<Means, Error> {
    let probe = folder.join("write-once");
    File::create(&probe).map_err(fault(&probe, "written"))?;
    let names = [probe.clone()];
    // Taken at its word: where the flag is only pretended, the file can be removed.
    let is_kept = chattr("+i", &[], &names).is_ok() && fs::remove_file(&probe).is_err();
    let _not_set = chattr("-i", &[], &names);
    let _gone = fs::remove_file(&probe);
    if is_kept {
        return Ok(Means::Immutable);
    }
    let account = Account::for_server().map_err(hub_store::Error::from)?;
    account.map(Means::Ownership).ok_or(Error::Absent(
        "a way to keep files from being changed",
        "run it as root: an ordinary user can always undo what it did",
    ))
}

impl Keeper {
    /// Of these files, those that an object store would have: they are kept when this returns. There the lock is on an object
    /// from its first moment; here a look may be late, and what is not whole yet is no object.
    ///
    /// # Errors
    /// If the folder changes whenever it is looked at, or its files cannot be kept.
    pub(super) fn objects(&self, files: &mut Vec<PathBuf>) -> Result<(), Error> {
        files.retain(|file| !is_unfinished(file));
        for _ in 1..LOOKS {
            if self.keep().is_ok() {
                return Ok(());
            }
        }
        self.keep()
    }

    fn keep(&self) -> Result<(), Error> {
        let mut files = Vec::new();
        files_under(&self.folder, &mut files)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.as_mut() else {
            return Ok(());
        };
        files.retain(|file| !kept.contains(file) && !is_unfinished(file));
        match &self.means {
            Means::Immutable => {
                for some in files.chunks(AT_ONCE) {
                    chattr("+i", &[], some)?;
                }
            }
            Means::Ownership(account) => {
                for file in &files {
                    take(file, account, 0o640)?;
                    let folders = file.ancestors().skip(1);
                    for folder in folders.take_while(|folder| folder.starts_with(&self.folder)) {
                        take(folder, account, 0o1770)?;
                    }
                }
            }
        }
        kept.extend(files);
        Ok(())
    }
}

fn is_unfinished(file: &Path) -> bool {
    file.to_string_lossy().ends_with(UNFINISHED)
}

/// Root's own, and its group may read it (and put something beside it).
fn take(path: &Path, account: &Account, mode: u32) -> Result<(), Error> {
    chown(path, Some(0), Some(account.gid)).map_err(fault(path, "handed over"))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fault(path, "protected"))
}

fn chattr(flag: &str, options: &[&str], paths: &[PathBuf]) -> Result<(), Error> {
    let status = Command::new("chattr")
        .args(options)
        .arg(flag)
        .arg("--")
        .args(paths)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|source| Error::Start("chattr".into(), source))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: "chattr".to_owned(),
        status: status.to_string(),
        said: flag.to_owned(),
    })
}
