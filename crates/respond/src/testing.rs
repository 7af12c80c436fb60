//! Findings for this room's tests, written as `kind:value`.

use hub_base::{Clock, FindingId};
use hub_detect::{Entity, Finding};
use hub_events::Severity;

pub(crate) fn entity(text: &str) -> Entity {
    let (kind, value) = text.split_once(':').unwrap();
    Entity {
        kind: kind.parse().unwrap(),
        value: value.to_owned(),
        name: None,
    }
}

pub(crate) fn finding(rule: &str, primary: &str, entities: &[&str], clock: &dyn Clock) -> Finding {
    Finding {
        id: FindingId::new(clock),
        rule: rule.to_owned(),
        title: format!("Finding of {rule}"),
        severity: Severity::High,
        techniques: vec!["T1110.003".to_owned()],
        tactics: vec!["credential-access".to_owned()],
        primary: entity(primary),
        entities: entities.iter().map(|text| entity(text)).collect(),
        events: Vec::new(),
        first_event_at: clock.now(),
        last_event_at: clock.now(),
        detected_at: clock.now(),
        count: 1,
        authors: None,
        dedup_key: format!("{rule}|{primary}"),
        summary: "something happened".to_owned(),
    }
}
