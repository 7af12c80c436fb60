//! Playbooks: which actions answer which findings. Data, not code: files under `content/playbooks/`,
//! embedded as defaults, replaced or joined by an operator's folder.

mod file;
mod locate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use hub_detect::{Entity, EntityKind, Finding};
use hub_events::Severity;

use crate::actions::Kind;
use crate::error::Error;

pub use file::schema;

/// The built-in playbooks: file name and text.
pub const BUILT_IN: &[(&str, &str)] = &[
    (
        "account-manipulation.yaml",
        include_str!("../../../../content/playbooks/account-manipulation.yaml"),
    ),
    (
        "account-takeover.yaml",
        include_str!("../../../../content/playbooks/account-takeover.yaml"),
    ),
    (
        "api-key-abuse.yaml",
        include_str!("../../../../content/playbooks/api-key-abuse.yaml"),
    ),
    (
        "brute-force.yaml",
        include_str!("../../../../content/playbooks/brute-force.yaml"),
    ),
    (
        "credential-stuffing.yaml",
        include_str!("../../../../content/playbooks/credential-stuffing.yaml"),
    ),
    (
        "credential-stuffing-success.yaml",
        include_str!("../../../../content/playbooks/credential-stuffing-success.yaml"),
    ),
    (
        "default.yaml",
        include_str!("../../../../content/playbooks/default.yaml"),
    ),
    (
        "password-spray.yaml",
        include_str!("../../../../content/playbooks/password-spray.yaml"),
    ),
    (
        "privilege-escalation.yaml",
        include_str!("../../../../content/playbooks/privilege-escalation.yaml"),
    ),
    (
        "session-replay.yaml",
        include_str!("../../../../content/playbooks/session-replay.yaml"),
    ),
];

/// A playbook that parsed without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playbook {
    pub name: String,
    pub title: String,
    pub trigger: Trigger,
    pub steps: Vec<Step>,
}

/// Which findings a playbook answers: a named rule, a technique (a parent covers its sub-techniques),
/// and at least a severity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trigger {
    pub rules: Vec<String>,
    pub techniques: Vec<String>,
    pub severity: Option<Severity>,
}

/// One step: what to do, to what, for how long, and under which further condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub action: Kind,
    pub target: Target,
    pub ttl: Option<Duration>,
    pub when: When,
}

/// Which of a finding's entities a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The incident as a whole (evidence, notification).
    Incident,
    /// The finding's primary entity, if the action fits its kind.
    Primary,
    Address,
    User,
    Session,
    ApiKey,
    /// API keys in the finding that are not its primary: those that the intruder made.
    CreatedApiKey,
}

/// A step's own condition; an empty one is always met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    pub severity: Option<Severity>,
    pub techniques: Vec<String>,
    pub primary: Option<EntityKind>,
}

/// One fault in a playbook file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    pub message: String,
}

/// All faults of all files that were read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// The playbooks in force, by name.
#[derive(Debug, Clone, Default)]
pub struct Playbooks(BTreeMap<String, Playbook>);

impl Playbooks {
    /// The embedded defaults.
    ///
    /// # Errors
    /// [`Error::Playbooks`], which a test excludes.
    pub fn built_in() -> Result<Self, Error> {
        Self::parse(BUILT_IN.iter().copied()).map_err(Error::Playbooks)
    }

