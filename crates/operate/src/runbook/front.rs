//! A runbook's front matter.

use std::collections::BTreeMap;

use hub_base::HumanDuration;
use serde::{Deserialize, Serialize};

/// What stands between the two lines of dashes at its top, as YAML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// When to take this one, in a sentence.
    pub purpose: String,
    pub severity: Severity,
    /// Who must be there.
    pub roles: Vec<String>,
    /// After which somebody else is told.
    pub time_limit: HumanDuration,
    /// What is promised, where something is.
    #[serde(default)]
    pub objective: Option<String>,
    /// Variables of the command blocks that people are asked for when one needs them: name and what it is.
    #[serde(default)]
    pub ask: BTreeMap<String, String>,
}

/// How bad what it is for is (NIST SP 800-61's functional impact, in the words of on-call).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Critical,
    High,
    Medium,
    Low,
    /// Planned work.
    Planned,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Planned => "planned",
        })
    }
}

impl Front {
    /// # Errors
    /// What is wrong, and on which line of the front matter (from 1) if that is known.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let front: Self = serde_yaml_ng::from_str(text).map_err(|error| {
            let line = error.location().map_or(1, |at| at.line());
            (line, error.to_string())
        })?;
        let fault = |what: &str| Err((1, what.to_owned()));
        if front.purpose.trim().is_empty() {
            return fault("`purpose` says nothing");
        }
        if front.roles.is_empty() {
            return fault("`roles` names nobody");
        }
        match front.ask.keys().find(|name| !is_variable(name)) {
            Some(name) => fault(&format!(
                "`ask`: `{name}` cannot be a variable: capital letters, digits and _, not beginning with HUB_ or a digit"
            )),
            None => Ok(front),
        }
    }
}

/// A name that neither a shell nor the server takes for something else.
pub(super) fn is_variable(name: &str) -> bool {
    let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_uppercase());
    begins && name.chars().all(good) && !name.starts_with("HUB_")
}
