//! What is told of a run without what nobody else may know, and without what a database or a terminal would stumble over. It knows
//! the marks of secrets, not secrets: one that looks like any other word is not found.

use super::journal::{Ended, Line, What as Event};
use hub_base::plain;

/// Beginnings of secrets that our own programs print; what follows one is left out of what is told.
const SECRETS: &[&str] = &["shk_", "shr_", "shp_", "she_", "AGE-SECRET-KEY-", "eyJ"];
/// What stands for one.
const MARK: &str = "[a secret]";
/// Characters of one text that are told of a line.
const MOST: usize = 2000;

/// Without our secrets, passwords in addresses, and NUL, which no database keeps.
pub(super) fn scrubbed(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    for secret in SECRETS {
        while let Some(at) = text.find(secret) {
            let rest = text.get(at..).unwrap_or_default();
            let end = at + rest.find(ends).unwrap_or(rest.len());
            text.replace_range(at..end, MARK);
        }
    }
    without_passwords(&text)
}

const fn ends(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '"' | '\'' | ',')
}

/// Of `scheme://user:password@host` the password goes. Rather too much of an address than too little.
fn without_passwords(text: &str) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        done.push_str(before);
        done.push_str("://");
        // A password may hold what ends a word elsewhere: the address goes to the last @ before a blank.
        let blank = after.find(char::is_whitespace).unwrap_or(after.len());
        let (word, _) = after.split_at(blank);
        let host = word.rfind('@').unwrap_or(0);
        let behind = word.get(host..).unwrap_or_default();
        let end = host + behind.find(ends).unwrap_or(behind.len());
        let (address, behind) = after.split_at(end);
        rest = behind;
        let split = { address.rsplit_once('@') }
            .and_then(|(account, host)| Some((account.split_once(':')?, host)));
        match split {
            Some(((user, _), host)) => done.extend([user, ":", MARK, "@", host]),
            None => done.push_str(address),
        }
    }
    done.push_str(rest);
    done
}

/// A text as others may see it: without our secrets and passwords in addresses, of at most so many characters as are told.
pub fn short(text: &str) -> String {
    scrubbed(text).chars().take(MOST).collect()
}

/// A line as others may see it.
pub(super) fn line(line: &Line) -> Line {
    Line {
        at: line.at,
        by: plain(&short(&line.by)),
        what: event(&line.what),
    }
}

fn event(what: &Event) -> Event {
    match what {
        Event::Begun {
            id,
            runbook,
            sha256,
            folder,
            incident,
        } => Event::Begun {
            id: *id,
            runbook: short(runbook),
            sha256: sha256.clone(),
            folder: short(&folder.to_string_lossy()).into(),
            incident: incident.as_deref().map(short),
        },
        Event::Ended(ended) => Event::Ended(Ended {
            said: short(&ended.said),
            ..ended.clone()
        }),
        Event::Handed { to } => Event::Handed { to: short(to) },
        Event::Given { name, value } => Event::Given {
            name: short(name),
            value: given(value),
        },
        Event::Noted { text, console } => Event::Noted {
            text: short(text),
            console: *console,
        },
        Event::WentBack { why } => Event::WentBack { why: short(why) },
        Event::Closed { outcome, why } => Event::Closed {
            outcome: short(outcome),
            why: why.as_deref().map(short),
        },
        Event::Resumed | Event::Started { .. } | Event::Overdue => what.clone(),
    }
}

/// Of a value in which there was a secret nothing is told.
fn given(value: &str) -> String {
    if scrubbed(value) == value {
        short(value)
    } else {
        MARK.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_passwords_in_addresses_are_not_told() {
        for (text, wanted) in [
            ("nothing", "nothing"),
            (
                "key shr_abc, and \"shp_x\"",
                "key [a secret], and \"[a secret]\"",
            ),
            ("AGE-SECRET-KEY-1Q shk_a", "[a secret] [a secret]"),
            (
                "psql postgres://hub:p@ss@db/hub?x=1 and amqp://a:b@c",
                "psql postgres://hub:[a secret]@db/hub?x=1 and amqp://a:[a secret]@c",
            ),
            (
                "see https://hub.example:8443/x://y",
                "see https://hub.example:8443/x://y",
            ),
            (
                "https://ben@hub.example a:b@c",
                "https://ben@hub.example a:b@c",
            ),
            (
                "\"postgres://hub:a,b'c@db\", then",
                "\"postgres://hub:[a secret]@db\", then",
            ),
            ("a\0b", "a\u{fffd}b"),
        ] {
            assert_eq!(scrubbed(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_key_that_was_pasted_at_a_question_is_not_told() {
        let told = |value: &str| {
            let (name, value) = ("TOKEN".to_owned(), value.to_owned());
            match event(&Event::Given { name, value }) {
                Event::Given { value, .. } => value,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(told("/run/token"), "/run/token");
        assert_eq!(told("file shk_abc"), "[a secret]");
        assert_eq!(told("https://u:p@h"), "[a secret]");
        assert_eq!(told("\0"), "[a secret]");
        let long = Event::WentBack {
            why: "ä".repeat(9000),
        };
        let Event::WentBack { why } = event(&long) else {
            panic!("another event");
        };
        assert_eq!(why.chars().count(), MOST);
    }
}
