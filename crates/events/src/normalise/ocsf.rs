//! Events that are OCSF already: attributes are checked, what follows from them is filled in, the rest is kept as it came.

use std::net::IpAddr;

use hub_base::Timestamp;
use serde_json::{Map, Value};

use super::foreign;
use crate::event::{Event, set};

/// What an attribute must be, if it is there.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Whole,
    Address,
    Port,
    Object,
}

/// Attributes that rules, profiles and incidents read: of a wrong type, they would be silently passed over.
const TYPES: [(&str, Kind); 24] = [
    ("message", Kind::Text),
    ("status", Kind::Text),
    ("status_id", Kind::Whole),
    ("status_detail", Kind::Text),
    ("count", Kind::Whole),
    ("unmapped", Kind::Object),
    ("metadata.uid", Kind::Text),
    ("metadata.version", Kind::Text),
    ("metadata.log_name", Kind::Text),
    ("metadata.log_provider", Kind::Text),
    ("metadata.product.name", Kind::Text),
    ("user.name", Kind::Text),
    ("user.uid", Kind::Text),
    ("actor.user.name", Kind::Text),
    ("actor.user.uid", Kind::Text),
    ("actor.session.uid", Kind::Text),
    ("api.operation", Kind::Text),
    ("device.hostname", Kind::Text),
    ("http_request.user_agent", Kind::Text),
    ("session.uid", Kind::Text),
    ("src_endpoint.ip", Kind::Address),
    ("src_endpoint.port", Kind::Port),
    ("dst_endpoint.ip", Kind::Address),
    ("dst_endpoint.port", Kind::Port),
];

/// Checks an OCSF object; the reason names the attribute at fault.
pub(crate) fn event(mut body: Map<String, Value>) -> Result<Event, String> {
    let class = whole(&body, "class_uid")?;
    let activity = whole(&body, "activity_id")?;
    let severity = whole(&body, "severity_id")?;
    let time = whole(&body, "time")?;
    within("class_uid", class, 999_999)?;
    within("activity_id", activity, 99)?;
    within("severity_id", severity, 99)?;
    // An extension's classes are numbered behind its own number: 100 thousand and up.
    derived(&mut body, "type_uid", class * 100 + activity)?;
    derived(&mut body, "category_uid", class % 100_000 / 1000)?;
    for (path, kind) in TYPES {
        check(&body, path, kind)?;
    }
    let metadata = body.get("metadata").ok_or("`metadata` is missing")?;
    let text = |value: Option<&'_ Value>| value.and_then(Value::as_str).map(str::to_owned);
    let product = text(
        metadata
            .get("product")
            .and_then(|product| product.get("name")),
    );
    let provider = text(metadata.get("log_provider"));
    let log = text(metadata.get("log_name"));
    let named = provider
        .clone()
        .or(product)
        .ok_or("`metadata.product.name` is missing")?;
    let source = foreign(&named, log.as_deref().unwrap_or("generic"))?;
    if provider.is_some() {
        set(
            &mut body,
            "metadata.log_provider",
            source.product.clone().into(),
        );
    }
    let time = Timestamp::from_unix_millis(time);
    Ok(Event { time, source, body })
}

fn whole(body: &Map<String, Value>, name: &str) -> Result<i64, String> {
    let value = body
        .get(name)
        .ok_or_else(|| format!("`{name}` is missing"))?;
    value
        .as_i64()
        .ok_or_else(|| format!("`{name}` is not a whole number"))
}

fn within(name: &str, number: i64, most: i64) -> Result<(), String> {
    if (0..=most).contains(&number) {
        return Ok(());
    }
    Err(format!("`{name}` is {number}, expected 0 to {most}"))
}

/// Fills in what follows from other attributes; what is there must agree.
fn derived(body: &mut Map<String, Value>, name: &str, expected: i64) -> Result<(), String> {
    if !body.contains_key(name) {
        body.insert(name.to_owned(), expected.into());
    }
    match whole(body, name)? {
        found if found == expected => Ok(()),
        found => Err(format!(
            "`{name}` is {found}, expected {expected} by class and activity"
        )),
    }
}

