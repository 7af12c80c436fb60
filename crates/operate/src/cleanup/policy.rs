//! The retention policy: `content/retention/default.toml`, or a file of the operator's own.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hub_base::{HumanDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

const DEFAULT: &str = include_str!("../../../../content/retention/default.toml");
/// What ended less than this ago is still needed: tokens that have not expired, events that are not yet judged.
const LEAST: Duration = Duration::from_hours(24);

/// What is removed from the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Sessions,
    ResetTokens,
    Events,
    Quarantine,
    RunbookRuns,
}

impl Class {
    /// In the order in which they are removed.
    pub const ALL: &[Self] = &[
        Self::Sessions,
        Self::ResetTokens,
        Self::Quarantine,
        Self::Events,
        Self::RunbookRuns,
    ];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sessions => "sessions",
            Self::ResetTokens => "reset-tokens",
            Self::Events => "events",
            Self::Quarantine => "quarantine",
            Self::RunbookRuns => "runbook-runs",
        })
    }
}

/// How long everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    pub sessions: Rule,
    pub reset_tokens: Rule,
    pub events: Rule,
    pub quarantine: Rule,
    /// As events, in a policy from before there were any.
    #[serde(default = "runs")]
    pub runbook_runs: Rule,
    pub releases: Newest,
    pub reports: Rule,
}

/// How long one class is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// From when it was last of use; at least a day.
    pub keep: HumanDuration,
    /// Whether the hub signs what it removed.
    #[serde(default)]
    pub certificate: bool,
}

const fn runs() -> Rule {
    Rule {
        keep: HumanDuration(Duration::from_hours(400 * 24)),
        certificate: true,
    }
}

/// How many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    /// At least 2: what runs, and the way back.
    pub newest: usize,
}

impl Policy {
    /// What is built in.
    ///
    /// # Errors
    /// [`Error::Configuration`] if this program was built with a faulty one.
    pub fn built_in() -> Result<Self, Error> {
        Self::parse(Path::new("content/retention/default.toml"), DEFAULT)
    }

    /// From a file, or what is built in.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the line.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Self::built_in();
        };
        let text = std::fs::read_to_string(path).map_err(|error| Error::Configuration {
            path: path.to_owned(),
            what: error.to_string(),
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let fault = |what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let policy: Self =
            toml::from_str(text).map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        for &class in Class::ALL {
            if policy.rule(class).keep.0 < LEAST {
                return Err(fault(format!("{class}.keep must be at least 24h")));
            }
        }
        if policy.reports.certificate {
            let what = "reports.certificate: the hub signs what it removed itself, and does not see the files of a host";
            return Err(fault(what.to_owned()));
        }
        if policy.releases.newest < 2 {
            return Err(fault(
                "releases.newest must be at least 2: what runs, and the way back".to_owned(),
            ));
        }
        Ok(policy)
    }

    pub const fn rule(&self, class: Class) -> Rule {
        match class {
            Class::Sessions => self.sessions,
            Class::ResetTokens => self.reset_tokens,
            Class::Events => self.events,
            Class::Quarantine => self.quarantine,
            Class::RunbookRuns => self.runbook_runs,
        }
    }

    /// What is older than this may go.
    pub(super) fn until(&self, class: Class, now: Timestamp) -> Timestamp {
        now.minus(self.rule(class).keep.0)
    }

    /// SHA-256 of what it says, by which certificates name it.
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(&text))
    }
}
