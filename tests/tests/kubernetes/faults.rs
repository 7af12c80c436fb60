//! The rules are only worth something if they notice: each is shown objects with one fault put in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::RULES;
use crate::objects::{Object, name, rendered, text};

/// (rule, kind, name of the object, where, what is put there; null takes it away)
type Fault = (String, String, String, String, Value);

/// What is put in, by the place it is put into.
fn faults() -> BTreeMap<String, Vec<Fault>> {
    serde_yaml_ng::from_str(include_str!("faults.yaml")).unwrap()
}

/// What the rules that read whole files out of ConfigMaps must notice: (rule, what stands there, what is put in its place).
const IN_FILES: [(&str, &str, &str); 10] = [
    ("redis", "tls-cluster yes", "tls-cluster no"),
    (
        "watchers",
        "__replica__: ${POD_NAME}",
        "replica: ${POD_NAME}",
    ),
    (
        "watchers",
        "{regex: __replica__, action: labeldrop}",
        "{regex: replica, action: labeldrop}",
    ),
    (
        "edge: firewall",
        "SecRuleEngine On",
        "SecRuleEngine DetectionOnly",
    ),
    (
        "edge: firewall",
        "name: security-hub\\n    directives",
        "name: other\\n    directives",
    ),
    ("edge: firewall", "PUT PATCH DELETE OPTIONS", "OPTIONS"),
    ("alerts", "#roll-back", "#no-such-section"),
    ("boards", "hub_findings_total", "hub_findngs_total"),
    ("boards", "hub_ledger_backlog", "hub_ledger_queue"),
    (
        "cluster: autoscaling",
        "max(avg_over_time(",
        "sum(avg_over_time(",
    ),
];

fn rule_called(rule: &str) -> fn(&[Object]) -> Vec<String> {
    let (_, check) = RULES.iter().find(|(name, _)| *name == rule).unwrap();
    *check
}

/// Sets what is at the pointer; its parent must be there.
pub(crate) fn set(object: &mut Object, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/");
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) if value.is_null() => {
            assert!(fields.remove(&last).is_some(), "{pointer} is not there");
        }
        Some(Value::Object(fields)) => {
            fields.insert(last, value);
        }
        Some(Value::Array(items)) => items[last.parse::<usize>().unwrap()] = value,
        _ => unreachable!("{parent} is not there"),
    }
}

#[test]
fn every_fault_is_noticed() {
    let mut unnoticed = Vec::new();
    for (place, faults) in faults() {
        let sound = rendered(&place);
        for (rule, kind, called, pointer, value) in faults {
            let mut objects = sound.clone();
            let object = objects
                .iter_mut()
                .find(|object| text(object, "/kind") == kind && name(object) == called)
                .unwrap();
            set(object, &pointer, value);
            if rule_called(&rule)(&objects).is_empty() {
                unnoticed.push(format!("{place}: {rule}: {kind} {called} {pointer}"));
            }
        }
    }
    // And both at once.
    let mut objects = rendered("managed production");
    objects.extend(rendered("production"));
    if rule_called("guard: database")(&objects).is_empty() {
        unnoticed.push("two databases".to_owned());
    }
    assert!(
        unnoticed.is_empty(),
        "not noticed:\n{}",
        unnoticed.join("\n")
    );
}

#[test]
fn faults_in_files_are_noticed() {
    let sound = rendered("production");
    for (rule, from, to) in IN_FILES {
        let objects: Vec<Object> = sound
            .iter()
            .map(|object| serde_json::from_str(&object.to_string().replace(from, to)).unwrap())
            .collect();
        assert!(
            !rule_called(rule)(&objects).is_empty(),
            "{rule} does not notice {from} → {to}"
        );
    }
}

#[test]
fn every_rule_is_shown_a_fault() {
    let faults = faults();
    let shown: Vec<&str> = faults
        .values()
        .flatten()
        .map(|fault| fault.0.as_str())
        .chain(IN_FILES.map(|(rule, ..)| rule))
        .collect();
    for (rule, _) in RULES {
        assert!(shown.contains(rule), "{rule} is shown no fault");
    }
}
