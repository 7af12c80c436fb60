use super::*;
use proptest::prelude::*;

fn now() -> Timestamp {
    "2026-11-23T14:00:00Z".parse().unwrap()
}

fn one(format: Format, line: &str) -> Event {
    let mut out = normalise(format, line.as_bytes(), &Options::at(now()));
    assert!(out.rejected.is_empty(), "{:?}", out.rejected);
    out.events.remove(0)
}

fn sshd(message: &str) -> Event {
    one(
        Format::Sshd,
        &format!("Nov 20 10:00:00 host sshd[7]: {message}"),
    )
}

fn reason(format: Format, bytes: &[u8]) -> String {
    let mut out = normalise(format, bytes, &Options::at(now()));
    assert!(out.events.is_empty());
    out.rejected.remove(0).reason
}

#[test]
fn sign_ins_by_ssh() {
    for (message, status, user, address, port) in [
        (
            "Failed password for root from 192.0.2.1 port 22 ssh2",
            2,
            "root",
            "192.0.2.1",
            22,
        ),
        (
            "Failed password for invalid user a b from 192.0.2.1 port 9 ssh2",
            2,
            "a b",
            "192.0.2.1",
            9,
        ),
        (
            "Failed none for invalid user  from 2001:db8::1 port 5 ssh2",
            2,
            "",
            "2001:db8::1",
            5,
        ),
        (
            "Failed password for invalid user x from 10.0.0.1 from 192.0.2.9 port 1 ssh2",
            2,
            "x from 10.0.0.1",
            "192.0.2.9",
            1,
        ),
        (
            "Accepted publickey for ubuntu from 192.0.2.1 port 22 ssh2: RSA SHA256:abc",
            1,
            "ubuntu",
            "192.0.2.1",
            22,
        ),
        (
            "Invalid user pascal from 192.0.2.1 port 53502",
            2,
            "pascal",
            "192.0.2.1",
            53502,
        ),
    ] {
        let event = sshd(message);
        assert_eq!(event.class_uid(), 3002, "{message}");
        assert_eq!(event.at("status_id").unwrap(), status, "{message}");
        assert_eq!(event.text("user.name"), Some(user), "{message}");
        assert_eq!(event.text("src_endpoint.ip"), Some(address), "{message}");
        assert_eq!(event.at("src_endpoint.port").unwrap(), port, "{message}");
    }
}

#[test]
fn other_lines_stay_as_plain_events() {
    for message in [
        "Server listening on 0.0.0.0 port 22.",
        "Connection closed by 192.0.2.1 port 1 [preauth]",
        "Invalid user x from 192.0.2.1",
    ] {
        let event = sshd(message);
        assert_eq!(event.class_uid(), 0, "{message}");
        assert_eq!(event.text("message"), Some(message));
    }
}

#[test]
fn a_repeated_message_is_as_many_events() {
    let line = "Nov 20 10:00:00 h sshd[7]: message repeated 5 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]";
    let out = normalise(Format::Sshd, line.as_bytes(), &Options::at(now()));
    assert_eq!(out.events.len(), 5);
    let endless = line.replace("repeated 5", "repeated 4000000000");
    assert_eq!(
        normalise(Format::Sshd, endless.as_bytes(), &Options::at(now()))
            .events
            .len(),
        100
    );
}

#[test]
fn a_log_without_a_year_is_not_of_the_future_and_turns_with_the_year() {
    let log = "Dec 31 23:59:59 h sshd[1]: a\nJan  1 00:00:01 h sshd[1]: b\n";
    let out = normalise(Format::Sshd, log.as_bytes(), &Options::at(now()));
    let years: Vec<i32> = out
        .events
        .iter()
        .map(|e| e.time.to_offset().year())
        .collect();
    assert_eq!(years, [2025, 2026]);
    let options = Options {
        year: Some(2017),
        ..Options::at(now())
    };
    assert_eq!(
        normalise(Format::Sshd, log.as_bytes(), &options).events[0]
            .time
            .to_offset()
            .year(),
        2017
    );
}

#[test]
fn cloudtrail_calls_and_console_logins() {
    let call = r#"{"eventTime":"2023-07-10T12:00:24Z","eventSource":"s3.amazonaws.com","eventName":"GetBucketTagging",
        "userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/x","userName":"x"},"sourceIPAddress":"192.0.2.4","errorCode":"AccessDenied","eventID":"e-1"}"#.replace('\n', "");
    let event = one(Format::CloudTrail, &call);
    assert_eq!(
        (event.class_uid(), event.at("status_id").unwrap().as_u64()),
        (6003, Some(2))
    );
    assert_eq!(event.text("metadata.uid"), Some("e-1"));
    assert_eq!(event.text("unmapped.eventName"), Some("GetBucketTagging"));
    let file = format!("{{\n \"Records\": [{call}, 7, {{}}]}}");
    let out = normalise(Format::CloudTrail, file.as_bytes(), &Options::at(now()));
    assert_eq!((out.events.len(), out.rejected.len(), out.lines), (1, 2, 3));
}

