//! How carefully a release is brought in: an operator's numbers.

use std::time::Duration;

use hub_base::HumanDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How carefully. Every field has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Shares of the traffic in per cent, each judged before the next; ends with 100.
    pub steps: Vec<u8>,
    /// How long each share is watched.
    #[serde(with = "span")]
    pub step: Duration,
    /// How long the new release is watched with all the traffic before the old one goes.
    #[serde(with = "span")]
    pub bake: Duration,
    /// Until the new release must be ready.
    #[serde(with = "span")]
    pub ready: Duration,
    /// For requests in progress when a colour is stopped.
    #[serde(with = "span")]
    pub drain: Duration,
    /// For how long the way back is tried again where the target does not answer.
    #[serde(with = "span")]
    pub insist: Duration,
    /// How often it is looked at.
    #[serde(with = "span")]
    pub look: Duration,
    pub tolerance: Tolerance,
    /// What must hold whatever the old release does.
    pub objective: Option<Objective>,
}

/// The service's objective (SLO), and how far a new release may be from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Requests that may fail, as a fraction: 0.001 is three nines.
    pub errors: f64,
    /// How many times as fast as it lasts the error budget may be spent; 14.4 spends 2 % of a month's in an hour.
    pub burn: f64,
    /// The 95th percentile at most.
    #[serde(with = "span")]
    pub latency: Duration,
    /// Requests in progress at most, where they are counted: beyond it the release is saturated.
    pub in_progress: u64,
}

/// How much worse than the old release the new one may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// Error rate above the old release's, as a fraction.
    pub errors: f64,
    /// Errors at least before a rate means anything.
    pub fewest_errors: u64,
    /// The 95th percentile may be this many times the old release's …
    pub slower: f64,
    /// … and this much more.
    #[serde(with = "span")]
    pub slack: Duration,
    /// Requests at least before a percentile means anything.
    pub fewest_requests: u64,
    /// Requests in progress may be this many times as many, for the requests that come, as at the old release …
    pub fuller: f64,
    /// … and this many in all, before it counts as saturated.
    pub fewest_in_progress: u64,
    /// Looks in a row that find it slow or saturated before it counts: who has just started is cold.
    pub patience: u32,
    /// Own requests in a row that may fail before contact counts as lost.
    pub lost: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            steps: vec![5, 25, 50, 100],
            step: Duration::from_secs(30),
            bake: Duration::from_mins(2),
            ready: Duration::from_mins(1),
            drain: Duration::from_secs(30),
            insist: Duration::from_mins(2),
            look: Duration::from_millis(500),
            tolerance: Tolerance::default(),
            objective: None,
        }
    }
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            errors: 0.001,
            burn: 14.4,
            latency: Duration::from_millis(500),
            in_progress: 1000,
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            errors: 0.005,
            fewest_errors: 3,
            slower: 1.5,
            slack: Duration::from_millis(25),
            fewest_requests: 50,
            fuller: 3.0,
            fewest_in_progress: 20,
            patience: 5,
            lost: 3,
        }
    }
}

impl Policy {
    /// What is wrong with it, all of it.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let rising = self.steps.is_sorted_by(|left, right| left < right);
        if self.steps.last() != Some(&100) || !rising || self.steps.first() == Some(&0) {
            faults.push("steps: must rise from above 0 to 100".to_owned());
        }
        if self.look < Duration::from_millis(100) || self.look > Duration::from_secs(10) {
            faults.push("look: must be from 100ms to 10s".to_owned());
        }
        let tolerance = &self.tolerance;
        if !(0.0..=1.0).contains(&tolerance.errors) {
            faults.push("tolerance.errors: must be from 0 to 1".to_owned());
        }
        if tolerance.patience == 0 || tolerance.lost == 0 {
            faults.push("tolerance.patience, tolerance.lost: must be at least 1".to_owned());
        }
        if let Some(objective) = &self.objective {
            if !(0.000_001..=0.5).contains(&objective.errors) {
                faults.push("objective.errors: must be from 0.000001 to 0.5".to_owned());
            }
            if !(1.0..=1000.0).contains(&objective.burn) {
                faults.push("objective.burn: must be from 1 to 1000".to_owned());
            }
        }
        for (name, times) in [("slower", tolerance.slower), ("fuller", tolerance.fuller)] {
            if !(1.0..=100.0).contains(&times) {
                faults.push(format!("tolerance.{name}: must be from 1 to 100"));
            }
        }
        faults
    }
}

/// Durations with their unit, as everywhere ([`HumanDuration`]).
mod span {
    use super::{Deserialize, Deserializer, Duration, HumanDuration, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        HumanDuration(*span).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        HumanDuration::deserialize(from).map(|span| span.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_must_rise_to_all() {
        assert_eq!(Policy::default().faults(), Vec::<String>::new());
        for steps in [
            vec![],
            vec![0, 100],
            vec![50, 25, 100],
            vec![5, 50],
            vec![50, 50, 100],
        ] {
            let policy = Policy {
                steps: steps.clone(),
                ..Policy::default()
            };
            assert_eq!(policy.faults().len(), 1, "{steps:?}");
        }
    }

    /// The page that operators read gives the defaults, all of them.
    #[test]
    fn the_page_says_the_defaults() {
        #[derive(Deserialize)]
        struct Page {
            policy: Policy,
        }
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../infrastructure/deploy/README.md"
        );
        let page = std::fs::read_to_string(path).unwrap();
        let (_, rest) = page.split_once("```toml\n[policy]\n").unwrap();
        let block = format!("[policy]\n{}", rest.split("```").next().unwrap());
        let said: Page = toml::from_str(&block).unwrap();
        let all = Policy {
            objective: Some(Objective::default()),
            ..Policy::default()
        };
        assert_eq!(said.policy, all);
        let written: toml::Table = toml::from_str(&block).unwrap();
        assert_eq!(
            toml::Table::try_from(&all).unwrap().len(),
            written["policy"].as_table().unwrap().len()
        );
        for part in ["tolerance", "objective"] {
            let keys = |of: &toml::Table| {
                let part = of[part].as_table().unwrap();
                part.keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(
                keys(written["policy"].as_table().unwrap()),
                keys(&toml::Table::try_from(&all).unwrap())
            );
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = toml::from_str::<Policy>("bake = '5m'\nbaek = '1m'")
            .unwrap_err()
            .to_string();
        assert!(text.contains("baek"), "{text}");
    }
}
