//! One installation as backups see it: its server, its files, its repositories.

use std::path::{Path, PathBuf};

use hub_store::PrivateCluster;
use hub_store::cluster::Server;
use hub_store::cluster::account::{self, Account};
use hub_store::survey::Overseer;
use hub_vault::{Recipient, RecoveryKey};
use secrecy::{ExposeSecret as _, SecretString};

use super::config::{Config, Repository};
use super::info::Info;
use super::pgbackrest::{PgBackRest, Setting, passphrase, secret_file};
use crate::error::{Error, fault};
use crate::operation::OperationLog;

const PASSPHRASE: &str = "passphrase";
const RECIPIENT: &str = "recipient";
/// What the private cluster reads last; see `hub_store::cluster`.
pub(crate) const ARCHIVE: &str = "archive.conf";

/// A PostgreSQL server on this host.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) data: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
    /// Whom it runs as, if not as us.
    pub(crate) account: Option<Account>,
    /// The hub's own.
    pub(crate) server: Option<Server>,
}

impl Cluster {
    /// The private cluster of a data directory.
    pub(crate) fn private(data_dir: &Path) -> Result<Self, Error> {
        let server = PrivateCluster::find(data_dir).map_err(hub_store::Error::from)?;
        Ok(Self {
            data: server.data.clone(),
            socket: server.socket.clone(),
            port: 5432,
            user: hub_store::cluster::server::SUPERUSER.to_owned(),
            database: "hub".to_owned(),
            account: server.account.clone(),
            server: Some(server),
        })
    }

    fn of(config: &Config, data_dir: &Path) -> Result<Self, Error> {
        let Some(database) = &config.database else {
            return Self::private(data_dir);
        };
        Ok(Self {
            data: database.data.clone(),
            socket: database.socket.clone(),
            port: database.port,
            user: database.user.clone(),
            database: database.name.clone(),
            account: Account::for_server().map_err(hub_store::Error::from)?,
            server: None,
        })
    }

    pub(crate) fn overseer(&self) -> Result<Overseer, Error> {
        let socket: String = self
            .socket
            .to_string_lossy()
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let url = format!(
            "postgres://{}@localhost:{}/{}?host={socket}",
            self.user, self.port, self.database
        );
        Ok(Overseer::at(&url)?)
    }
}

/// A repository that can be opened.
#[derive(Debug, Clone)]
pub(crate) struct Unlocked {
    pub(crate) number: u8,
    pub(crate) repository: Repository,
    pub(crate) passphrase: SecretString,
}

/// An installation.
#[derive(Debug)]
pub struct Site {
    pub data_dir: PathBuf,
    pub config: Config,
    /// Where backups keep their own things: `<data directory>/backup`.
    pub dir: PathBuf,
    pub(crate) cluster: Cluster,
}

/// What a first backup made, to be shown once.
#[derive(Debug)]
pub struct Made {
    /// Opens every sealed bundle and the repository's passphrase.
    pub recovery_key: SecretString,
}

impl Site {
    /// # Errors
    /// If the data directory holds no hub, or its user's folders cannot be made.
    pub fn open(data_dir: &Path, config: Config) -> Result<Self, Error> {
        if !data_dir.is_dir() {
            return Err(Error::Configuration {
                path: data_dir.to_owned(),
                what: "there is no data directory of a hub here; name it with --data-dir"
                    .to_owned(),
            });
        }
        let data_dir = std::fs::canonicalize(data_dir).map_err(fault(data_dir, "found"))?;
        let dir = PrivateCluster::folder(&data_dir, "backup").map_err(hub_store::Error::from)?;
        let cluster = Cluster::of(&config, &data_dir)?;
        Ok(Self {
            data_dir,
            config,
            dir,
            cluster,
        })
    }

