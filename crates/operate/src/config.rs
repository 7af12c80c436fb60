//! `deploy.toml`: where the target is, how carefully releases are brought in, who must agree.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::cluster::Kubernetes;
use crate::deploy::{Gates, Policy};
use crate::error::Error;
use crate::local::Local;
use crate::notify::Notify;

/// The file. It names one target.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub local: Option<Local>,
    pub kubernetes: Option<Kubernetes>,
    #[serde(default)]
    pub policy: Policy,
    #[serde(default)]
    pub gates: Gates,
    #[serde(default)]
    pub notify: Notify,
}

impl Config {
    /// Reads the file; paths in it are relative to it.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the line and every fault of the policy.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fault = |what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        let policy = config.policy.faults();
        let mut faults: Vec<String> = policy.iter().map(|what| format!("policy.{what}")).collect();
        faults.extend(config.gates.faults());
        faults.extend(config.notify.fault());
        if !faults.is_empty() {
            return Err(fault(faults.join("; ")));
        }
        if config.local.is_some() == config.kubernetes.is_some() {
            let what = "it must name one target: [local] or [kubernetes]";
            return Err(fault(what.to_owned()));
        }
        let local = config.local.as_ref().and_then(Local::fault);
        let kubernetes = config.kubernetes.as_ref().and_then(Kubernetes::fault);
        if let Some(what) = local.or(kubernetes) {
            return Err(fault(what.to_owned()));
        }
        let base = fs::canonicalize(path)
            .map_err(|error| fault(error.to_string()))?
            .parent()
            .unwrap_or(Path::new("/"))
            .to_owned();
        config.notify.rebase(&base);
        if let Some(approval) = &mut config.gates.approval {
            approval.rebase(&base);
        }
        if let Some(backup) = &mut config.gates.backup {
            backup.rebase(&base);
        }
        if let Some(local) = &mut config.local {
            local.rebase(&base);
        }
        if let Some(kubernetes) = &mut config.kubernetes {
            kubernetes.rebase(&base);
        }
        Ok(config)
    }
}