#[test]
fn faults_name_their_place() {
    for (format, bytes, what) in [
        (
            Format::Ocsf,
            br#"{"class_uid":3002}"#.as_slice(),
            "`activity_id` is missing",
        ),
        (
            Format::Ocsf,
            br#"{"class_uid":"x","activity_id":1}"#,
            "`class_uid` is not a whole number",
        ),
        (Format::Ocsf, b"[1]", "expected a JSON object"),
        (Format::Json, b"{", "not JSON"),
        (Format::Json, br#"{"a":"\u0000"}"#, "NUL"),
        (Format::Sshd, b"hello", "no time"),
        (Format::Sshd, b"Nov 31 10:00:00 h sshd[1]: x", "no such day"),
        (Format::Sshd, b"\xff\xfe", "byte 1 is not UTF-8"),
        (Format::CloudTrail, br#"{"eventTime":7}"#, "`eventTime`"),
    ] {
        let found = reason(format, bytes);
        assert!(found.contains(what), "{found}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(60), "]".repeat(60));
    assert!(reason(Format::Json, deep.as_bytes()).contains("deeper"));
    assert!(reason(Format::Json, &vec![b'x'; MAX_LINE + 1]).contains("at most"));
}

#[test]
fn a_foreign_event_cannot_pose_as_the_hubs_own() {
    let line = r#"{"class_uid":3002,"activity_id":1,"severity_id":1,"time":1,"metadata":{"log_provider":"security_hub","log_name":"auth"}}"#;
    assert_eq!(
        one(Format::Ocsf, line).source.product,
        "external_security_hub"
    );
}

#[test]
fn json_times_by_their_size() {
    for time in [
        "\"2001-09-09T01:46:40Z\"",
        "1000000000",
        "1000000000000",
        "1000000000000000",
        "\"1000000000\"",
        "\"1000000000.5\"",
    ] {
        let event = one(Format::Json, &format!("{{\"ts\":{time},\"msg\":\"m\"}}"));
        assert_eq!(event.time.unix_seconds(), 1_000_000_000, "{time}");
    }
    assert_eq!(one(Format::Json, "{\"x\":1}").time, now());
}

fn any_format() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

proptest! {
    #[test]
    fn any_bytes_are_normalised_and_every_line_is_accounted_for(format in any_format(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let out = normalise(format, &bytes, &Options::at(now()));
        let told = out.events.len() + out.rejected.len();
        prop_assert!(told == out.lines as usize || (format == Format::Sshd && told > out.lines as usize));
        prop_assert!(out.rejected.iter().all(|r| r.raw.len() <= MAX_RAW));
    }

    #[test]
    fn a_sign_in_reads_back_as_it_was_written(user in "[a-z0-9._ -]{1,20}", ip in any::<std::net::IpAddr>(), port in 1_u16..) {
        let event = sshd(&format!("Failed password for invalid user {user} from {ip} port {port} ssh2"));
        prop_assert_eq!(event.text("user.name"), Some(user.as_str()));
        let address = ip.to_string();
        prop_assert_eq!(event.text("src_endpoint.ip"), Some(address.as_str()));
        prop_assert_eq!(event.at("src_endpoint.port").unwrap().as_u64(), Some(u64::from(port)));
    }
}

#[test]
fn what_is_kept_of_a_bad_line_is_bounded_and_has_no_nul() {
    let mut bytes = vec![b'x'; MAX_RAW + 7];
    bytes[3] = 0;
    let out = normalise(Format::Json, &bytes, &Options::at(now()));
    let kept = &out.rejected[0];
    assert!(
        kept.raw.len() <= MAX_RAW && !kept.raw.contains('\0'),
        "{}",
        kept.raw.len()
    );
    assert!(reason(Format::Json, br#"{"\u0000":1}"#).contains("a key holds a NUL"));
    assert_eq!(lines(Format::Json, b"a\n\nb"), 3);
    assert_eq!(lines(Format::CloudTrail, b"{\n\"Records\":\n[]}"), 1);
}

#[test]
fn a_given_source_names_plain_json_but_not_as_the_hub() {
    let read = |product: &str| {
        let options = Options {
            source: Some(LogSource::new(product, "access")),
            ..Options::at(now())
        };
        normalise(Format::Json, b"{}", &options)
            .events
            .remove(0)
            .source
    };
    assert_eq!(read("nginx"), LogSource::new("nginx", "access"));
    assert_eq!(read("security_hub").product, "external_security_hub");
}

/// Real logs, if they are there: nothing is lost, nothing is rejected.
#[test]
fn real_logs_are_read_whole() {
    let root = std::env::var_os("HUB_SHARED_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        std::path::PathBuf::from,
    );
    let Ok(log) = std::fs::read(root.join("sshd/auth.log")) else {
        eprintln!("SKIPPED: real_logs_are_read_whole: no ../shared/data");
        return;
    };
    let options = Options {
        year: Some(2017),
        ..Options::at(now())
    };
    let out = normalise(Format::Sshd, &log, &options);
    assert_eq!((out.lines, out.rejected.len()), (7121, 0));
    let accepted = out
        .events
        .iter()
        .filter(|e| e.class_uid() == 3002 && e.at("status_id").unwrap() == 1)
        .count();
    assert_eq!(accepted, 226);
    let mut records = 0;
    for entry in std::fs::read_dir(root.join("cloudtrail/CloudTrail")).unwrap() {
        let out = normalise(
            Format::CloudTrail,
            &std::fs::read(entry.unwrap().path()).unwrap(),
            &options,
        );
        assert!(out.rejected.is_empty(), "{:?}", out.rejected);
        records += out.events.len();
    }
    assert_eq!(records, 2900);
}
