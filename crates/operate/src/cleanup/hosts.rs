//! What lies in files on a host: releases that neither run nor are the way back, reports that are old.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hub_base::Timestamp;

use super::Policy;
use crate::deploy::Journal;
use crate::error::{Error, fault};
use crate::release::MANIFEST;

/// A file or folder that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    pub path: PathBuf,
    pub bytes: u64,
}

/// Releases that were deployed here, but for the newest, what runs and what was about to.
///
/// # Errors
/// [`Error::File`], [`Error::Configuration`].
pub fn releases(state: &Path, policy: &Policy) -> Result<Vec<Old>, Error> {
    let history = Journal::history(state)?;
    let mut kept: HashSet<PathBuf> = HashSet::new();
    if let Some(current) = Journal::peek(state)? {
        kept.insert(current.to.dir);
        kept.extend(current.from.map(|from| from.dir));
    }
    if let Some(last) = history.last() {
        kept.extend(last.from.as_ref().map(|from| from.dir.clone()));
    }
    let mut old = Vec::new();
    let mut newest = 0;
    for journey in history.iter().rev() {
        let dir = &journey.to.dir;
        if newest < policy.releases.newest && kept.insert(dir.clone()) {
            newest += 1;
        }
        // Only what is still a release: nothing else is removed because a journal names it.
        let is_known = old.iter().any(|one: &Old| one.path == *dir);
        if !kept.contains(dir) && !is_known && dir.join(MANIFEST).is_file() {
            let bytes = size(dir)?;
            old.push(Old {
                path: dir.clone(),
                bytes,
            });
        }
    }
    Ok(old)
}

/// Files of a folder, not of those in it, that were written before the policy's time.
///
/// # Errors
/// [`Error::File`].
pub fn reports(folder: &Path, policy: &Policy, now: Timestamp) -> Result<Vec<Old>, Error> {
    let mut old = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault(folder, "read"))? {
        let path = entry.map_err(fault(folder, "read"))?.path();
        let meta = fs::symlink_metadata(&path).map_err(fault(&path, "read"))?;
        let written = Timestamp::from_unix_seconds(meta.mtime());
        let age = now.since(written);
        if meta.is_file() && age > policy.reports.keep.0 {
            let bytes = meta.len();
            old.push(Old { path, bytes });
        }
    }
    old.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(old)
}

/// Removes it; nothing to do if it is gone.
///
/// # Errors
/// [`Error::File`].
pub fn remove(old: &Old) -> Result<(), Error> {
    let removed = if old.path.is_dir() {
        fs::remove_dir_all(&old.path)
    } else {
        fs::remove_file(&old.path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(fault(&old.path, "removed")(error))
        }
        _ => Ok(()),
    }
}

fn size(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(fault(folder, "read"))? {
        let path = entry.map_err(fault(folder, "read"))?.path();
        let meta = fs::symlink_metadata(&path).map_err(fault(&path, "read"))?;
        bytes += if meta.is_dir() {
            size(&path)?
        } else {
            meta.len()
        };
    }
    Ok(bytes)
}
