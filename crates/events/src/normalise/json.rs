//! Plain JSON objects: a time under a usual name, a message, everything else under `unmapped`.

use hub_base::Timestamp;
use serde_json::{Map, Value, json};

use super::{Options, base};
use crate::class::Class;
use crate::event::{Event, LogSource};

const TIMES: [&str; 5] = ["time", "timestamp", "@timestamp", "ts", "eventTime"];
const MESSAGES: [&str; 3] = ["message", "msg", "log"];

/// Never fails: an object without a readable time happened now.
pub(crate) fn event(object: Map<String, Value>, options: &Options) -> Event {
    let found = TIMES.iter().find_map(|name| time(object.get(*name)?));
    let source = options
        .source
        .clone()
        .unwrap_or_else(|| LogSource::new("json", "generic"));
    let mut event = base(Class::Base, 99, found.unwrap_or(options.now), source);
    if let Some(message) = MESSAGES.iter().find_map(|name| object.get(*name)?.as_str()) {
        event.set("message", message);
    }
    event.set("unmapped", json!(object));
    event
}

/// RFC 3339 text, or a number of seconds, milliseconds or microseconds since 1970 by its size.
fn time(value: &Value) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    let number = value.as_f64()?;
    let micros = match number.abs() {
        n if n < 1e11 => number * 1e6,
        n if n < 1e14 => number * 1e3,
        n if n < 1e17 => number,
        _ => return None,
    };
    Some(Timestamp::from_unix_micros(micros as i64))
}
