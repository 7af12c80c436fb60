//! One normalised event: a JSON object in OCSF's shape, plus the log source that routes rules to it.

use hub_base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What Sigma calls a log source: which rules are tried on an event at all.
///
/// Hub: `security_hub`/`auth|api|admin`. sshd: `linux`/`sshd`. CloudTrail: `aws`/`cloudtrail`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogSource {
    pub product: String,
    pub service: String,
    /// Sigma's `category`, where the source has one (`process_creation`, `webserver`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

impl LogSource {
    pub fn new(product: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            product: product.into(),
            service: service.into(),
            category: None,
        }
    }
}

/// A normalised event. `body` is a complete OCSF 1.8 object: `class_uid`, `time` (Unix ms),
/// `metadata`, …; a foreign record's own fields stand under `unmapped`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, by the source's word.
    pub time: Timestamp,
    pub source: LogSource,
    pub body: Map<String, Value>,
}

impl Event {
    /// OCSF's `class_uid`, 0 if the body has none.
    pub fn class_uid(&self) -> u32 {
        self.at("class_uid")
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0)
    }

    /// The value at a dotted path, such as `src_endpoint.ip`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let mut value = self.body.get(parts.next()?)?;
        for part in parts {
            value = value.get(part)?;
        }
        Some(value)
    }

    /// The text at a dotted path.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path).and_then(Value::as_str)
    }

    /// Sets the value at a dotted path, making objects on the way. A non-object in the way is replaced.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) {
        set(&mut self.body, path, value.into());
    }
}

/// Sets `value` at the dotted `path` in `map`, making objects on the way.
pub(crate) fn set(map: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let child = map
                .entry(head.to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            if !child.is_object() {
                *child = Value::Object(Map::new());
            }
            if let Value::Object(child) = child {
                set(child, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_are_set_and_read() {
        let mut event = Event {
            time: Timestamp::from_unix_millis(0),
            source: LogSource::new("linux", "sshd"),
            body: Map::new(),
        };
        event.set("src_endpoint.ip", "192.0.2.1");
        event.set("src_endpoint.location.country", "BR");
        assert_eq!(event.text("src_endpoint.ip"), Some("192.0.2.1"));
        assert_eq!(event.text("src_endpoint.location.country"), Some("BR"));
        assert_eq!(event.at("nope.deeper"), None);
    }
}
