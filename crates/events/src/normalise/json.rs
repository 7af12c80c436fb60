//! Plain JSON objects: a time under a usual name, a message, everything else under `unmapped`.

use hub_base::Timestamp;
use serde_json::{Map, Value};

use super::{Options, base, foreign};
use crate::class::Class;
use crate::event::{Event, LogSource};

const TIMES: [&str; 5] = ["time", "timestamp", "@timestamp", "ts", "eventTime"];
const MESSAGES: [&str; 3] = ["message", "msg", "log"];

/// An object without a readable time happened now. Fails only if the source's name is too long.
pub(crate) fn event(object: Map<String, Value>, options: &Options) -> Result<Event, String> {
    let found = TIMES.iter().find_map(|name| time(object.get(*name)?));
    let source = match &options.source {
        Some(given) => LogSource {
            category: given.category.clone(),
            ..foreign(&given.product, &given.service)?
        },
        None => LogSource::new("json", "generic"),
    };
    let mut event = base(Class::Base, 99, found.unwrap_or(options.now), source);
    if let Some(message) = MESSAGES.iter().find_map(|name| object.get(*name)?.as_str()) {
        event.set("message", message);
    }
    event.set("unmapped", object);
    Ok(event)
}

/// RFC 3339 text, or a number (also as text) of seconds, milliseconds or microseconds since 1970 by its size.
fn time(value: &Value) -> Option<Timestamp> {
    let number = match value.as_str() {
        Some(text) => match text.parse() {
            Ok(time) => return Some(time),
            Err(_) => text
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())?,
        },
        None => value.as_f64()?,
    };
    let micros = match number.abs() {
        n if n < 1e11 => number * 1e6,
        n if n < 1e14 => number * 1e3,
        n if n < 1e17 => number,
        _ => return None,
    };
    Some(Timestamp::from_unix_micros(micros as i64))
}
