//! Checks of content: every rule loads, and every rule of ours does what the tests beside it say.
//!
//! A test file (`tests/*.yml` beside the rules) is a list of cases:
//!
//! ```yaml
//! - name: ten users from one address
//!   fires: [hub-password-spray]        # exactly these; empty or left out: nothing fires
//!   locations: [{name: Lima, cidrs: [203.0.113.0/24], latitude: -12, longitude: -77}]
//!   events:
//!     - {at: 0s, every: 5s, repeat: 10, log: auth, set: {api.operation: session.refuse, user.name: "user{n}"}}
//! ```
//! `{n}` counts the repetitions from 0. `product` and `service` replace `log` for foreign events. The built-in cases speak
//! of the built-in rules alone: an operator's rule may fire on the same events.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hub_base::{HumanDuration, ManualClock, Timestamp};
use hub_events::{Event, LogSource};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::detector::TenantDetector;
use crate::finding::Finding;
use crate::locations::{Location, LocationKind};
use crate::rules::{PACK, RuleFault, RuleSet, RuleSource};

/// What a check of content found.
#[derive(Debug)]
pub struct Report {
    /// Rules that load.
    pub rules: usize,
    /// Test cases that were run.
    pub cases: usize,
    /// Rules that do not load, and cases that went otherwise than they say.
    pub faults: Vec<RuleFault>,
    /// Rules of the embedded pack that no case expects to fire.
    pub untested: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    fires: Vec<String>,
    #[serde(default)]
    locations: Vec<CasePlace>,
    events: Vec<CaseEvent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CasePlace {
    name: String,
    cidrs: Vec<ipnet::IpNet>,
    latitude: f64,
    longitude: f64,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    trusted: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseEvent {
    at: HumanDuration,
    #[serde(default)]
    every: Option<HumanDuration>,
    #[serde(default)]
    repeat: Option<u32>,
    #[serde(default)]
    log: Option<String>,
    #[serde(default)]
    product: Option<String>,
    #[serde(default)]
    service: Option<String>,
    set: Map<String, Value>,
}

/// Loads the sources and runs the tests beside them.
pub fn check_content(sources: &[RuleSource]) -> Report {
    let (rules, mut faults) = RuleSet::load(sources);
    let rules = Arc::new(rules);
    let (ours, _) = RuleSet::load(&[RuleSource::Embedded]);
    let ours: BTreeSet<&str> = ours.ids().into_iter().collect();
    let mut fired = BTreeSet::new();
    let mut cases = 0;
    for TestFile {
        file,
        text,
        is_ours,
    } in test_files(sources)
    {
        let counts = |id: &str| !is_ours || ours.contains(id);
        let parsed: Result<Vec<Case>, _> = serde_yaml_ng::from_str(&text);
        match parsed {
            Err(error) => faults.push(RuleFault {
                file,
                line: error.location().map_or(1, |at| at.line()),
                column: error.location().map(|at| at.column()),
                reason: error.to_string(),
            }),
            Ok(list) => {
                for case in list {
                    cases += 1;
                    fired.extend(case.fires.iter().cloned());
                    if let Err(reason) = run(&rules, &case, counts) {
                        let line = line_of(&text, &case.name);
                        faults.push(RuleFault {
                            file: file.clone(),
                            line,
                            column: None,
                            reason,
                        });
                    }
                }
            }
        }
    }
    let speaks = rules
        .rules
        .values()
        .filter(|rule| !rule.is_silent)
        .map(|rule| &rule.id);
    let pack = speaks.chain(rules.correlations.iter().map(|c| &c.rule.id));
    let untested = pack
        .filter(|id| id.starts_with("hub-") && !fired.contains(*id))
        .cloned()
        .collect();
    Report {
        rules: rules.len(),
        cases,
        faults,
        untested,
    }
}

fn line_of(text: &str, name: &str) -> usize {
    text.lines()
        .position(|line| line.contains(name))
        .map_or(1, |n| n + 1)
}

struct TestFile {
    file: String,
    text: String,
    /// Embedded, not an operator's.
    is_ours: bool,
}

fn test_files(sources: &[RuleSource]) -> Vec<TestFile> {
    let mut out = Vec::new();
    for source in sources {
        match source {
            RuleSource::Embedded => {
                let tests = PACK.iter().filter(|(name, _)| name.starts_with("tests/"));
                out.extend(tests.map(|(name, text)| TestFile {
                    file: (*name).to_owned(),
                    text: (*text).to_owned(),
                    is_ours: true,
                }));
            }
            RuleSource::Folder(folder) => collect(&folder.join("tests"), &mut out),
            RuleSource::Text { .. } => {}
        }
    }
    out
}

fn collect(folder: &Path, out: &mut Vec<TestFile>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    for path in paths {
        if path
            .extension()
            .is_some_and(|ext| ext == "yml" || ext == "yaml")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            out.push(TestFile {
                file: path.display().to_string(),
                text,
                is_ours: false,
            });
        }
    }
}

/// Monday, 2026-11-23 08:00 UTC: when every case begins.
const START: Timestamp = Timestamp::from_unix_seconds(1_795_420_800);

/// `counts` says of a rule's id whether the case speaks of it.
fn run(rules: &Arc<RuleSet>, case: &Case, counts: impl Fn(&str) -> bool) -> Result<(), String> {
    let expected: BTreeSet<&str> = case.fires.iter().map(String::as_str).collect();
    let ids = rules.ids();
    if let Some(unknown) = expected.iter().find(|id| !ids.contains(*id)) {
        return Err(format!("`{}`: no rule `{unknown}`", case.name));
    }
    let findings = observe(rules, case);
    let got: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding.rule.as_str())
        .filter(|id| counts(id))
        .collect();
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "`{}`: expected {expected:?}, but {got:?} fired",
        case.name
    ))
}

