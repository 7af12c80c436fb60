//! `pair.toml`: where the two nodes' Patroni are, and by which right they are told to change places.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_base::HumanDuration;
use serde::Deserialize;

use crate::error::Error;

/// The file. Paths in it are relative to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The REST addresses of both Patroni.
    pub members: Vec<String>,
    /// PEM file with the authority of their certificates.
    pub ca: Option<PathBuf>,
    /// Who may have them change places.
    #[serde(default = "username")]
    pub username: String,
    pub password_file: Option<PathBuf>,
    /// What was done and waits to be told to the hub's ledger.
    pub state: PathBuf,
    /// How long a change of places may take.
    #[serde(default = "patience")]
    pub patience: HumanDuration,
    /// How many bytes a standby may be behind before it is said.
    #[serde(default = "most_behind")]
    pub most_behind: u64,
}

fn username() -> String {
    "patroni".to_owned()
}

const fn patience() -> HumanDuration {
    HumanDuration(Duration::from_mins(1))
}

const fn most_behind() -> u64 {
    16 << 20
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
        if config.members.is_empty() {
            let what = "members: name both nodes' Patroni, such as https://10.0.0.11:8008";
            return Err(fault(what.to_owned()));
        }
        let real = fs::canonicalize(path).map_err(|error| fault(error.to_string()))?;
        let base = real.parent().unwrap_or(Path::new("/"));
        let mut paths = vec![&mut config.state];
        paths.extend(config.ca.as_mut());
        paths.extend(config.password_file.as_mut());
        for path in paths {
            *path = base.join(&path);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read_and_a_typing_error_is_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let config = Config::read(&root.join("infrastructure/patroni/pair.example.toml")).unwrap();
        assert_eq!(config.members.len(), 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pair.toml");
        for (text, said) in [
            ("state = \"s\"\nmembers = []\n", "name both nodes"),
            ("state = \"s\"\nmember = [\"x\"]\n", "member"),
            ("", "members"),
        ] {
            std::fs::write(&path, text).unwrap();
            let refused = Config::read(&path).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
