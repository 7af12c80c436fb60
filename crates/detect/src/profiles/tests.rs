use hub_base::Timestamp;
use hub_events::LogSource;
use serde_json::Map;

use super::*;

fn event(second: i64, operation: &str, fields: &[(&str, &str)]) -> Event {
    let time = Timestamp::from_unix_seconds(1_000_000 + second);
    let mut event = Event {
        time,
        source: LogSource::new(HUB, "auth"),
        body: Map::new(),
    };
    event.set("api.operation", operation);
    event.set(
        "status_id",
        if operation == "session.refuse" { 2 } else { 1 },
    );
    event.set("user.uid", "ada");
    for (path, value) in fields {
        event.set(path, *value);
    }
    event
}

/// Lets the models see the event; what they say at `path`.
fn said(profiles: &mut Profiles, mut event: Event, path: &str) -> Option<bool> {
    profiles.enrich(&mut event);
    event.at(path).and_then(Value::as_bool)
}

const FAMILIAR: &str = "unmapped.source.familiar";

#[test]
fn the_first_source_is_familiar_and_a_new_one_only_after_its_probation() {
    let mut profiles = Profiles::default();
    let mut login = |second, ip| {
        said(
            &mut profiles,
            event(second, "session.begin", &[("src_endpoint.ip", ip)]),
            FAMILIAR,
        )
    };
    assert_eq!(login(0, "198.51.100.1"), Some(true));
    assert_eq!(login(10, "203.0.113.9"), Some(false));
    assert_eq!(login(20, "203.0.113.9"), Some(false));
    assert_eq!(login(30, "198.51.100.1"), Some(true));
    assert_eq!(login(10 + 3600, "203.0.113.9"), Some(true));
}

#[test]
fn failures_teach_nothing() {
    let mut profiles = Profiles::default();
    let from = [("src_endpoint.ip", "203.0.113.9")];
    for second in 0..5 {
        assert_eq!(
            said(
                &mut profiles,
                event(second, "session.refuse", &from),
                FAMILIAR
            ),
            Some(false)
        );
    }
    assert!(profiles.subjects.is_empty());
}

#[test]
fn a_device_is_known_from_its_second_sign_in() {
    let mut profiles = Profiles::default();
    let mut login = |second, device: Option<&str>| {
        let mut fields = vec![("src_endpoint.ip", "198.51.100.1")];
        fields.extend(device.map(|device| ("device.uid", device)));
        said(
            &mut profiles,
            event(second, "session.begin", &fields),
            "unmapped.device.familiar",
        )
    };
    assert_eq!(login(0, None), Some(true), "a new user");
    assert_eq!(
        login(10, Some("d1")),
        Some(true),
        "the first cookie that came back"
    );
    assert_eq!(login(20, Some("d2")), Some(false));
    assert_eq!(login(30, Some("d2")), Some(true));
    assert_eq!(login(40, None), Some(false));
}

#[test]
fn the_same_events_again_say_the_same() {
    let events = [
        event(
            0,
            "session.begin",
            &[("src_endpoint.ip", "198.51.100.1"), ("device.uid", "d1")],
        ),
        event(
            10,
            "session.begin",
            &[("src_endpoint.ip", "203.0.113.9"), ("device.uid", "d2")],
        ),
    ];
    let mut profiles = Profiles::default();
    let mut pass = |path: &str| -> Vec<Option<bool>> {
        events
            .iter()
            .map(|event| said(&mut profiles, event.clone(), path))
            .collect()
    };
    let first = (pass(FAMILIAR), pass("unmapped.device.familiar"));
    assert_eq!(first, (pass(FAMILIAR), pass("unmapped.device.familiar")));
    assert_eq!(first.0, [Some(true), Some(false)]);
    assert_eq!(first.1, [Some(true), Some(false)]);
}

#[test]
fn memory_has_a_bound() {
    let mut profiles = Profiles::default();
    for n in 0..200 {
        let ip = format!("198.51.100.{n}");
        profiles.enrich(&mut event(
            n,
            "session.begin",
            &[("src_endpoint.ip", ip.as_str())],
        ));
    }
    assert!(profiles.subjects["ada"].sources.len() <= OF_A_SUBJECT);
}
