//! `[local]` of `deploy.toml`: the host, and how its colours run.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;

/// One host: blue and green behind HAProxy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// HAProxy's runtime socket, level admin.
    pub haproxy: PathBuf,
    #[serde(default = "backend")]
    pub backend: String,
    /// Where HAProxy sends its log: a datagram for each request.
    pub log: SocketAddr,
    pub blue: SocketAddr,
    pub green: SocketAddr,
    /// Journal, logs and HAProxy's states.
    pub state: PathBuf,
    /// The server's own configuration, for both colours.
    pub config: Option<PathBuf>,
    /// Lines `NAME=value` for the servers' environment; mode 0600, since passwords stand in it.
    pub environment: Option<PathBuf>,
    /// The colours are services of a compose file; without it they are processes.
    pub compose: Option<Compose>,
}

/// The compose file whose services `hub-blue`, `hub-green` and `migrate` are run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// The file, and those that override parts of it.
    pub files: Vec<PathBuf>,
    /// Files for `--env-file`.
    #[serde(default)]
    pub environment: Vec<PathBuf>,
    /// What reads the file: `["docker", "compose"]` or `["podman-compose"]`.
    #[serde(default = "docker_compose")]
    pub command: Vec<String>,
    /// What runs the containers: `docker` or `podman`.
    #[serde(default = "docker")]
    pub engine: String,
}

fn docker_compose() -> Vec<String> {
    vec!["docker".to_owned(), "compose".to_owned()]
}

fn docker() -> String {
    "docker".to_owned()
}

fn backend() -> String {
    "hub".to_owned()
}

impl Local {
    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if let Some(compose) = &self.compose {
            if compose.files.is_empty() || compose.command.is_empty() || compose.engine.is_empty() {
                return Some("local.compose: files, command and engine must not be empty");
            }
            if self.config.is_some() || self.environment.is_some() {
                return Some(
                    "local: `config` and `environment` are for processes; a compose file has its own",
                );
            }
        }
        (self.blue == self.green).then_some("local: blue and green must differ")
    }

    /// Paths are relative to the file they stand in.
    pub(crate) fn rebase(&mut self, base: &Path) {
        self.haproxy = base.join(&self.haproxy);
        self.state = base.join(&self.state);
        self.config = self.config.take().map(|path| base.join(path));
        self.environment = self.environment.take().map(|path| base.join(path));
        if let Some(compose) = &mut self.compose {
            for path in compose.files.iter_mut().chain(&mut compose.environment) {
                *path = base.join(&path);
            }
        }
    }
}

/// `NAME=value` lines; blank lines and those that begin with `#` are left out.
///
/// # Errors
/// [`Error::Configuration`] with the line, or if others can read the file.
pub(crate) fn environment(path: &Path) -> Result<Vec<(String, String)>, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let fault = |what: String| Error::Configuration {
        path: path.to_owned(),
        what,
    };
    let mode = fs::metadata(path)
        .map_err(|error| fault(error.to_string()))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(fault(format!(
            "others can read it (mode {:o}); passwords stand in it: chmod 600",
            mode & 0o777
        )));
    }
    let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let mut variables = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| fault(format!("line {}: expected NAME=value", at + 1)))?;
        variables.push((name.trim().to_owned(), value.to_owned()));
    }
    Ok(variables)
}
