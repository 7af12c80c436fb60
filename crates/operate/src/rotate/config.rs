//! `keys.toml`: where the keys are, and who uses them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_base::HumanDuration;
use serde::Deserialize;
use tokio::process::Command;

use crate::error::Error;
use crate::program;

/// The file. Paths in it are relative to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is under way, and what was done; mode 0700, since new secrets lie here until they are in use.
    pub state: PathBuf,
    /// Every server that runs, by its own address and not the load balancer's. A name stands for all of its addresses.
    pub servers: Vec<String>,
    /// PEM file with the roots that the servers' certificates come from, beside the usual ones.
    pub ca: Option<PathBuf>,
    /// How long everybody may take to go along with a step.
    #[serde(default = "patience")]
    pub patience: HumanDuration,
    pub ring: Option<Ring>,
    pub database: Option<Database>,
    pub tls: Option<Tls>,
    pub redis: Option<Redis>,
}

/// The servers' key ring.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// The file that the servers read, or the original of it.
    pub file: PathBuf,
    #[serde(default)]
    pub publish: Publish,
}

/// The application's login in PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The file that the servers read (`HUB_DATABASE_URL_FILE`).
    pub url_file: PathBuf,
    /// The URL of the role that owns the tables and may make roles.
    pub owner_url_file: PathBuf,
    #[serde(default)]
    pub publish: Publish,
}

/// The servers' certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The files that the servers read; they may be one and the same.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The name that clients expect.
    pub name: String,
    /// Where it is served: `host:port`, asked one by one.
    pub addresses: Vec<String>,
    /// A new one must last at least this long.
    #[serde(default = "least_left")]
    pub least_left: HumanDuration,
    #[serde(default)]
    pub publish: Publish,
}

/// The password of a user of Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Every node, `host:port`.
    pub addresses: Vec<String>,
    #[serde(default = "default_user")]
    pub user: String,
    /// The file that whoever connects reads.
    pub password_file: PathBuf,
    #[serde(default)]
    pub publish: Publish,
}

/// A command that hands a changed file to the servers, where they do not read it themselves: program and arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Publish(Vec<String>);

/// For that command.
const PUBLISHED: Duration = Duration::from_mins(1);

impl Publish {
    pub(crate) async fn run(&self) -> Result<(), Error> {
        if let Some((program, arguments)) = self.0.split_first() {
            let mut command = Command::new(program);
            command.args(arguments);
            program::succeeded(program, program::run(command, PUBLISHED).await?)?;
        }
        Ok(())
    }
}

/// Where the two lie while they are exchanged.
pub(crate) struct Secrets {
    pub(crate) former: PathBuf,
    pub(crate) fresh: PathBuf,
}

const fn least_left() -> HumanDuration {
    HumanDuration(Duration::from_hours(7 * 24))
}

fn default_user() -> String {
    "default".to_owned()
}

const fn patience() -> HumanDuration {
    HumanDuration(Duration::from_mins(2))
}

impl Config {
    /// # Errors
    /// [`Error::Configuration`] with the place of the fault.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fault = |what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        if config.servers.is_empty() {
            let what = "servers: name every server that runs, or a new key would be used before it is known";
            return Err(fault(what.to_owned()));
        }
        let real = fs::canonicalize(path).map_err(|error| fault(error.to_string()))?;
        config.rebase(real.parent().unwrap_or(Path::new("/")));
        Ok(config)
    }

    fn rebase(&mut self, base: &Path) {
        let mut paths = vec![&mut self.state];
        paths.extend(self.ca.as_mut());
        paths.extend(self.ring.as_mut().map(|ring| &mut ring.file));
        if let Some(database) = &mut self.database {
            paths.extend([&mut database.url_file, &mut database.owner_url_file]);
        }
        if let Some(tls) = &mut self.tls {
            paths.extend([&mut tls.cert, &mut tls.key]);
        }
        paths.extend(self.redis.as_mut().map(|redis| &mut redis.password_file));
        for path in paths {
            *path = base.join(&path);
        }
    }

    pub(crate) fn secrets(&self, of: &str) -> Secrets {
        Secrets {
            former: self.state.join(format!("{of}.former")),
            fresh: self.state.join(format!("{of}.fresh")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read_and_a_typing_error_is_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let config = Config::read(&root.join("infrastructure/deploy/keys.example.toml")).unwrap();
        assert!(config.ring.is_some() && config.database.is_some());
        assert!(config.tls.is_some() && config.redis.is_some());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        for (text, said) in [
            ("state = \"s\"\nservers = []\n", "name every server"),
            ("state = \"s\"\nserver = [\"x\"]\n", "server"),
            ("", "state"),
        ] {
            std::fs::write(&path, text).unwrap();
            let refused = Config::read(&path).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
