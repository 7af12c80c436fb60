//! AWS CloudTrail: one record is one API call. The record itself is kept whole under `unmapped`.

use hub_base::Timestamp;
use serde_json::{Map, Value};

use super::{MAX_LINES, Normalised, base, checked, outcome};
use crate::class::{Class, Outcome};
use crate::event::{Event, LogSource};

/// Whether the bytes are one JSON file with `Records`, not a record a line.
pub(crate) fn is_file(bytes: &[u8]) -> bool {
    let head: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take(11)
        .collect();
    head.starts_with(b"{\"Records\":")
}

/// Reads whole files, one after the other. A record that does not parse is rejected under its number.
pub(crate) fn file(bytes: &[u8], out: &mut Normalised) {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    loop {
        let rest = bytes.get(values.byte_offset()..).unwrap_or_default();
        match values.next() {
            None => return,
            Some(Ok(Value::Object(mut file))) if file.contains_key("Records") => {
                match file.remove("Records") {
                    Some(Value::Array(records)) => {
                        for value in records {
                            if out.lines as usize >= MAX_LINES {
                                let reason = format!("only {MAX_LINES} records are read at once");
                                return unread(out, &reason, &[]);
                            }
                            take(value, out);
                        }
                    }
                    _ => unread(out, "`Records` is not a list", rest),
                }
            }
            Some(Ok(value)) => take(value, out),
            Some(Err(error)) => return unread(out, &format!("not JSON: {error}"), rest),
        }
    }
}

fn unread(out: &mut Normalised, reason: &str, raw: &[u8]) {
    out.lines = out.lines.saturating_add(1);
    out.reject(out.lines, reason, raw);
}

fn take(value: Value, out: &mut Normalised) {
    let event = match &value {
        Value::Object(object) => checked(object).and_then(|()| call(object)),
        _ => Err("the record is not an object".to_owned()),
    };
    match event {
        Ok(mut event) => {
            out.lines = out.lines.saturating_add(1);
            event.set("unmapped", value);
            out.events.push(event);
        }
        Err(reason) => {
            let reason = format!("record {}: {reason}", out.lines.saturating_add(1));
            unread(out, &reason, value.to_string().as_bytes());
        }
    }
}

/// One record as an event.
pub(crate) fn record(record: Map<String, Value>) -> Result<Event, String> {
    let mut event = call(&record)?;
    event.set("unmapped", record);
    Ok(event)
}

/// What a record says in OCSF's words.
fn call(record: &Map<String, Value>) -> Result<Event, String> {
    let text = |path: &str| {
        let mut parts = path.split('.');
        let mut value = record.get(parts.next()?)?;
        for part in parts {
            value = value.get(part)?;
        }
        value.as_str()
    };
    let time = text("eventTime").ok_or("`eventTime` is missing or not a text")?;
    let time: Timestamp = time
        .parse()
        .map_err(|_| format!("`eventTime` is `{time}`, not RFC 3339"))?;
    let name = text("eventName").ok_or("`eventName` is missing or not a text")?;
    let service = text("eventSource").ok_or("`eventSource` is missing or not a text")?;
    let login = name == "ConsoleLogin";
    let (class, activity) = if login {
        (Class::Authentication, 1)
    } else {
        (Class::ApiActivity, activity(name, record))
    };
    let mut event = base(class, activity, time, LogSource::new("aws", "cloudtrail"));
    let failed =
        text("errorCode").is_some() || text("responseElements.ConsoleLogin") == Some("Failure");
    outcome(
        &mut event,
        if failed {
            Outcome::Failure
        } else {
            Outcome::Success
        },
    );
    let mut copy = |path: &str, from: Option<&str>| {
        if let Some(value) = from {
            event.set(path, value);
        }
    };
    copy("metadata.uid", text("eventID"));
    copy("metadata.product.name", Some("CloudTrail"));
    copy("metadata.product.vendor_name", Some("AWS"));
    copy("api.operation", Some(name));
    copy("api.service.name", Some(service));
    copy("api.response.error", text("errorCode"));
    copy("api.response.message", text("errorMessage"));
    copy("status_detail", text("errorCode"));
    copy("cloud.region", text("awsRegion"));
    copy("cloud.account.uid", text("recipientAccountId"));
    copy("http_request.user_agent", text("userAgent"));
    copy(
        "actor.user.uid",
        text("userIdentity.arn").or_else(|| text("userIdentity.principalId")),
    );
    // A role's session has no user name of its own; the account's root has none at all.
    let name = text("userIdentity.userName")
        .or_else(|| text("userIdentity.sessionContext.sessionIssuer.userName"))
        .or_else(|| text("userIdentity.invokedBy"))
        .or_else(|| text("userIdentity.type").filter(|kind| *kind == "Root"));
    copy("actor.user.name", name);
    copy("actor.user.type", text("userIdentity.type"));
    copy(
        "actor.user.credential_uid",
        text("userIdentity.accessKeyId"),
    );
    copy(
        "user.name",
        if login {
            text("userIdentity.userName")
        } else {
            None
        },
    );
    match text("sourceIPAddress") {
        Some(address) if address.parse::<std::net::IpAddr>().is_ok() => {
            copy("src_endpoint.ip", Some(address));
        }
        other => copy("src_endpoint.domain", other),
    }
    event.set("cloud.provider", "AWS");
    Ok(event)
}

/// OCSF's API activity: 1 create, 2 read, 3 update, 4 delete, 99 other.
fn activity(name: &str, record: &Map<String, Value>) -> u8 {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if record.get("readOnly") == Some(&Value::Bool(true))
        || begins(&["Get", "List", "Describe", "Head"])
    {
        2
    } else if begins(&["Create", "Run", "Start", "Import"]) {
        1
    } else if begins(&[
        "Put",
        "Update",
        "Modify",
        "Attach",
        "Set",
        "Add",
        "Associate",
    ]) {
        3
    } else if begins(&["Delete", "Remove", "Terminate", "Detach", "Stop"]) {
        4
    } else {
        99
    }
}

#[cfg(test)]
mod tests;