    /// The defaults, with the files of `folder` replacing those of the same name and joining the rest.
    ///
    /// # Errors
    /// [`Error::PlaybookFolder`] if it cannot be read, [`Error::Playbooks`] with every fault of every file.
    pub fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut playbooks = Self::built_in()?;
        if let Some(folder) = folder {
            let files = read_folder(folder).map_err(|source| Error::PlaybookFolder {
                path: folder.display().to_string(),
                source,
            })?;
            let texts = files
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()));
            playbooks
                .0
                .extend(Self::parse(texts).map_err(Error::Playbooks)?.0);
        }
        Ok(playbooks)
    }

    /// Playbooks from (file name, text).
    ///
    /// # Errors
    /// Every fault of every file, with its place.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut playbooks = BTreeMap::new();
        for (name, text) in files {
            let Some(playbook) = file::parse(name, text, &mut faults) else {
                continue;
            };
            let shown = playbook.name.clone();
            if playbooks.insert(shown.clone(), playbook).is_some() {
                let message = format!("another file already holds the playbook `{shown}`");
                faults.push(Fault {
                    file: name.to_owned(),
                    line: 1,
                    column: 1,
                    message,
                });
            }
        }
        if faults.is_empty() {
            Ok(Self(playbooks))
        } else {
            Err(Faults(faults))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Playbook> {
        self.0.values()
    }

    /// The playbooks that answer `finding`: those that know it best (its rule, then its technique, then
    /// the technique's parent, then only its severity), in the order of their names.
    pub fn matching(&self, finding: &Finding) -> Vec<&Playbook> {
        let known: Vec<(u8, &Playbook)> = self
            .0
            .values()
            .filter_map(|p| Some((p.trigger.knows(finding)?, p)))
            .collect();
        let best = known.iter().map(|(how_well, _)| *how_well).max();
        known
            .into_iter()
            .filter(|(how_well, _)| Some(*how_well) == best)
            .map(|(_, p)| p)
            .collect()
    }
}

impl Trigger {
    /// How well this trigger knows the finding: 4 its rule, 3 its technique, 2 the parent, 1 its severity.
    fn knows(&self, finding: &Finding) -> Option<u8> {
        if self.severity.is_some_and(|least| finding.severity < least) {
            return None;
        }
        let is_parent = |mine: &String| {
            finding
                .techniques
                .iter()
                .any(|t| t.split_once('.').is_some_and(|(p, _)| p == mine))
        };
        if self.rules.contains(&finding.rule) {
            Some(4)
        } else if finding
            .techniques
            .iter()
            .any(|t| self.techniques.contains(t))
        {
            Some(3)
        } else if self.techniques.iter().any(is_parent) {
            Some(2)
        } else if self.rules.is_empty() && self.techniques.is_empty() {
            Some(1)
        } else {
            None
        }
    }
}

impl Step {
    /// The finding's entities that this step is about, if its condition is met. A step about the whole
    /// incident has none.
    pub(crate) fn targets<'f>(&self, finding: &'f Finding) -> Vec<&'f Entity> {
        if !self.when.is_met(finding) {
            return Vec::new();
        }
        let all = std::iter::once(&finding.primary).chain(&finding.entities);
        let mut found: Vec<&Entity> = Vec::new();
        for entity in all {
            if self.is_about(entity, finding) && !found.contains(&entity) {
                found.push(entity);
            }
        }
        found
    }

    fn is_about(&self, entity: &Entity, finding: &Finding) -> bool {
        let is_primary =
            entity.kind == finding.primary.kind && entity.value == finding.primary.value;
        match self.target {
            Target::Incident => false,
            Target::Primary => is_primary && self.action.fits(entity.kind),
            Target::Address => entity.kind == EntityKind::Address,
            Target::User => entity.kind == EntityKind::User,
            Target::Session => entity.kind == EntityKind::Session,
            Target::ApiKey => entity.kind == EntityKind::ApiKey,
            Target::CreatedApiKey => entity.kind == EntityKind::ApiKey && !is_primary,
        }
    }
}

impl When {
    pub(crate) fn is_met(&self, finding: &Finding) -> bool {
        self.severity.is_none_or(|least| finding.severity >= least)
            && self.primary.is_none_or(|kind| finding.primary.kind == kind)
            && (self.techniques.is_empty()
                || finding
                    .techniques
                    .iter()
                    .any(|t| self.techniques.contains(t)))
    }
}

fn read_folder(folder: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    files.sort();
    Ok(files)
}
