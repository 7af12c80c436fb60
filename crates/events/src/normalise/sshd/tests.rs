use hub_base::Timestamp;
use serde_json::Value;

use super::Reader;
use crate::event::Event;

fn events(lines: &[&str]) -> Vec<Event> {
    let mut reader = Reader::new(2026);
    let read = |message: &&str| {
        reader
            .line(&format!("Nov 20 10:00:00 web sshd[7]: {message}"))
            .unwrap()
    };
    lines.iter().flat_map(read).collect()
}

/// Class, user, source and port of a message, in one line.
fn shown(message: &str) -> String {
    let event = events(&[message]).remove(0);
    let source = event
        .text("src_endpoint.ip")
        .or_else(|| event.text("src_endpoint.hostname"));
    let port = event
        .at("src_endpoint.port")
        .map_or_else(String::new, Value::to_string);
    let user = event.text("user.name").unwrap_or("?");
    format!(
        "{} {user} {} {port}",
        event.class_uid(),
        source.unwrap_or("?")
    )
}

#[test]
fn lines_beside_an_attempt_say_who_and_from_where_and_count_nothing() {
    for (message, expected) in [
        ("Connection closed by 192.0.2.1 [preauth]", "0 ? 192.0.2.1 "),
        (
            "Connection closed by 192.0.2.1 port 5 [preauth]",
            "0 ? 192.0.2.1 5",
        ),
        (
            "Connection closed by authenticating user root 192.0.2.1 port 5 [preauth]",
            "0 root 192.0.2.1 5",
        ),
        (
            "Connection closed by invalid user a b 192.0.2.1 port 5 [preauth]",
            "0 a b 192.0.2.1 5",
        ),
        (
            "Connection reset by invalid user  192.0.2.1 port 5 [preauth]",
            "0  192.0.2.1 5",
        ),
        (
            "Disconnected from user ubuntu 2001:db8::1 port 5",
            "0 ubuntu 2001:db8::1 5",
        ),
        (
            "Received disconnect from 192.0.2.1 port 5:11: Bye Bye [preauth]",
            "0 ? 192.0.2.1 5",
        ),
        (
            "Received disconnect from 192.0.2.1: 11: Bye Bye [preauth]",
            "0 ? 192.0.2.1 ",
        ),
        (
            "Connection from 192.0.2.1 port 5 on 10.0.0.1 port 22",
            "0 ? 192.0.2.1 5",
        ),
        (
            "Did not receive identification string from 192.0.2.1",
            "0 ? 192.0.2.1 ",
        ),
        (
            "Unable to negotiate with 192.0.2.1 port 5: no matching cipher found",
            "0 ? 192.0.2.1 5",
        ),
        (
            "banner exchange: Connection from 192.0.2.1 port 5: invalid format",
            "0 ? 192.0.2.1 5",
        ),
        (
            "error: maximum authentication attempts exceeded for invalid user x from 192.0.2.1 port 5 ssh2 [preauth]",
            "0 x 192.0.2.1 5",
        ),
        (
            "reverse mapping checking getaddrinfo for a.example [192.0.2.1] failed - POSSIBLE BREAK-IN ATTEMPT!",
            "0 ? 192.0.2.1 ",
        ),
        (
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
            "0 root 192.0.2.1 ",
        ),
        (
            "PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1",
            "0 ? 192.0.2.1 ",
        ),
        ("Invalid user x from 192.0.2.1", "0 x 192.0.2.1 "),
        (
            "Disconnecting: Too many authentication failures [preauth]",
            "0 ? ? ",
        ),
        ("input_userauth_request: invalid user x [preauth]", "0 ? ? "),
        ("Accepted nonsense", "0 ? ? "),
    ] {
        assert_eq!(shown(message), expected, "{message}");
    }
}