fn observe(rules: &Arc<RuleSet>, case: &Case) -> Vec<Finding> {
    let mut detector = TenantDetector::new(Arc::clone(rules), Arc::new(ManualClock::at(START)));
    detector.set_locations(case.locations.iter().map(place).collect());
    let mut events: Vec<(Timestamp, Event)> = Vec::new();
    for template in &case.events {
        for n in 0..template.repeat.unwrap_or(1) {
            let at = START.plus(template.at.0 + template.every.map_or(Duration::ZERO, |e| e.0) * n);
            events.push((at, event(template, at, n)));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    let mut findings = Vec::new();
    for (n, (_, mut event)) in events.into_iter().enumerate() {
        findings.extend(detector.observe(&mut event, &format!("e{n}")));
    }
    findings
}

fn place(place: &CasePlace) -> Location {
    Location {
        name: place.name.clone(),
        cidrs: place.cidrs.clone(),
        country: String::new(),
        city: place.name.clone(),
        latitude: place.latitude,
        longitude: place.longitude,
        kind: place
            .kind
            .as_deref()
            .and_then(LocationKind::parse)
            .unwrap_or(LocationKind::Other),
        trusted: place.trusted,
    }
}

fn event(template: &CaseEvent, at: Timestamp, n: u32) -> Event {
    let product = template
        .product
        .clone()
        .unwrap_or_else(|| "security_hub".to_owned());
    let service = template
        .service
        .clone()
        .or_else(|| template.log.clone())
        .unwrap_or_default();
    let mut event = Event {
        time: at,
        source: LogSource::new(product, service.clone()),
        body: Map::new(),
    };
    event.set("time", json!(at.unix_millis()));
    event.set("metadata.log_name", json!(service));
    for (path, value) in &template.set {
        let value = match value {
            Value::String(text) => Value::String(text.replace("{n}", &n.to_string())),
            other => other.clone(),
        };
        event.set(path, value);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rules_do_what_their_tests_say() {
        let report = check_content(&[RuleSource::Embedded]);
        let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
        assert!(
            report.untested.is_empty(),
            "no case makes these fire: {:?}",
            report.untested
        );
        assert!(report.cases >= 20, "{} cases", report.cases);
    }
}
