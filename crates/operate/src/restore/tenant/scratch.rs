//! The place where a backup is restored beside, for as long as it is needed and no longer: also when whoever made it was
//! killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hub_base::OperationId;
use hub_store::PrivateCluster;

use crate::backup::Site;
use crate::error::{Error, fault};

const MARK: &str = "scratch";

/// A folder with a server of its own; at most one for each installation.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    mark: PathBuf,
    _lock: File,
}

/// Removes what a killed one left; which folder it was.
pub(super) fn sweep(site: &Site) -> Result<Option<PathBuf>, Error> {
    let Some(lock) = lock(site)? else {
        return Ok(None);
    };
    let mark = site.dir.join(MARK);
    let Ok(text) = fs::read_to_string(&mark) else {
        return Ok(None);
    };
    let path = PathBuf::from(text.trim_end_matches('\n'));
    remove(&path)?;
    fs::remove_file(&mark).map_err(fault(&mark, "removed"))?;
    drop(lock);
    Ok(Some(path))
}

/// `None` while somebody holds it.
fn lock(site: &Site) -> Result<Option<File>, Error> {
    let path = site.dir.join("scratch.lock");
    let lock = File::create(&path).map_err(fault(&path, "written"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(fault(&path, "locked")(source)),
    }
}

impl Scratch {
    /// INVARIANT: the mark is there before the folder, so that there is no folder without one.
    pub(super) fn make(site: &Site, under: &Path, operation: OperationId) -> Result<Self, Error> {
        let lock = lock(site)?.ok_or_else(|| Error::Held(site.dir.join("scratch.lock")))?;
        fs::create_dir_all(under).map_err(fault(under, "made"))?;
        let under = fs::canonicalize(under).map_err(fault(under, "found"))?;
        let path = under.join(format!("tenant-{operation}"));
        let mark = site.dir.join(MARK);
        let text = format!("{}\n", path.display());
        fs::write(&mark, text).map_err(fault(&mark, "written"))?;
        fs::create_dir(&path).map_err(fault(&path, "made"))?;
        Ok(Self {
            path,
            mark,
            _lock: lock,
        })
    }

    pub(super) fn tear_down(self) -> Result<(), Error> {
        remove(&self.path)?;
        fs::remove_file(&self.mark).map_err(fault(&self.mark, "removed"))
    }
}

/// Its server is stopped first; nothing to do if there is no such folder.
fn remove(path: &Path) -> Result<(), Error> {
    if !path.exists() {
        return Ok(());
    }
    let server = PrivateCluster::find(path).map_err(hub_store::Error::from)?;
    if server.is_running() {
        server.stop().map_err(hub_store::Error::from)?;
    }
    for name in ["postgres", "backup"] {
        let base = fs::canonicalize(path.join(name)).ok();
        // Where the server's user could not enter, its files lie elsewhere.
        if let Some(far) = base.filter(|base| !base.starts_with(path)) {
            fs::remove_dir_all(&far).map_err(fault(&far, "removed"))?;
        }
    }
    fs::remove_dir_all(path).map_err(fault(path, "removed"))
}
