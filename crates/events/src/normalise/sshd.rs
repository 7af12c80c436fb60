//! OpenSSH's daemon: who tried to get in, from where, and whether it worked.

use std::collections::HashMap;
use std::net::IpAddr;

use hub_base::Timestamp;
use serde_json::json;

use super::syslog::{self, Years};
use super::{base, outcome};
use crate::class::{Class, Outcome};
use crate::event::{Event, LogSource};

/// Copies made of one `message repeated N times` line at most; the rest is its event's `count`.
const MAX_REPEATS: u32 = 100;
/// What the copies of all such lines of a batch may take, in bytes: a short line must not become much memory.
const COPIES: usize = 32 << 20;
/// What an event takes beside its texts, about, in bytes.
const EVENT: usize = 2048;
/// Connections whose `Invalid user` line is remembered.
const MAX_OPEN: usize = 10_000;

/// Reads a log's lines in order (the year depends on the lines before).
#[derive(Debug)]
pub struct Reader {
    years: Years,
    /// What is left of [`COPIES`].
    copies: usize,
    /// The port of each process that said `Invalid user` and not yet `Failed` for it.
    open: HashMap<u32, u16>,
}

impl Reader {
    /// A reader of a log whose first line is of that year.
    pub fn new(first_year: i32) -> Self {
        Self {
            years: Years::from(first_year),
            copies: COPIES,
            open: HashMap::new(),
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
        let is_sshd = matches!(line.program, "sshd" | "sshd-session" | "sshd-auth");
        let mut said = if is_sshd {
            read(message)
        } else {
            Said::default()
        };
        let counted = self.is_counted(line.pid, &said);
        if counted && repeats == 1 {
            said.attempt = None;
        }
        let mut event = event(&line, message, time, text, is_sshd, &said);
        let cost = EVENT + 2 * text.len();
        let more = (self.copies / cost).min(MAX_REPEATS.min(repeats).saturating_sub(1) as usize);
        self.copies -= more * cost;
        if more == 0 && repeats > 1 {
            // OCSF's own word for it, where the copies end.
            event.set("count", repeats);
        }
        Ok(vec![event; 1 + more])
    }

    /// Whether the line tells an attempt that an `Invalid user` line of the same connection told just before: newer
    /// servers write both.
    fn is_counted(&mut self, pid: Option<u32>, said: &Said<'_>) -> bool {
        let (Some(pid), Some(port), Some(attempt)) = (pid, said.port, &said.attempt) else {
            return false;
        };
        if attempt.method.is_none() {
            if self.open.len() < MAX_OPEN {
                self.open.insert(pid, port);
            }
            return false;
        }
        self.open.remove(&pid) == Some(port) && !attempt.known_user
    }
}

/// How often the message stands for, and the message: `message repeated 5 times: [ Failed password …]`.
fn repeated(message: &str) -> (u32, &str) {
    let inner = message.strip_prefix("message repeated ").and_then(|rest| {
        let (count, rest) = rest.split_once(" times: [")?;
        Some((count.parse().ok()?, rest.strip_suffix(']')?.trim()))
    });
    inner.unwrap_or((1, message))
}

/// What a message says of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said<'a> {
    user: Option<&'a str>,
    /// An address, or a name where the server looked it up.
    source: Option<&'a str>,
    port: Option<u16>,
    attempt: Option<Attempt<'a>>,
}

/// What a message says of an attempt to sign in.
#[derive(Debug, PartialEq, Eq)]
struct Attempt<'a> {
    outcome: Outcome,
    method: Option<&'a str>,
    known_user: bool,
}

fn event(
    line: &syslog::Line<'_>,
    message: &str,
    time: Timestamp,
    raw: &str,
    is_sshd: bool,
    said: &Said<'_>,
) -> Event {
    let source = LogSource::new("linux", if is_sshd { "sshd" } else { "syslog" });
    let (class, activity) = match said.attempt {
        Some(_) => (Class::Authentication, 1),
        None => (Class::Base, 99),
    };
    let mut event = base(class, activity, time, source);
    event.set("message", message);
    event.set("raw_data", raw);
    event.set("device.hostname", line.host);
    event.set("dst_endpoint.hostname", line.host);
    event.set(
        "metadata.product.name",
        if is_sshd { "OpenSSH" } else { "syslog" },
    );
    if !line.program.is_empty() {
        event.set("process.name", line.program);
    }
    if let Some(pid) = line.pid {
        event.set("process.pid", pid);
    }
    if let Some(user) = said.user {
        event.set("user.name", user);
    }
    if let Some(source) = said.source {
        let (path, source) = endpoint(source);
        event.set(path, source);
    }
    if let Some(port) = said.port {
        event.set("src_endpoint.port", port);
    }
    let Some(attempt) = &said.attempt else {
        return event;
    };
    outcome(&mut event, attempt.outcome);
    event.set("service.name", "sshd");
    if let Some(method) = attempt.method {
        event.set("auth_protocol", method);
    }
    if attempt.outcome == Outcome::Failure {
        let detail = if attempt.known_user {
            "invalid_credentials"
        } else {
            "invalid_user"
        };
        event.set("status_detail", json!(detail));
    }
    event
}

