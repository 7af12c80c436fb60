use std::sync::Arc;

use hub_base::{ManualClock, Timestamp};
use hub_events::{Event, LogSource};
use serde_json::{Map, json};

use crate::detector::TenantDetector;
use crate::rules::{RuleSet, RuleSource};

/// A detector with one correlation over events of product `p`.
fn detector(correlation: &str) -> TenantDetector {
    let text = format!(
        "title: A\nid: a\nlogsource: {{product: p}}\ndetection:\n  s: {{kind: a}}\n  condition: s\n---\n\
         title: B\nid: b\nlogsource: {{product: p}}\ndetection:\n  s: {{kind: b}}\n  condition: s\n---\n\
         title: C\nid: c\ncorrelation:\n{correlation}"
    );
    let (rules, faults) = RuleSet::load(&[RuleSource::Text {
        name: "t.yml".into(),
        text,
    }]);
    assert_eq!(faults, []);
    TenantDetector::new(
        Arc::new(rules),
        Arc::new(ManualClock::at(Timestamp::from_unix_seconds(0))),
    )
}

/// Events as `second kind group value`; the seconds at which something was found.
#[track_caller]
fn check(correlation: &str, events: &[(i64, &str, &str, i64)], expected: &[i64]) {
    let mut detector = detector(correlation);
    let mut found = Vec::new();
    for (n, (second, kind, group, value)) in events.iter().enumerate() {
        let time = Timestamp::from_unix_seconds(1_000_000 + second);
        let mut event = Event {
            time,
            source: LogSource::new("p", ""),
            body: Map::new(),
        };
        event.set("kind", *kind);
        event.set("value", json!(value));
        if !group.is_empty() {
            event.set("group", *group);
        }
        let findings = detector.observe(&mut event, &n.to_string());
        found.extend(
            findings
                .iter()
                .filter(|f| f.rule == "c" && f.dedup_key.ends_with("/0"))
                .map(|_| *second),
        );
    }
    assert_eq!(found, expected);
}

const COUNT: &str = "  type: event_count\n  rules: [a]\n  group-by: [group]\n  timespan: 60s\n  condition: {gte: 3}\n";

#[test]
fn events_are_counted_by_group_within_the_window() {
    check(
        COUNT,
        &[
            (0, "a", "x", 0),
            (10, "a", "y", 0),
            (20, "a", "x", 0),
            (60, "a", "x", 0),
        ],
        &[60],
    );
    check(
        COUNT,
        &[(0, "a", "x", 0), (20, "a", "x", 0), (61, "a", "x", 0)],
        &[],
    );
    check(
        COUNT,
        &[(0, "b", "x", 0), (1, "b", "x", 0), (2, "b", "x", 0)],
        &[],
    );
}

#[test]
fn an_event_without_the_group_is_in_no_group() {
    check(
        COUNT,
        &[(0, "a", "", 0), (1, "a", "", 0), (2, "a", "", 0)],
        &[],
    );
}

#[test]
fn a_late_event_counts_where_it_happened() {
    // Out of order, but all within one minute.
    check(
        COUNT,
        &[(50, "a", "x", 0), (0, "a", "x", 0), (30, "a", "x", 0)],
        &[30],
    );
    // An hour late: neither joins today's window nor clears it.
    check(
        COUNT,
        &[
            (4000, "a", "x", 0),
            (4001, "a", "x", 0),
            (0, "a", "x", 0),
            (4002, "a", "x", 0),
        ],
        &[4002],
    );
    // Yesterday's file is seen as well.
    check(
        COUNT,
        &[
            (4000, "a", "x", 0),
            (0, "a", "x", 0),
            (1, "a", "x", 0),
            (2, "a", "x", 0),
        ],
        &[2],
    );
}

#[test]
fn distinct_values_are_counted_once() {
    let rule = "  type: value_count\n  rules: [a]\n  group-by: [group]\n  timespan: 60s\n  condition: {gte: 3, field: value}\n";
    check(
        rule,
        &[
            (0, "a", "x", 1),
            (1, "a", "x", 1),
            (2, "a", "x", 2),
            (3, "a", "x", 3),
        ],
        &[3],
    );
    check(
        rule,
        &[(0, "a", "x", 1), (30, "a", "x", 2), (61, "a", "x", 3)],
        &[],
    );
}

#[test]
fn numbers_are_summed() {
    let rule =
        "  type: value_sum\n  rules: [a]\n  timespan: 60s\n  condition: {gte: 100, field: value}\n";
    check(
        rule,
        &[(0, "a", "", 60), (10, "a", "", 39), (20, "a", "", 1)],
        &[20],
    );
    check(rule, &[(0, "a", "", 60), (61, "a", "", 60)], &[]);
}

#[test]
fn order_matters_where_the_rule_says_so() {
    let ordered =
        "  type: temporal_ordered\n  rules: [a, b]\n  group-by: [group]\n  timespan: 60s\n";
    check(ordered, &[(0, "a", "x", 0), (10, "b", "x", 0)], &[10]);
    check(ordered, &[(0, "b", "x", 0), (10, "a", "x", 0)], &[]);
    check(ordered, &[(0, "a", "x", 0), (10, "b", "y", 0)], &[]);
    let any = ordered.replace("temporal_ordered", "temporal");
    check(&any, &[(0, "b", "x", 0), (10, "a", "x", 0)], &[10]);
}

#[test]
fn a_flood_speaks_at_doubling_counts_only() {
    let mut detector = detector(COUNT);
    let mut findings = Vec::new();
    for n in 0..1000_i64 {
        let time = Timestamp::from_unix_micros(1_000_000_000_000 + n * 1000);
        let mut event = Event {
            time,
            source: LogSource::new("p", ""),
            body: Map::new(),
        };
        event.set("kind", "a");
        event.set("group", "x");
        event.set("src_endpoint.ip", "203.0.113.9");
        findings.extend(detector.observe(&mut event, &n.to_string()));
    }
    let counts: Vec<u64> = findings
        .iter()
        .filter(|f| f.rule == "c")
        .map(|f| f.count)
        .collect();
    assert_eq!(counts, [3, 6, 12, 24, 48, 96, 192, 384, 768]);
    let keys: std::collections::HashSet<&str> =
        findings.iter().map(|f| f.dedup_key.as_str()).collect();
    assert_eq!(keys.len(), findings.len());
    assert!(findings.iter().all(|f| f.events.len() <= 100));
}
