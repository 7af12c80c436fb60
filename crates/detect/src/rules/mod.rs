//! The rules: loaded from the embedded pack and from folders, compiled once, shared by all tenants.
//!
//! A rule is tried only on events of its log source: whatever of product, service and category it names must be
//! the event's. A file or rule that cannot be used is always listed, never dropped in silence.

mod hub_block;
mod load;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hub_events::{LogSource, Severity};
use rsigma_eval::{CompiledCorrelation, Engine};

pub(crate) use hub_block::HubBlock;

include!(concat!(env!("OUT_DIR"), "/pack.rs"));

/// Where rules come from.
#[derive(Debug, Clone)]
pub enum RuleSource {
    /// The pack that the binary carries (`content/rules`).
    Embedded,
    /// All `.yml` and `.yaml` files below a folder; files under a `tests` folder beside them are not rules.
    Folder(PathBuf),
    /// One file's text.
    Text { name: String, text: String },
}

/// Why a rule, or a whole file, is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFault {
    pub file: String,
    /// From 1; the document's first line where the fault has no finer place.
    pub line: usize,
    pub column: Option<usize>,
    pub reason: String,
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What a finding says of its rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) techniques: Vec<String>,
    pub(crate) tactics: Vec<String>,
    pub(crate) authors: Option<String>,
    pub(crate) hub: HubBlock,
    /// Referred to by correlations that do not let it speak for itself.
    pub(crate) is_silent: bool,
    /// Positions in [`RuleSet::correlations`] of those that count this rule's hits.
    pub(crate) feeds: Vec<usize>,
    /// What correlations may call it.
    pub(crate) names: Vec<String>,
}

/// A correlation with what its findings say.
#[derive(Debug)]
pub(crate) struct Correlation {
    pub(crate) rule: Rule,
    pub(crate) compiled: CompiledCorrelation,
    pub(crate) timespan: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Route {
    pub(crate) product: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) category: Option<String>,
}

impl Route {
    /// Whether rules of this route are tried on events of `source`.
    fn takes(&self, source: &LogSource) -> bool {
        let fits = |rule: &Option<String>, event: Option<&str>| {
            rule.as_deref()
                .is_none_or(|rule| event.is_some_and(|e| e.eq_ignore_ascii_case(rule)))
        };
        fits(&self.product, Some(&source.product))
            && fits(&self.service, Some(&source.service))
            && fits(&self.category, source.category.as_deref())
    }
}

/// One engine per log source that rules name.
pub(crate) struct Partition {
    pub(crate) route: Route,
    pub(crate) engine: Engine,
}

/// All usable rules, compiled. Share it as `Arc<RuleSet>`; the state over it is a tenant's own.
pub struct RuleSet {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) rules: HashMap<String, Arc<Rule>>,
    pub(crate) correlations: Vec<Correlation>,
    /// Rules that others name in `hub: while`.
    pub(crate) awaited: HashSet<String>,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet")
            .field("rules", &self.rules.len())
            .field("correlations", &self.correlations.len())
            .finish_non_exhaustive()
    }
}

impl RuleSet {
    /// Loads all sources in order. Of two rules with one id the first stays and the second is a fault.
    pub fn load(sources: &[RuleSource]) -> (Self, Vec<RuleFault>) {
        load::load(sources)
    }

    /// The embedded pack alone.
    pub fn embedded() -> (Self, Vec<RuleFault>) {
        Self::load(&[RuleSource::Embedded])
    }

    /// Detection and correlation rules.
    pub fn len(&self) -> usize {
        self.rules.len() + self.correlations.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest window of any correlation: how far back a restart must replay.
    pub fn longest_window(&self) -> Duration {
        self.correlations
            .iter()
            .map(|c| c.timespan)
            .max()
            .unwrap_or_default()
    }

    /// How many rules are tried on events of `source`.
    pub fn rules_for(&self, source: &LogSource) -> usize {
        self.route(source)
            .iter()
            .filter_map(|n| self.partitions.get(*n))
            .map(|p| p.engine.rule_count())
            .sum()
    }

    /// Ids of all rules, sorted.
    pub fn ids(&self) -> Vec<&str> {
        let correlations = self.correlations.iter().map(|c| c.rule.id.as_str());
        let mut ids: Vec<&str> = self
            .rules
            .keys()
            .map(String::as_str)
            .chain(correlations)
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Positions of the partitions whose rules are tried on events of `source`.
    pub(crate) fn route(&self, source: &LogSource) -> Vec<usize> {
        let fitting = self
            .partitions
            .iter()
            .enumerate()
            .filter(|(_, p)| p.route.takes(source));
        fitting.map(|(n, _)| n).collect()
    }
}
