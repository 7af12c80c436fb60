//! Foreign logs into OCSF events. Every line becomes events, or stands in the quarantine with the reason; none is lost.

pub mod cloudtrail;
pub mod json;
pub mod ocsf;
pub mod sshd;
mod syslog;

use std::str::FromStr;

use hub_base::Timestamp;
use serde_json::{Map, Value, json};

use crate::class::{Class, Outcome};
use crate::event::{Event, LogSource};

/// The longest line that is read, in bytes; a longer one is quarantined.
pub const MAX_LINE: usize = 256 * 1024;
/// Lines of a batch at most: each becomes an event of some 2 KiB in memory, however short it is. Whoever takes batches
/// from strangers asks [`lines`] first.
pub const MAX_LINES: usize = 100_000;
/// How much of a quarantined line is kept, in bytes.
pub const MAX_RAW: usize = 8 * 1024;
/// How much of a reason is kept, in bytes.
const MAX_REASON: usize = 512;
/// The longest name of a product or a log, in bytes.
const MAX_NAME: usize = 128;
/// How deep JSON may be nested.
const MAX_DEPTH: usize = 32;

/// A kind of foreign log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenSSH's daemon through syslog (RFC 3164 or ISO times).
    Sshd,
    /// AWS CloudTrail: `{"Records": […]}` files, or a record a line.
    CloudTrail,
    /// OCSF 1.x events, one a line.
    Ocsf,
    /// Any JSON objects, one a line, with a time under a usual name.
    Json,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Sshd, Self::CloudTrail, Self::Ocsf, Self::Json];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::CloudTrail => "cloudtrail",
            Self::Ocsf => "ocsf",
            Self::Json => "json",
        }
    }
}

/// What a text was that should have been a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no known format (expected sshd, cloudtrail, ocsf or json)")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| UnknownFormat(text.chars().take(40).collect()))
    }
}

/// What a log does not say of itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// Now, for logs without a year and events without a time.
    pub now: Timestamp,
    /// The year of the first line, for logs without one; else the newest year that is not in the future.
    pub year: Option<i32>,
    /// Product and service for plain JSON; `json`/`generic` otherwise.
    pub source: Option<LogSource>,
}

impl Options {
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            year: None,
            source: None,
        }
    }
}

/// A line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// From 1.
    pub line: u32,
    pub reason: String,
    /// The line's beginning, at most [`MAX_RAW`] bytes.
    pub raw: String,
}

/// A normalised batch: every line that is not blank is in one of the two.
#[derive(Debug, Clone, Default)]
pub struct Normalised {
    pub events: Vec<Event>,
    pub rejected: Vec<Rejected>,
    /// Lines that were not blank.
    pub lines: u32,
}

impl Normalised {
    fn reject(&mut self, line: u32, reason: impl Into<String>, raw: &[u8]) {
        let shown = raw.get(..raw.len().min(MAX_RAW)).unwrap_or(raw);
        let raw = String::from_utf8_lossy(shown).into_owned();
        self.rejected.push(Rejected {
            line,
            reason: storable(reason.into(), MAX_REASON),
            raw: storable(raw, MAX_RAW),
        });
    }
}

/// The text without NUL, which PostgreSQL cannot keep, and of at most so many bytes.
fn storable(mut text: String, most: usize) -> String {
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    text.truncate(text.floor_char_boundary(most));
    text
}

/// How many lines a batch has, blank ones included; a whole CloudTrail file is one, however it is printed.
pub fn lines(format: Format, bytes: &[u8]) -> usize {
    if format == Format::CloudTrail && cloudtrail::is_file(bytes) {
        return 1;
    }
    bytes.split(|byte| *byte == b'\n').count()
}