#[test]
fn sources_may_be_names_and_have_zones() {
    assert_eq!(
        shown("Failed password for root from bad.example port 5 ssh2"),
        "3002 root bad.example 5"
    );
    assert_eq!(
        shown("Accepted password for root from fe80::1%eth0 port 5 ssh2"),
        "3002 root fe80::1 5"
    );
}

#[test]
fn a_user_name_cannot_forge_another_source() {
    let forged = "root from 198.51.100.9 port 1 ssh2";
    for (message, expected) in [
        (format!("Failed password for invalid user {forged} from 192.0.2.1 port 5 ssh2"), format!("3002 {forged} 192.0.2.1 5")),
        (format!("Invalid user {forged} from 192.0.2.1 port 5"), format!("3002 {forged} 192.0.2.1 5")),
        (format!("Connection closed by invalid user {forged} 192.0.2.1 port 5 [preauth]"), format!("0 {forged} 192.0.2.1 5")),
        ("pam_unix(sshd:auth): authentication failure; rhost=192.0.2.1  user=x rhost=198.51.100.9".to_owned(), "0 x rhost=198.51.100.9 192.0.2.1 ".to_owned()),
    ] {
        assert_eq!(shown(&message), expected);
    }
}

#[test]
fn an_attempt_that_newer_servers_tell_twice_counts_once() {
    let attempts = |lines: &[&str]| {
        events(lines)
            .iter()
            .filter(|event| event.class_uid() == 3002)
            .count()
    };
    let invalid = "Invalid user x from 192.0.2.1 port 5";
    let failed = "Failed password for invalid user x from 192.0.2.1 port 5 ssh2";
    assert_eq!(attempts(&[invalid, failed]), 1);
    assert_eq!(attempts(&[invalid, failed, failed, failed]), 3);
    assert_eq!(attempts(&[invalid, invalid]), 2);
    assert_eq!(attempts(&[failed, failed]), 2);
    // Another connection, and a user that exists, are other attempts.
    assert_eq!(attempts(&[invalid, &failed.replace("port 5", "port 6")]), 2);
    assert_eq!(
        attempts(&[invalid, "Failed password for x from 192.0.2.1 port 5 ssh2"]),
        2
    );
    let repeated = format!("message repeated 5 times: [ {failed}]");
    assert_eq!(attempts(&[invalid, failed, &repeated]), 6);
}

#[test]
fn repeats_are_bounded_for_a_batch_and_then_counted() {
    let line = "Nov 20 10:00:00 h sshd[7]: message repeated 90 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]";
    let mut reader = Reader::new(2026);
    let mut made = 0;
    for _ in 0..1000 {
        made += reader.line(line).unwrap().len();
    }
    assert!((10_000..20_000).contains(&made), "{made}");
    let last = reader.line(line).unwrap();
    assert_eq!(
        (last.len(), last[0].at("count").unwrap().as_u64()),
        (1, Some(90))
    );
    let long = line.replace("root", &"r".repeat(200_000));
    let mut reader = Reader::new(2026);
    let copies: usize = (0..50).map(|_| reader.line(&long).unwrap().len()).sum();
    assert!(copies < 200, "{copies}");
}

#[test]
fn other_programs_are_kept_under_their_own_names() {
    let line = "2026-11-20T10:00:00Z web sudo: ubuntu : TTY=pts/0 ; USER=root ; COMMAND=/bin/ls";
    let event = Reader::new(2026).line(line).unwrap().remove(0);
    assert_eq!(
        (event.source.service.as_str(), event.class_uid()),
        ("syslog", 0)
    );
    assert_eq!(event.text("process.name"), Some("sudo"));
    assert_eq!(event.text("raw_data"), Some(line));
    assert_eq!(
        event.time,
        "2026-11-20T10:00:00Z".parse::<Timestamp>().unwrap()
    );
    // A program that only prints an sshd line is not sshd.
    let line = "Nov 20 10:00:00 web logger: Accepted password for root from 192.0.2.1 port 22 ssh2";
    assert_eq!(Reader::new(2026).line(line).unwrap()[0].class_uid(), 0);
}
