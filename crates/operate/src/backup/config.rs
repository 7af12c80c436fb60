//! `backup.toml`: what is backed up, where to, how often, how long it is kept. Without one: the private cluster, into a
//! repository in the data directory.

use std::path::{Path, PathBuf};

use hub_base::HumanDuration;
use hub_vault::Recipient;
use serde::Deserialize;

use super::keep::Keep;
use crate::error::Error;

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// PostgreSQL that is not the hub's own private cluster.
    pub database: Option<Database>,
    /// One or two; each backup goes to both.
    #[serde(rename = "repository")]
    pub repositories: Vec<Repository>,
    /// Who can open what is sealed, `age1…`.
    pub recipients: Vec<String>,
    /// Files and folders besides those of the data directory: configuration, content, certificates.
    pub files: Vec<PathBuf>,
    /// Names that a restore needs and that are kept elsewhere: secrets in a vault, the Terraform state.
    pub references: Vec<String>,
    pub schedule: Schedule,
    pub keep: Keep,
    /// WAL is archived at the latest after this time: the bound of what a disaster can cost.
    pub archive_timeout: HumanDuration,
    /// Processes that read, compress and write.
    pub processes: u8,
    /// How long a repository may be silent before it counts as away.
    pub patience: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: None,
            repositories: Vec::new(),
            recipients: Vec::new(),
            files: Vec::new(),
            references: Vec::new(),
            schedule: Schedule::default(),
            keep: Keep::default(),
            archive_timeout: HumanDuration(std::time::Duration::from_secs(30)),
            processes: 2,
            patience: HumanDuration(std::time::Duration::from_secs(5)),
        }
    }
}

/// A server on this host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// PGDATA.
    pub data: PathBuf,
    /// The folder of its socket.
    pub socket: PathBuf,
    #[serde(default = "port")]
    pub port: u16,
    /// A superuser that logs in over the socket.
    #[serde(default = "postgres")]
    pub user: String,
    #[serde(default = "hub")]
    pub name: String,
}

const fn port() -> u16 {
    5432
}

fn postgres() -> String {
    "postgres".to_owned()
}

fn hub() -> String {
    "hub".to_owned()
}

/// Where backups and WAL go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// A folder: another disk, a mounted share.
    pub path: Option<PathBuf>,
    /// Or an object store.
    pub s3: Option<S3>,
    /// The file with its passphrase; without one, it is made and kept beside the configuration.
    pub passphrase_file: Option<PathBuf>,
    /// How far it may lie behind the database before that is an alarm.
    #[serde(default = "lag")]
    pub lag: HumanDuration,
}

const fn lag() -> HumanDuration {
    HumanDuration(std::time::Duration::from_mins(5))
}

impl Repository {
    /// A folder.
    pub const fn folder(path: PathBuf) -> Self {
        Self {
            path: Some(path),
            s3: None,
            passphrase_file: None,
            lag: lag(),
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match (&self.path, &self.s3) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(s3)) => format!("s3://{}{} at {}", s3.bucket, s3.path, s3.endpoint),
            (None, None) => String::new(),
        }
    }
}

/// An object store that speaks S3.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    pub bucket: String,
    pub endpoint: String,
    pub region: String,
    /// The folder in the bucket.
    #[serde(default = "root")]
    pub path: String,
    /// Two lines: the key's id and the key. Without it the machine's own role counts.
    pub key_file: Option<PathBuf>,
    /// The certificate authority of an endpoint of one's own.
    pub ca_file: Option<PathBuf>,
    /// Addresses buckets as `endpoint/bucket` instead of `bucket.endpoint`.
    #[serde(default)]
    pub path_style: bool,
}

fn root() -> String {
    "/".to_owned()
}

/// How old the newest of a kind may become; a full backup is a differential and an incremental one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    pub full: HumanDuration,
    pub differential: HumanDuration,
    pub incremental: HumanDuration,
    /// How late one may be before it counts as missed.
    pub grace: HumanDuration,
    /// How old the last drill may become.
    pub drill: HumanDuration,
}

impl Default for Schedule {
    fn default() -> Self {
        let hours = |n: u64| HumanDuration(std::time::Duration::from_secs(n * 3600));
        Self {
            full: hours(7 * 24),
            differential: hours(24),
            incremental: hours(1),
            grace: hours(1),
            drill: hours(7 * 24),
        }
    }
}

impl Config {
    /// Reads the file; paths in it are relative to it.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the line or every fault.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fault = |what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(fault(faults.join("; ")));
        }
        let whole = std::fs::canonicalize(path).map_err(|error| fault(error.to_string()))?;
        config.rebase(whole.parent().unwrap_or(Path::new("/")));
        Ok(config)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (number, repository) in (1..).zip(&self.repositories) {
            if repository.path.is_some() == repository.s3.is_some() {
                faults.push(format!("repository {number} must have either path or s3"));
            }
            if let Some(s3) = &repository.s3
                && !s3.path.starts_with('/')
            {
                faults.push(format!("repository {number}: s3.path must begin with /"));
            }
        }
        if self.repositories.len() > 4 {
            faults.push("at most four repositories".to_owned());
        }
        for text in &self.recipients {
            if let Err(error) = text.parse::<Recipient>() {
                faults.push(format!("recipients: {error}"));
            }
        }
        let seconds = self.archive_timeout.0.as_secs();
        if !(1..=3600).contains(&seconds) {
            faults.push("archive_timeout must be from 1s to 1h".to_owned());
        }
        if !(1..=600).contains(&self.patience.0.as_secs()) {
            faults.push("patience must be from 1s to 10m".to_owned());
        }
        if !(1..=64).contains(&self.processes) {
            faults.push("processes must be from 1 to 64".to_owned());
        }
        faults.extend(self.keep.faults());
        faults
    }

    fn rebase(&mut self, base: &Path) {
        let rebase = |path: &mut PathBuf| *path = base.join(&*path);
        self.files.iter_mut().for_each(rebase);
        if let Some(database) = &mut self.database {
            rebase(&mut database.data);
            rebase(&mut database.socket);
        }
        for repository in &mut self.repositories {
            repository.path.iter_mut().for_each(rebase);
            repository.passphrase_file.iter_mut().for_each(rebase);
            if let Some(s3) = &mut repository.s3 {
                s3.key_file.iter_mut().for_each(rebase);
                s3.ca_file.iter_mut().for_each(rebase);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_pair_is_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(root.join("infrastructure/patroni/backup.example.toml"));
        let key = hub_vault::RecoveryKey::generate().recipient().to_string();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.toml");
        std::fs::write(&path, text.unwrap().replace("age1…", &key)).unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.repositories.len(), 1);
        assert!(config.database.is_some());
    }
}
