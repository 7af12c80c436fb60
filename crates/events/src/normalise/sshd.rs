//! OpenSSH's daemon: who tried to get in, from where, and whether it worked.

use hub_base::Timestamp;
use serde_json::json;

use super::syslog::{self, Years};
use super::{Options, base, outcome};
use crate::class::{Class, Outcome};
use crate::event::{Event, LogSource};

/// Copies made of one `message repeated N times` line at most.
const MAX_REPEATS: u32 = 100;

/// Reads a log's lines in order (the year depends on the lines before).
#[derive(Debug)]
pub struct Reader {
    years: Years,
}

impl Reader {
    pub fn new(options: &Options) -> Self {
        Self {
            years: Years::new(options.now, options.year),
        }
    }

    /// The events of one line; the reason if it is no syslog line. A repeated message gives as many events.
    ///
    /// # Errors
    /// Why the line is not understood.
    pub fn line(&mut self, text: &str) -> Result<Vec<Event>, String> {
        let line = syslog::parse(text)?;
        let time = self.years.resolve(line.when)?;
        let (repeats, message) = repeated(line.message);
        let event = event(&line, message, time, text);
        Ok(vec![event; repeats as usize])
    }
}

/// How often the message stands for, and the message: `message repeated 5 times: [ Failed password …]`.
fn repeated(message: &str) -> (u32, &str) {
    let inner = message.strip_prefix("message repeated ").and_then(|rest| {
        let (count, rest) = rest.split_once(" times: [")?;
        let count: u32 = count.parse().ok()?;
        Some((count.clamp(1, MAX_REPEATS), rest.strip_suffix(']')?.trim()))
    });
    inner.unwrap_or((1, message))
}

/// What a message says of a sign-in.
#[derive(Debug, PartialEq, Eq)]
struct SignIn<'a> {
    outcome: Outcome,
    user: &'a str,
    address: &'a str,
    port: Option<u16>,
    method: Option<&'a str>,
    known_user: bool,
}

fn event(line: &syslog::Line<'_>, message: &str, time: Timestamp, raw: &str) -> Event {
    let is_sshd = matches!(line.program, "sshd" | "sshd-session" | "sshd-auth");
    let service = if is_sshd { "sshd" } else { "syslog" };
    let source = LogSource::new("linux", service);
    let sign_in = if is_sshd { sign_in(message) } else { None };
    let mut event = match &sign_in {
        Some(_) => base(Class::Authentication, 1, time, source),
        None => base(Class::Base, 99, time, source),
    };
    event.set("message", message);
    event.set("raw_data", raw);
    event.set("device.hostname", line.host);
    event.set("dst_endpoint.hostname", line.host);
    event.set("process.name", line.program);
    if let Some(pid) = line.pid {
        event.set("process.pid", pid);
    }
    let Some(sign_in) = sign_in else { return event };
    outcome(&mut event, sign_in.outcome);
    event.set("user.name", sign_in.user);
    event.set("src_endpoint.ip", sign_in.address);
    event.set("service.name", "sshd");
    if let Some(port) = sign_in.port {
        event.set("src_endpoint.port", port);
    }
    if let Some(method) = sign_in.method {
        event.set("auth_protocol", method);
    }
    if sign_in.outcome == Outcome::Failure {
        let detail = if sign_in.known_user {
            "invalid_credentials"
        } else {
            "invalid_user"
        };
        event.set("status_detail", json!(detail));
    }
    event
}

/// A sign-in in an sshd message. Only lines that state one attempt count: `Invalid user` and `Connection closed` lines
/// beside a `Failed password` line of the same attempt would count it twice, so they stand alone as plain events,
/// except `Invalid user` in logs that show no further line of the attempt (`Failed none`).
fn sign_in(message: &str) -> Option<SignIn<'_>> {
    for (prefix, result) in [
        ("Accepted ", Outcome::Success),
        ("Failed ", Outcome::Failure),
    ] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let (method, rest) = rest.split_once(" for ")?;
            let (known_user, rest) = match rest.strip_prefix("invalid user ") {
                Some(rest) => (false, rest),
                None => (true, rest),
            };
            let (user, address, port) = origin(rest)?;
            return Some(SignIn {
                outcome: result,
                user,
                address,
                port,
                method: Some(method),
                known_user,
            });
        }
    }
    if let Some(rest) = message.strip_prefix("Invalid user ") {
        let (user, address, port) = origin(rest)?;
        // With a port: newer sshd, which may log no `Failed` line for it.
        port?;
        let outcome = Outcome::Failure;
        return Some(SignIn {
            outcome,
            user,
            address,
            port,
            method: None,
            known_user: false,
        });
    }
    None
}

/// `NAME from ADDRESS[ port N][…]`. A name may hold anything, even ` from `: the last one counts.
fn origin(text: &str) -> Option<(&str, &str, Option<u16>)> {
    let (user, rest) = text
        .rsplit_once(" from ")
        .or_else(|| text.strip_prefix("from ").map(|rest| ("", rest)))?;
    let mut words = rest.split(' ');
    let address = words.next()?;
    address.parse::<std::net::IpAddr>().ok()?;
    let port = match words.next() {
        Some("port") => words.next().and_then(|port| port.parse().ok()),
        _ => None,
    };
    Some((user, address, port))
}