/// Normalises a whole batch of bytes.
pub fn normalise(format: Format, bytes: &[u8], options: &Options) -> Normalised {
    let mut out = Normalised::default();
    if format == Format::CloudTrail && cloudtrail::is_file(bytes) {
        cloudtrail::file(bytes, &mut out);
        return out;
    }
    let mut sshd = sshd::Reader::new(match (format, options.year) {
        (_, Some(year)) => year,
        (Format::Sshd, None) => first_year(bytes, options.now),
        (_, None) => 0,
    });
    for (index, raw) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        out.lines += 1;
        let text = match readable(raw) {
            Ok(text) => text,
            Err(reason) => {
                out.reject(line, reason, raw);
                continue;
            }
        };
        let result = match format {
            Format::Sshd => sshd.line(text),
            Format::CloudTrail => object(text).and_then(cloudtrail::record).map(|e| vec![e]),
            Format::Ocsf => object(text).and_then(ocsf::event).map(|e| vec![e]),
            Format::Json => object(text)
                .and_then(|o| json::event(o, options))
                .map(|e| vec![e]),
        };
        match result {
            Ok(events) => out.events.extend(events),
            Err(reason) => out.reject(line, reason, raw),
        }
    }
    out
}

/// The year in which a syslog begins that does not say it.
fn first_year(bytes: &[u8], now: Timestamp) -> i32 {
    let line = |raw| Some(syslog::parse(readable(raw).ok()?).ok()?.when);
    let whens: Vec<syslog::When> = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(line)
        .collect();
    syslog::first_year(now, &whens)
}

fn readable(raw: &[u8]) -> Result<&str, String> {
    if raw.len() > MAX_LINE {
        return Err(format!(
            "the line has {} bytes, at most {MAX_LINE} are read",
            raw.len()
        ));
    }
    let text = std::str::from_utf8(raw)
        .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
    if text.contains('\0') {
        return Err("the line holds a NUL byte".to_owned());
    }
    Ok(text)
}

/// A JSON object from a line.
fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => checked(&object).map(|()| object),
        Ok(_) => Err("expected a JSON object".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// Refuses what cannot be stored: NUL in a string or key, nesting beyond [`MAX_DEPTH`].
fn checked(object: &Map<String, Value>) -> Result<(), String> {
    fn walk(value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        match value {
            Value::String(text) if text.contains('\0') => Err("a text holds a NUL".to_owned()),
            Value::Array(items) => items.iter().try_for_each(|item| walk(item, depth + 1)),
            Value::Object(map) => entries(map, depth),
            _ => Ok(()),
        }
    }
    fn entries(map: &Map<String, Value>, depth: usize) -> Result<(), String> {
        map.iter().try_for_each(|(key, item)| {
            if key.contains('\0') {
                return Err("a key holds a NUL".to_owned());
            }
            walk(item, depth + 1)
        })
    }
    entries(object, 0)
}

/// The log source of a stranger's event. It cannot pose as the hub's own, however it is written.
fn foreign(product: &str, service: &str) -> Result<LogSource, String> {
    if product.len() > MAX_NAME || service.len() > MAX_NAME {
        return Err(format!(
            "the name of the product or of the log is longer than {MAX_NAME} bytes"
        ));
    }
    let product = product.trim().to_lowercase().replace(' ', "_");
    let bare = product.chars().filter(|c| c.is_alphanumeric());
    let posing = bare.eq("securityhub".chars());
    let product = if posing {
        "external_security_hub".to_owned()
    } else {
        product
    };
    Ok(LogSource::new(product, service))
}

/// The base attributes that every OCSF event has.
fn base(class: Class, activity: u8, time: Timestamp, source: LogSource) -> Event {
    let mut event = Event {
        time,
        source,
        body: Map::new(),
    };
    event.set("class_uid", class.uid());
    event.set("class_name", class.name());
    event.set("category_uid", class.category_uid());
    event.set("activity_id", activity);
    event.set("type_uid", class.uid() * 100 + u32::from(activity));
    event.set("time", time.unix_millis());
    event.set("severity_id", 1);
    event.set("metadata.version", "1.8.0");
    event.set("metadata.log_provider", event.source.product.clone());
    event.set("metadata.log_name", event.source.service.clone());
    event
}

fn outcome(event: &mut Event, outcome: Outcome) {
    event.set("status_id", outcome.id());
    event.set("status", json!(outcome.name()));
}

#[cfg(test)]
mod tests;