/// Where a source belongs: an address (without its zone) or a name.
fn endpoint(source: &str) -> (&'static str, &str) {
    let address = source
        .split_once('%')
        .map_or(source, |(address, _zone)| address);
    if address.parse::<IpAddr>().is_ok() {
        ("src_endpoint.ip", address)
    } else {
        ("src_endpoint.hostname", source)
    }
}

/// What an sshd message says. Only lines that state one attempt are attempts: `Connection closed`, `Disconnecting` and
/// PAM's own lines beside a `Failed password` line of the same attempt would count it twice, so they stand as plain
/// events that carry who and from where.
fn read(message: &str) -> Said<'_> {
    attempt(message)
        .or_else(|| by_pam(message))
        .or_else(|| of_connection(message))
        .unwrap_or_default()
}

fn attempt(message: &str) -> Option<Said<'_>> {
    for (prefix, outcome) in [
        ("Accepted ", Outcome::Success),
        ("Failed ", Outcome::Failure),
    ] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let (method, rest) = rest.split_once(" for ")?;
            let (known_user, rest) = match rest.strip_prefix("invalid user ") {
                Some(rest) => (false, rest),
                None => (true, rest),
            };
            let attempt = Attempt {
                outcome,
                method: Some(method),
                known_user,
            };
            return Some(Said {
                attempt: Some(attempt),
                ..origin(rest)?
            });
        }
    }
    let said = origin(message.strip_prefix("Invalid user ")?)?;
    // Without a port: older sshd, which says `Failed` of every such attempt as well.
    let attempt = Attempt {
        outcome: Outcome::Failure,
        method: None,
        known_user: false,
    };
    Some(Said {
        attempt: said.port.map(|_| attempt),
        ..said
    })
}

/// `NAME from SOURCE[ port N][…]`. A name may hold anything, even ` from `: the last one counts.
fn origin(text: &str) -> Option<Said<'_>> {
    let (user, rest) = text
        .rsplit_once(" from ")
        .or_else(|| text.strip_prefix("from ").map(|rest| ("", rest)))?;
    let said = source(rest)?;
    Some(Said {
        user: Some(user),
        ..said
    })
}

/// `SOURCE[ port N][…]`.
fn source(text: &str) -> Option<Said<'_>> {
    let mut words = text.split(' ');
    let source = words.next().filter(|word| !word.is_empty())?;
    let port = match words.next() {
        Some("port") => words.next().and_then(|port| {
            let digits = port.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        }),
        _ => None,
    };
    Some(Said {
        source: Some(source),
        port,
        ..Said::default()
    })
}

/// `pam_unix(sshd:auth): authentication failure; … rhost=SOURCE  user=NAME`, `PAM 5 more authentication failures; …`.
fn by_pam(message: &str) -> Option<Said<'_>> {
    if !message.starts_with("pam_") && !message.starts_with("PAM ") {
        return None;
    }
    // PAM writes `rhost` before `user`, whose text is the stranger's: the first one counts.
    let (_, rest) = message.split_once(" rhost=")?;
    let said = source(rest)?;
    let user = rest.split_once(" user=").map(|(_, user)| user.trim_end());
    Some(Said { user, ..said })
}

/// Lines about a connection as such. Their source must be an address: the words around it are not ours.
fn of_connection(message: &str) -> Option<Said<'_>> {
    const BEFORE_PEER: [&str; 9] = [
        "Connection closed by ",
        "Connection reset by ",
        "Received disconnect from ",
        "Disconnected from ",
        "Disconnecting ",
        "Connection from ",
        "Unable to negotiate with ",
        "Did not receive identification string from ",
        "reverse mapping checking getaddrinfo for ",
    ];
    let rest = BEFORE_PEER
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix));
    let said = match rest {
        Some(rest) => peer(rest)?,
        None => stated(message)?,
    };
    let is_address = |source: &str| endpoint(source).0 == "src_endpoint.ip";
    said.source.is_some_and(is_address).then_some(said)
}

/// `… exceeded for [invalid user ]NAME from SOURCE port N`, or any text that ends in `from SOURCE[ port N]`.
fn stated(message: &str) -> Option<Said<'_>> {
    if let Some((_, rest)) = message.split_once(" exceeded for ") {
        return origin(rest.strip_prefix("invalid user ").unwrap_or(rest));
    }
    let said = origin(message)?;
    Some(Said { user: None, ..said })
}

/// `[user NAME ]SOURCE[ port N][…]`, or a name with its address in brackets.
fn peer(text: &str) -> Option<Said<'_>> {
    if let Some((_, rest)) = text.split_once(" [").filter(|_| !text.contains(" port ")) {
        let (address, _) = rest.split_once(']')?;
        if address != "preauth" {
            return source(address);
        }
    }
    let named = ["authenticating user ", "invalid user ", "user "]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    let Some(rest) = named else {
        let said = source(text)?;
        return Some(Said {
            source: said.source.map(|word| word.trim_end_matches(':')),
            ..said
        });
    };
    let (before, _) = rest.rsplit_once(" port ")?;
    let (user, _) = before.rsplit_once(' ').unwrap_or_default();
    let from = source(rest.get(user.len()..)?.trim_start())?;
    Some(Said {
        user: Some(user),
        ..from
    })
}

#[cfg(test)]
mod tests;
