//! What a colour is on this host: a process, or a service of a compose file.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::deploy::Colour;
use crate::error::Error;
use crate::release::Release;

use super::compose::Services;
use super::config::{self, Local};
use super::process::{self, Start};

/// For what is to come of them.
pub(super) const PLAN: Duration = Duration::from_mins(1);
/// For migrations.
pub(super) const MIGRATE: Duration = Duration::from_mins(30);

/// How colours are started, found and stopped. Knows nothing of their shares.
#[derive(Debug)]
pub(super) enum Runner {
    Processes(Box<Processes>),
    Services(Services),
}

impl Runner {
    pub(super) fn of(local: &Local) -> Result<Self, Error> {
        if let Some(compose) = &local.compose {
            return Ok(Self::Services(Services::new(compose.clone())));
        }
        let environment = match &local.environment {
            Some(path) => config::environment(path)?,
            None => Vec::new(),
        };
        Ok(Self::Processes(Box::new(Processes {
            local: local.clone(),
            environment,
        })))
    }

    /// Whether the release has what is run here.
    pub(super) fn fits(&self, release: &Release) -> Result<(), Error> {
        match self {
            Self::Processes(_) => release.server().map(drop),
            Self::Services(_) => release.image().map(drop),
        }
    }

    /// The folder of the release that runs as that colour.
    pub(super) async fn find(&self, colour: Colour) -> Result<Option<PathBuf>, Error> {
        match self {
            Self::Processes(processes) => {
                Ok(process::find(processes.address(colour)).map(|running| running.dir))
            }
            Self::Services(services) => services.find(colour).await,
        }
    }

    /// Whether that very release runs as that colour, and not one that was in its folder before.
    pub(super) async fn runs(&self, colour: Colour, release: &Release) -> Result<bool, Error> {
        match self {
            Self::Processes(processes) => {
                let program = release.server()?;
                let running = process::find(processes.address(colour));
                Ok(running.is_some_and(|one| one.dir == release.dir && one.is(&program)))
            }
            Self::Services(services) => {
                Ok(services.find(colour).await?.as_ref() == Some(&release.dir))
            }
        }
    }

    /// How often somebody else has started it again, where somebody does.
    pub(super) async fn restarts(&self, colour: Colour) -> Result<Option<u64>, Error> {
        match self {
            Self::Processes(_) => Ok(None),
            Self::Services(services) => services.restarts(colour).await,
        }
    }

    /// What the release's server prints of its migrations.
    pub(super) async fn plan(&self, release: &Release) -> Result<String, Error> {
        match self {
            Self::Processes(processes) => processes.plan(release).await,
            Self::Services(services) => services.plan(release).await,
        }
    }

    pub(super) async fn migrate(&self, release: &Release) -> Result<(), Error> {
        match self {
            Self::Processes(processes) => processes.migrate(release).await,
            Self::Services(services) => services.migrate(release).await,
        }
    }

    pub(super) async fn start(&self, colour: Colour, release: &Release) -> Result<(), Error> {
        match self {
            Self::Processes(processes) => processes.start(colour, release).await,
            Self::Services(services) => services.start(colour, release).await,
        }
    }

    /// Asks it to finish, and ends it if it does not within `limit`.
    pub(super) async fn stop(&self, colour: Colour, limit: Duration) -> Result<(), Error> {
        match self {
            Self::Processes(processes) => process::stop(processes.address(colour), limit).await,
            Self::Services(services) => services.stop(colour, limit).await,
        }
    }

    /// What to say of one that is gone, and where to read why.
    pub(super) fn ended(&self, colour: Colour) -> String {
        match self {
            Self::Processes(processes) => {
                let log = processes.log_file(colour);
                let mut said = format!("its process ended; see {}", log.display());
                if let Some(last) = last_line(&log) {
                    said.push_str(": ");
                    said.push_str(&last);
                }
                said
            }
            Self::Services(services) => services.ended(colour),
        }
    }
}

/// The last that was said in a file, as far as a message has room for it.
fn last_line(file: &Path) -> Option<String> {
    const MOST: u64 = 2000;
    let mut file = std::fs::File::open(file).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST)))
        .ok()?;
    let mut end = Vec::new();
    file.take(MOST).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let last = end.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(last.trim().chars().take(400).collect())
}

/// Colours as processes of this host.
#[derive(Debug)]
pub(super) struct Processes {
    local: Local,
    environment: Vec<(String, String)>,
}

impl Processes {
    const fn address(&self, colour: Colour) -> SocketAddr {
        match colour {
            Colour::Blue => self.local.blue,
            Colour::Green => self.local.green,
        }
    }

    fn log_file(&self, colour: Colour) -> PathBuf {
        self.local.state.join(format!("{colour}.log"))
    }

    fn arguments(&self, verb: &str) -> Vec<String> {
        let mut arguments = vec![verb.to_owned()];
        if let Some(config) = &self.local.config {
            arguments.extend(["--config".to_owned(), config.display().to_string()]);
        }
        arguments
    }

    async fn plan(&self, release: &Release) -> Result<String, Error> {
        let mut arguments = self.arguments("migrate");
        arguments.push("--plan".to_owned());
        let start = Start {
            program: release.server()?,
            arguments,
            environment: &self.environment,
            log: &self.local.state,
        };
        start.ask(PLAN).await
    }

    async fn migrate(&self, release: &Release) -> Result<(), Error> {
        let start = Start {
            program: release.server()?,
            arguments: self.arguments("migrate"),
            environment: &self.environment,
            log: &self.local.state,
        };
        start.run(MIGRATE).await.map(drop)
    }

    async fn start(&self, colour: Colour, release: &Release) -> Result<(), Error> {
        let mut arguments = self.arguments("serve");
        let listen = self.address(colour).to_string();
        arguments.extend(["--listen".to_owned(), listen]);
        Start {
            program: release.server()?,
            arguments,
            environment: &self.environment,
            log: &self.log_file(colour),
        }
        .spawn()
        .await
    }
}
