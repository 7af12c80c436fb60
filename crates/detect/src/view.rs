//! An event as rules see it: OCSF's fields by dotted path and, for foreign events, the record's own fields
//! (those under `unmapped`) beside them, so that published Sigma rules find the names they were written for.
//!
//! Where both have a field of one name, OCSF's wins. Keyword rules see `message`, `raw_data` and the record's own
//! texts; of an event that has none of these, all texts. Nothing is copied.

use std::borrow::Cow;

use hub_events::Event;
use rsigma_eval::event::{Event as SigmaEvent, EventValue};
use serde_json::{Map, Value};

/// The hub's own product: its events are seen as they are.
pub(crate) const HUB: &str = "security_hub";
/// Nesting deeper than this is not looked into.
const DEPTH: usize = 64;

/// A borrowed view of an event for the rule engine.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    body: &'a Map<String, Value>,
    /// The foreign record's own fields.
    record: Option<&'a Map<String, Value>>,
}

impl<'a> EventView<'a> {
    pub fn new(event: &'a Event) -> Self {
        let foreign = event.source.product != HUB;
        let record = event
            .body
            .get("unmapped")
            .and_then(Value::as_object)
            .filter(|_| foreign);
        Self {
            body: &event.body,
            record,
        }
    }

    fn find(&self, path: &str) -> Option<EventValue<'a>> {
        // OCSF's own keys have no dots in them, which spares most look-ups one search.
        let ours = match path.split_once('.') {
            None => self.body.get(path).map(EventValue::from),
            Some((head, rest)) => nested(self.body, head, rest),
        };
        ours.or_else(|| look_up(self.record?, path))
    }

    fn walk(&self, visit: &mut dyn FnMut(&'a str) -> bool) -> bool {
        let words = ["message", "raw_data"]
            .into_iter()
            .filter_map(|key| self.body.get(key));
        let mut any = false;
        for value in words {
            any = true;
            if texts(value, DEPTH, visit) {
                return true;
            }
        }
        if let Some(record) = self.record {
            return record.values().any(|value| texts(value, DEPTH, visit));
        }
        !any && self.body.values().any(|value| texts(value, DEPTH, visit))
    }
}

/// The value at `path`: a key of that very name first, else step by step; arrays are looked into.
fn look_up<'a>(map: &'a Map<String, Value>, path: &str) -> Option<EventValue<'a>> {
    if let Some(value) = map.get(path) {
        return Some(EventValue::from(value));
    }
    let (head, rest) = path.split_once('.')?;
    nested(map, head, rest)
}

fn nested<'a>(map: &'a Map<String, Value>, head: &str, rest: &str) -> Option<EventValue<'a>> {
    // Most look-ups miss here.
    let mut value = map.get(head)?;
    let mut path = rest;
    // Straight down through objects, without a list.
    while let Value::Object(object) = value {
        if let Some(found) = object.get(path) {
            return Some(EventValue::from(found));
        }
        let (head, rest) = path.split_once('.')?;
        value = object.get(head)?;
        path = rest;
    }
    let mut found = Vec::new();
    collect(value, path, DEPTH, &mut found);
    if found.len() > 1 {
        Some(EventValue::Array(found))
    } else {
        found.pop()
    }
}

fn collect<'a>(value: &'a Value, path: &str, depth: usize, out: &mut Vec<EventValue<'a>>) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(map) => {
            if let Some(value) = map.get(path) {
                out.push(EventValue::from(value));
            } else if let Some((head, rest)) = path.split_once('.')
                && let Some(value) = map.get(head)
            {
                collect(value, rest, depth - 1, out);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect(item, path, depth - 1, out)),
        _ => {}
    }
}

fn texts<'a>(value: &'a Value, depth: usize, visit: &mut dyn FnMut(&'a str) -> bool) -> bool {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) if depth > 0 => items.iter().any(|item| texts(item, depth - 1, visit)),
        Value::Object(map) if depth > 0 => map.values().any(|item| texts(item, depth - 1, visit)),
        _ => false,
    }
}

impl SigmaEvent for EventView<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        self.find(path)
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.walk(&mut |text| pred(text))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let mut out = Vec::new();
        self.walk(&mut |text| {
            out.push(Cow::Borrowed(text));
            false
        });
        out
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        self.walk(&mut |text| {
            visit(text);
            false
        });
    }

    fn to_json(&self) -> Value {
        Value::Object(self.body.clone())
    }

    fn top_level_keys(&self) -> Option<Vec<Cow<'_, str>>> {
        let keys = self
            .body
            .keys()
            .chain(self.record.into_iter().flat_map(Map::keys));
        Some(keys.map(|key| Cow::Borrowed(key.as_str())).collect())
    }

    fn visit_top_level_keys(&self, visit: &mut dyn FnMut(&str)) -> bool {
        self.body
            .keys()
            .chain(self.record.into_iter().flat_map(Map::keys))
            .for_each(|key| visit(key));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_base::Timestamp;
    use hub_events::LogSource;
    use serde_json::json;

    fn event(product: &str, body: Value) -> Event {
        Event {
            time: Timestamp::from_unix_millis(0),
            source: LogSource::new(product, "x"),
            body: body.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn a_records_own_fields_stand_beside_ocsfs() {
        let body = json!({"time": 1, "user": {"name": "a"}, "unmapped": {
            "eventName": "StopLogging", "user": "native", "list": [{"k": "x"}, {"k": "y"}]}});
        let aws = event("aws", body.clone());
        let view = EventView::new(&aws);
        let text = |path: &str| {
            view.get_field(path)
                .and_then(|v| v.as_str().map(Cow::into_owned))
        };
        assert_eq!(text("eventName").as_deref(), Some("StopLogging"));
        assert_eq!(text("user.name").as_deref(), Some("a"));
        assert!(
            matches!(view.get_field("list.k"), Some(EventValue::Array(both)) if both.len() == 2)
        );
        let own = event("security_hub", body);
        assert!(EventView::new(&own).get_field("eventName").is_none());
        assert!(
            EventView::new(&own)
                .get_field("unmapped.eventName")
                .is_some()
        );
    }

    #[test]
    fn keywords_see_the_line_and_not_our_labels() {
        let line = event(
            "linux",
            json!({"raw_data": "segfault at", "metadata": {"p": "Security Hub"}}),
        );
        let view = EventView::new(&line);
        assert!(view.any_string_value(&|text| text.contains("segfault")));
        assert!(!view.any_string_value(&|text| text.contains("Security")));
    }
}
