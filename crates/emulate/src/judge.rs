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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::attacks::Shot;
    use crate::scenario::Scenario;

    fn at(second: u32) -> Timestamp {
        format!("2026-11-23T10:00:{second:02}Z").parse().unwrap()
    }

    /// An attack from one address on one person.
    fn attack(id: &str, address: &str, victim: &str) -> Attack {
        let scenario = Scenario::built_in().unwrap();
        let spec = scenario.attacks.iter().find(|spec| spec.id == id).unwrap();
        let truth = Truth {
            addresses: vec![address.parse().unwrap()],
            victims: vec![victim.to_owned()],
            began: Some(at(0)),
            shots: [(1, true), (3, true), (9, false)]
                .map(|(second, succeeded)| Shot {
                    at: at(second),
                    succeeded,
                })
                .to_vec(),
            ..Truth::default()
        };
        Attack {
            spec: spec.clone(),
            truth: Arc::new(std::sync::Mutex::new(truth)),
        }
    }

    fn incident(number: i64, entities: &[&str]) -> Incident {
        let entities: Vec<_> = entities
            .iter()
            .map(|value| json!({"value": value}))
            .collect();
        let body = json!({"id": number.to_string(), "number": number, "title": "t", "entities": entities,
            // The hub may call it what it likes.
            "techniques": ["T9999"], "opened_at": at(1), "contained_at": at(2)});
        Incident::read(&body).unwrap()
    }

    #[test]
    fn an_incident_is_of_the_attack_whose_address_it_holds() {
        let attacks = [
            attack("spray", "127.90.0.1", "ada"),
            attack("takeover", "127.92.0.1", "eve"),
        ];
        let cases: [(&[&str], Option<usize>); 6] = [
            (&["127.90.0.1"], Some(0)),
            (&["eve"], Some(1)),
            // An address weighs more than people: a spray touches many who are aimed at otherwise.
            (&["127.90.0.1", "eve"], Some(0)),
            (&["127.92.0.1", "ada"], Some(1)),
            (&["somebody else"], None),
            (&[], None),
        ];
        for (entities, expected) in cases {
            assert_eq!(
                attribute(&incident(1, entities), &attacks),
                expected,
                "{entities:?}"
            );
        }
    }

    #[test]
    fn a_verdict_counts_from_the_first_hostile_request() {
        let attacks = [attack("spray", "127.90.0.1", "ada")];
        let seen = [incident(1, &["127.90.0.1"]), incident(2, &["nobody"])];
        let (verdicts, strange) = all(&attacks, &seen, &[0]);
        let [verdict] = verdicts.as_slice() else {
            panic!("one verdict")
        };
        assert_eq!(
            (verdict.detect_ms, verdict.contain_ms),
            (Some(1000), Some(2000))
        );
        let counts = (verdict.requests, verdict.succeeded, verdict.succeeded_after);
        assert_eq!(counts, (3, 2, 1));
        assert!(verdict.is_good());
        assert_eq!(strange, ["2: t"]);
    }

    #[test]
    fn two_incidents_or_a_way_in_left_are_not_good() {
        let attacks = [attack("spray", "127.90.0.1", "ada")];
        let twice = [incident(1, &["127.90.0.1"]), incident(2, &["ada"])];
        assert!(!all(&attacks, &twice, &[0]).0.iter().all(Verdict::is_good));
        assert!(
            !all(&attacks, &twice[..1], &[1])
                .0
                .iter()
                .all(Verdict::is_good)
        );
        assert!(!all(&attacks, &[], &[0]).0.iter().all(Verdict::is_good));
    }
}