    /// What was done and waits to be told to the ledger.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn log(&self) -> Result<OperationLog, Error> {
        OperationLog::open(&self.dir.join("operations"))
    }

    /// Whether a backup has ever been set up here.
    pub fn is_set_up(&self) -> bool {
        self.dir.join("pgbackrest.conf").exists()
    }

    pub(crate) fn repositories(&self) -> Vec<Repository> {
        if self.config.repositories.is_empty() {
            return vec![Repository::folder(self.dir.join("repository"))];
        }
        self.config.repositories.clone()
    }

    /// The numbers of the repositories.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        let count = self.config.repositories.len().max(1);
        1..=u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// Whom bundles are sealed to; without any in the configuration, a key is made and shown once.
    pub(crate) fn recipients(&self) -> Result<(Vec<Recipient>, Option<Made>), Error> {
        let path = self.dir.join(RECIPIENT);
        let texts = if self.config.recipients.is_empty() {
            match std::fs::read_to_string(&path) {
                Ok(text) => vec![text],
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let key = RecoveryKey::generate();
                    let recipient = key.recipient();
                    std::fs::write(&path, format!("{recipient}\n"))
                        .map_err(fault(&path, "written"))?;
                    let made = Made {
                        recovery_key: key.text(),
                    };
                    return Ok((vec![recipient], Some(made)));
                }
                Err(error) => return Err(fault(&path, "read")(error)),
            }
        } else {
            self.config.recipients.clone()
        };
        let recipients = texts.iter().map(|text| text.parse());
        Ok((recipients.collect::<Result<_, _>>()?, None))
    }

    /// Each repository with its passphrase; missing passphrases and folders are made.
    pub(crate) fn unlocked(&self) -> Result<Vec<Unlocked>, Error> {
        let account = self.cluster.account.as_ref();
        let mut unlocked = Vec::new();
        for (number, repository) in (1..).zip(self.repositories()) {
            if let Some(path) = &repository.path {
                std::fs::create_dir_all(path).map_err(fault(path, "made"))?;
                account::directory(account, path).map_err(hub_store::Error::from)?;
            }
            let given = repository.passphrase_file.clone();
            let path = given.unwrap_or_else(|| self.dir.join(PASSPHRASE));
            if !path.exists() && repository.passphrase_file.is_none() {
                secret_file(&path, passphrase()?.expose_secret(), None)?;
            }
            let text = std::fs::read_to_string(&path).map_err(fault(&path, "read"))?;
            let passphrase = text.trim();
            if passphrase.len() < 20 {
                return Err(Error::Configuration {
                    path,
                    what: "a passphrase of fewer than 20 characters protects nothing".to_owned(),
                });
            }
            unlocked.push(Unlocked {
                number,
                repository,
                passphrase: passphrase.to_owned().into(),
            });
        }
        Ok(unlocked)
    }

    /// pgBackRest with all repositories, as the database's archiver has it.
    pub(crate) fn tool(&self) -> Result<PgBackRest, Error> {
        self.configured(&self.unlocked()?, "")
    }

    /// pgBackRest with one repository alone: what is the matter with another one does not matter.
    pub(crate) fn alone(&self, number: u8) -> Result<PgBackRest, Error> {
        let mut one = self.unlocked()?;
        one.retain(|unlocked| unlocked.number == number);
        self.configured(&one, &format!("-{number}"))
    }

    fn configured(&self, repositories: &[Unlocked], suffix: &str) -> Result<PgBackRest, Error> {
        PgBackRest::configure(&Setting {
            repositories,
            cluster: &self.cluster,
            processes: self.config.processes,
            patience: self.config.patience.0,
            suffix,
            dir: &self.dir,
        })
    }

    /// What is in every repository that answers, and why the others do not.
    pub(crate) async fn info(&self) -> Result<Info, Error> {
        let mut all = Info::default();
        for number in self.numbers() {
            let info = match self.alone(number)?.info().await {
                Ok(info) if info.repositories.is_empty() => {
                    Info::without(number, "nothing was ever backed up into it".to_owned())
                }
                Ok(info) => info,
                Err(error @ Error::Absent(..)) => return Err(error),
                Err(error) => Info::without(number, hub_base::chain(&error)),
            };
            all = all.and(info);
        }
        Ok(all)
    }

    /// Has the private cluster archive its WAL into the repositories from now on.
    pub(crate) async fn archive(&self, tool: &PgBackRest) -> Result<(), Error> {
        let overseer = self.cluster.overseer()?;
        if self.cluster.server.is_some() {
            let path = self.cluster.data.join(ARCHIVE);
            let conf = tool.conf.display().to_string();
            let text = format!(
                "# Written by hubctl at each backup.\n\
                 archive_command = 'pgbackrest --config={} --stanza={} archive-push %p'\n\
                 archive_timeout = {}\n",
                conf.replace('\'', "''"),
                super::pgbackrest::STANZA,
                self.config.archive_timeout.0.as_secs()
            );
            if std::fs::read_to_string(&path).ok().as_deref() != Some(&*text) {
                secret_file(&path, &text, self.cluster.account.as_ref())?;
                overseer.reload().await?;
            }
        }
        let mode = overseer.setting("archive_mode").await?;
        let mut command = overseer.setting("archive_command").await?;
        // The server reads its configuration again in its own time.
        for _ in 0..100 {
            if mode == "off" || command.contains("pgbackrest") || self.cluster.server.is_none() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            command = overseer.setting("archive_command").await?;
        }
        if mode == "off" || !command.contains("pgbackrest") {
            // The private cluster of an older hub; or one that is not ours to set.
            return Err(Error::NotArchiving(if self.cluster.server.is_some() {
                "restart the hub once: its server was started before backups were known to it"
                    .to_owned()
            } else {
                format!(
                    "set archive_mode = on and archive_command = 'pgbackrest --config={} --stanza={} archive-push %p', and restart it",
                    tool.conf.display(),
                    super::pgbackrest::STANZA
                )
            }));
        }
        Ok(())
    }

    /// Starts the private cluster if nobody has it running; stopped again when dropped or by [`PrivateCluster::stop`].
    pub(crate) async fn running(&self) -> Result<Option<PrivateCluster>, Error> {
        match &self.cluster.server {
            Some(server) if !server.is_running() => {
                let cluster = PrivateCluster::start(&self.data_dir).await;
                Ok(Some(cluster.map_err(hub_store::Error::from)?))
            }
            _ => Ok(None),
        }
    }
}
