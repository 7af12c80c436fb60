//! The content that detection and response run on, loaded once: rules and playbooks.

use std::sync::Arc;

use anyhow::Context as _;
use hub_detect::{RuleSet, RuleSource};
use hub_respond::Playbooks;

use crate::config::Config;

/// Rules and playbooks in force.
#[derive(Clone)]
pub(crate) struct Detection {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) playbooks: Arc<Playbooks>,
    /// Rules that did not load.
    pub(crate) faults: usize,
}

impl std::fmt::Debug for Detection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detection")
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

impl Detection {
    /// Loads built-in and configured content. A rule that does not load is listed and left out: others still watch.
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let mut sources = vec![RuleSource::Embedded];
        let folders = [&config.content.rules, &config.content.foreign_rules];
        sources.extend(
            folders
                .into_iter()
                .flatten()
                .map(|folder| RuleSource::Folder(folder.clone())),
        );
        let (rules, faults) = RuleSet::load(&sources);
        for fault in &faults {
            tracing::warn!(
                file = fault.file,
                line = fault.line,
                reason = fault.reason,
                "a rule is not used"
            );
        }
        tracing::info!(
            rules.loaded = rules.len(),
            rules.refused = faults.len(),
            "the rules are loaded"
        );
        let playbooks = Playbooks::load(config.respond.playbooks.as_deref())
            .context("the playbooks do not load")?;
        Ok(Self {
            rules: Arc::new(rules),
            playbooks: Arc::new(playbooks),
            faults: faults.len(),
        })
    }
}