/// Checks the attribute at a dotted path and the objects on the way. `null` counts as absent.
fn check(body: &Map<String, Value>, path: &str, kind: Kind) -> Result<(), String> {
    let (mut map, mut rest) = (body, path);
    while let Some((name, below)) = rest.split_once('.') {
        map = match map.get(name) {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Object(object)) => object,
            Some(_) => {
                let parent = path
                    .strip_suffix(below)
                    .unwrap_or(path)
                    .trim_end_matches('.');
                return Err(format!("`{parent}` is not an object"));
            }
        };
        rest = below;
    }
    let Some(value) = map.get(rest) else {
        return Ok(());
    };
    let (fits, expected) = match kind {
        Kind::Text => (value.is_string(), "a text"),
        Kind::Whole => (value.is_i64() || value.is_u64(), "a whole number"),
        Kind::Object => (value.is_object(), "an object"),
        Kind::Port => (value.as_u64().is_some_and(|port| port <= 65_535), "a port"),
        Kind::Address => (
            value
                .as_str()
                .is_some_and(|text| text.parse::<IpAddr>().is_ok()),
            "an IP address",
        ),
    };
    if fits || value.is_null() {
        Ok(())
    } else {
        Err(format!("`{path}` is not {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::event;

    fn fault(path: &str, value: Value) -> String {
        let mut body = json!({"class_uid": 3002, "activity_id": 1, "severity_id": 1, "time": 1,
            "metadata": {"product": {"name": "Okta"}, "log_name": "system"}});
        let body = body.as_object_mut().unwrap();
        crate::event::set(body, path, value);
        event(body.clone()).map_or_else(|reason| reason, |event| format!("{:?}", event.source))
    }

    #[test]
    fn each_attribute_at_fault_is_named_by_its_path() {
        for (path, value, expected) in [
            (
                "class_uid",
                json!("3002"),
                "`class_uid` is not a whole number",
            ),
            (
                "class_uid",
                json!(1_000_000),
                "`class_uid` is 1000000, expected 0 to 999999",
            ),
            (
                "activity_id",
                json!(-1),
                "`activity_id` is -1, expected 0 to 99",
            ),
            (
                "severity_id",
                json!(1.5),
                "`severity_id` is not a whole number",
            ),
            ("time", Value::Null, "`time` is not a whole number"),
            (
                "type_uid",
                json!(300_202),
                "`type_uid` is 300202, expected 300201 by class and activity",
            ),
            (
                "category_uid",
                json!(4),
                "`category_uid` is 4, expected 3 by class and activity",
            ),
            ("metadata", json!([]), "`metadata` is not an object"),
            (
                "metadata.product",
                json!("Okta"),
                "`metadata.product` is not an object",
            ),
            (
                "metadata.product.name",
                json!(7),
                "`metadata.product.name` is not a text",
            ),
            (
                "metadata.product",
                json!({}),
                "`metadata.product.name` is missing",
            ),
            (
                "src_endpoint",
                json!("192.0.2.1"),
                "`src_endpoint` is not an object",
            ),
            (
                "src_endpoint.ip",
                json!("192.0.2"),
                "`src_endpoint.ip` is not an IP address",
            ),
            (
                "src_endpoint.port",
                json!(65_536),
                "`src_endpoint.port` is not a port",
            ),
            ("user.name", json!({"a": 1}), "`user.name` is not a text"),
            ("status_id", json!("2"), "`status_id` is not a whole number"),
            ("unmapped", json!("x"), "`unmapped` is not an object"),
        ] {
            assert_eq!(fault(path, value), expected);
        }
        assert!(fault("metadata.log_provider", json!("x".repeat(129))).contains("longer"));
    }

    #[test]
    fn what_is_right_is_kept_and_what_follows_is_filled_in() {
        let body = json!({"class_uid": 201_001, "activity_id": 2, "severity_id": 99, "time": 1000,
            "user": null, "src_endpoint": {"ip": "2001:db8::1", "port": null}, "mine": [1, 2],
            "metadata": {"log_provider": "Big Vendor", "product": {"name": "X"}}});
        let found = event(body.as_object().unwrap().clone()).unwrap();
        assert_eq!(
            (found.source.product.as_str(), found.source.service.as_str()),
            ("big_vendor", "generic")
        );
        assert_eq!(found.at("type_uid"), Some(&json!(20_100_102)));
        assert_eq!(found.at("category_uid"), Some(&json!(1)));
        assert_eq!(
            (found.at("mine"), found.time.unix_millis()),
            (Some(&json!([1, 2])), 1000)
        );
    }

    #[test]
    fn nobody_writes_the_hubs_name_so_that_it_counts() {
        for name in [
            "security_hub",
            "Security Hub",
            "SECURITY-HUB",
            " security  hub ",
            "securityhub",
        ] {
            let shown = fault("metadata.log_provider", json!(name));
            assert!(shown.contains("external_security_hub"), "{name}: {shown}");
        }
    }
}
