use hub_base::Timestamp;
use serde_json::{Value, json};

use super::super::{Format, MAX_LINES, Normalised, Options, normalise};

fn read(bytes: &str) -> Normalised {
    normalise(
        Format::CloudTrail,
        bytes.as_bytes(),
        &Options::at(Timestamp::from_unix_seconds(1)),
    )
}

fn call(identity: Value, more: Value) -> Value {
    let mut call = json!({"eventTime": "2023-07-10T12:00:24Z", "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser", "sourceIPAddress": "192.0.2.4", "userIdentity": identity});
    call.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    call
}

#[test]
fn files_may_stand_one_after_the_other_and_a_torn_one_loses_only_its_rest() {
    let record = call(json!({}), json!({}));
    let file = json!({"Records": [record, record]}).to_string();
    let out = read(&format!("{file}\n{file}\n{record}"));
    assert_eq!((out.events.len(), out.rejected.len(), out.lines), (5, 0, 5));
    let out = read(&format!("{file}{}", &file[..file.len() - 3]));
    assert_eq!((out.events.len(), out.rejected.len(), out.lines), (2, 1, 3));
    assert!(
        out.rejected[0].reason.starts_with("not JSON"),
        "{:?}",
        out.rejected
    );
    assert!(
        out.rejected[0].raw.starts_with("{\"Records\""),
        "{:?}",
        out.rejected
    );
    let out = read(r#"{"Records": {}}"#);
    assert_eq!(out.rejected[0].reason, "`Records` is not a list");
    assert_eq!(read(r#"{"Records": []}"#).lines, 0);
}

#[test]
fn endless_records_end() {
    let out = read(&format!(
        "{{\"Records\":[{}7]}}",
        "7,".repeat(MAX_LINES + 5)
    ));
    assert_eq!((out.events.len(), out.rejected.len()), (0, MAX_LINES + 1));
    assert!(out.rejected[MAX_LINES].reason.starts_with("only"));
}

#[test]
fn records_at_fault_are_rejected_one_by_one() {
    let good = call(json!({}), json!({}));
    let nul = call(json!({}), json!({"x": "\0"}));
    let early = call(json!({}), json!({"eventTime": "y".repeat(10_000)}));
    let out = read(&json!({"Records": [good, 7, nul, early, good]}).to_string());
    let found: Vec<(u32, &str)> = out
        .rejected
        .iter()
        .map(|r| (r.line, r.reason.as_str()))
        .collect();
    assert_eq!((out.events.len(), out.lines), (2, 5));
    assert_eq!(found[0], (2, "record 2: the record is not an object"));
    assert_eq!(found[1], (3, "record 3: a text holds a NUL"));
    assert!(found[2].1.starts_with("record 4: `eventTime`") && found[2].1.len() <= 512);
}

#[test]
fn who_called_is_named_whatever_kind_they_are() {
    for (identity, name) in [
        (json!({"type": "IAMUser", "userName": "ada"}), Some("ada")),
        (
            json!({"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"userName": "deploy"}}}),
            Some("deploy"),
        ),
        (
            json!({"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}),
            Some("cloudtrail.amazonaws.com"),
        ),
        (
            json!({"type": "Root", "arn": "arn:aws:iam::1:root"}),
            Some("Root"),
        ),
        (json!({"type": "AWSAccount"}), None),
        (json!("odd"), None),
    ] {
        let out = read(&call(identity.clone(), json!({})).to_string());
        assert_eq!(out.events[0].text("actor.user.name"), name, "{identity}");
    }
}

#[test]
fn console_sign_ins_tell_their_outcome() {
    for (result, status) in [("Success", 1), ("Failure", 2)] {
        let more =
            json!({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": result}});
        let record = call(json!({"type": "IAMUser", "userName": "ada"}), more);
        let event = read(&record.to_string()).events.remove(0);
        assert_eq!(
            (event.class_uid(), event.at("status_id")),
            (3002, Some(&json!(status)))
        );
        assert_eq!(event.text("user.name"), Some("ada"));
        assert_eq!(event.at("unmapped"), Some(&record));
    }
}
