//! What disasters do to a database, for drills: each is the real damage, done as a superuser could do it.
//!
//! INVARIANT: nothing here works on any database but the one whose files lie in the folder that the drill made.

mod repo;

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::survey::Overseer;

/// A database that a drill made for itself, and may destroy.
#[derive(Debug)]
pub struct Victim {
    overseer: Overseer,
    data: PathBuf,
}

impl Victim {
    /// The database behind `overseer`, if its files lie in `scratch`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they do not: it is somebody's.
    pub async fn of(overseer: Overseer, scratch: &Path) -> Result<Self, Error> {
        let data = PathBuf::from(overseer.setting("data_directory").await?);
        let inside = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if !inside(&data).starts_with(inside(scratch)) {
            return Err(Error::Invalid(format!(
                "the database in {} is none that a drill made in {}",
                data.display(),
                scratch.display()
            )));
        }
        Ok(Self { overseer, data })
    }

    /// Drops a table and what hangs on it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn drop_table(&self, table: &str) -> Result<(), Error> {
        repo::drop_table(&mut self.overseer.enter().await?, table).await
    }

    /// What a release with a bad migration does: a column goes that everybody reads, and the schema says that it is newer
    /// than any program here.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn migrate_badly(&self, table: &str, column: &str) -> Result<(), Error> {
        repo::migrate_badly(&mut self.overseer.enter().await?, table, column).await
    }

    /// Rewrites history: another text in an entry that stands, past every trigger. False if there is no such entry.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn alter_entry(&self, slug: &str, index: i64) -> Result<bool, Error> {
        repo::alter_entry(&mut self.overseer.enter().await?, slug, index).await
    }

    /// The file that holds a table, with everything written to it that the server still had in memory.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn file_of(&self, table: &str) -> Result<PathBuf, Error> {
        let file = repo::file_of(&mut self.overseer.enter().await?, table).await?;
        Ok(self.data.join(file))
    }
}
