//! Judging: which incident is which attack, how quickly, and what it cost. Incidents are matched by whom and whence, never
//! by what a rule calls them.

use std::collections::BTreeSet;

use hub_base::Timestamp;
use serde_json::Value;

use crate::attacks::{Attack, Truth};

/// An incident as the API tells it.
#[derive(Debug, Clone)]
pub struct Incident {
    pub id: String,
    pub number: i64,
    pub title: String,
    pub techniques: Vec<String>,
    pub opened_at: Option<Timestamp>,
    pub contained_at: Option<Timestamp>,
    /// Values of its entities, with their roles.
    entities: Vec<(String, String)>,
}

impl Incident {
    /// Reads an incident of the list; `None` if it has no id.
    pub fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let time = |name: &str| text(name).and_then(|text| text.parse().ok());
        let list = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let entity = |entity: Value| {
            let text = |name: &str| {
                entity
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            (text("role"), text("value"))
        };
        Some(Self {
            id: text("id")?.to_owned(),
            number: value.get("number").and_then(Value::as_i64).unwrap_or(0),
            title: text("title").unwrap_or_default().to_owned(),
            techniques: list("techniques")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            opened_at: time("opened_at"),
            contained_at: time("contained_at"),
            entities: list("entities").into_iter().map(entity).collect(),
        })
    }

    /// How well it fits an attack: an address or key of the attacker weighs more than a person aimed at. 0 is not at all.
    fn fits(&self, truth: &Truth) -> usize {
        let addresses: BTreeSet<String> = truth.addresses.iter().map(ToString::to_string).collect();
        self.entities
            .iter()
            .map(|(_, value)| {
                if addresses.contains(value) || truth.keys.contains(value) {
                    100
                } else {
                    usize::from(truth.victims.contains(value))
                }
            })
            .sum()
    }
}

/// The attack that an incident is of, by its place in the list; `None` if it is of none.
pub fn attribute(incident: &Incident, attacks: &[Attack]) -> Option<usize> {
    let fits = attacks
        .iter()
        .map(|attack| attack.with_truth(|truth| incident.fits(truth)));
    fits.enumerate()
        .filter(|(_, fit)| *fit > 0)
        .max_by_key(|(nth, fit)| (*fit, usize::MAX - nth))
        .map(|(nth, _)| nth)
}

/// What became of one attack.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    pub id: String,
    pub title: String,
    pub techniques: Vec<String>,
    pub detected: bool,
    pub detect_ms: Option<u64>,
    pub contained: bool,
    pub contain_ms: Option<u64>,
    /// When the first hostile request was made, and the last.
    pub began_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The attacker's requests in all, how many succeeded, and how many of those after containment.
    pub requests: usize,
    pub succeeded: usize,
    pub succeeded_after: usize,
    /// The attacker's sessions and keys that still worked when all was over; none is right.
    pub footholds: usize,
    /// Incidents that were opened for it; one is right.
    pub incidents: Vec<i64>,
    /// The techniques that the hub named.
    pub named: Vec<String>,
}

impl Verdict {
    /// Detected, contained with nothing left in the attacker's hands, and one incident.
    pub fn is_good(&self) -> bool {
        self.detected && self.contained && self.footholds == 0 && self.incidents.len() == 1
    }
}

/// The verdict on an attack from its truth and its incidents.
pub fn verdict(attack: &Attack, incidents: &[&Incident]) -> Verdict {
    attack.with_truth(|truth| {
        let since = |at: Option<Timestamp>| {
            let (at, began) = (at?, truth.began?);
            Some(u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX))
        };
        let opened = incidents
            .iter()
            .filter_map(|incident| incident.opened_at)
            .min();
        let contained = incidents
            .iter()
            .filter_map(|incident| incident.contained_at)
            .min();
        let named: BTreeSet<String> = incidents
            .iter()
            .flat_map(|incident| incident.techniques.iter().cloned())
            .collect();
        let after = |shot: &&crate::attacks::Shot| {
            shot.succeeded && contained.is_some_and(|at| shot.at > at)
        };
        Verdict {
            id: attack.spec.id.clone(),
            title: attack.spec.title.clone(),
            techniques: attack.spec.techniques.clone(),
            detected: opened.is_some(),
            detect_ms: since(opened),
            contained: contained.is_some(),
            contain_ms: since(contained),
            began_at: truth.began,
            ended_at: truth.shots.iter().map(|shot| shot.at).max(),
            requests: truth.shots.len(),
            succeeded: truth.shots.iter().filter(|shot| shot.succeeded).count(),
            succeeded_after: truth.shots.iter().filter(after).count(),
            footholds: 0,
            incidents: incidents.iter().map(|incident| incident.number).collect(),
            named: named.into_iter().collect(),
        }
    })
}

/// The verdict on every attack, and the incidents that fit none.
pub fn all(
    attacks: &[Attack],
    incidents: &[Incident],
    footholds: &[usize],
) -> (Vec<Verdict>, Vec<String>) {
    let of: Vec<Option<usize>> = incidents.iter().map(|i| attribute(i, attacks)).collect();
    let pairs = || incidents.iter().zip(&of);
    let verdicts = attacks.iter().enumerate().map(|(nth, attack)| {
        let own: Vec<&Incident> = pairs()
            .filter(|(_, of)| **of == Some(nth))
            .map(|(i, _)| i)
            .collect();
        let footholds = footholds.get(nth).copied().unwrap_or_default();
        Verdict {
            footholds,
            ..verdict(attack, &own)
        }
    });
    let strange = pairs().filter(|(_, of)| of.is_none());
    let strange = strange.map(|(incident, _)| format!("{}: {}", incident.number, incident.title));
    (verdicts.collect(), strange.collect())
}
