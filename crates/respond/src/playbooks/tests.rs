use hub_base::{Clock, ManualClock, Timestamp};

use super::*;
use crate::testing::finding;

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_seconds(1_000))
}

/// The playbooks that answer a finding of `rule`, `techniques` and `severity`.
fn answers(rule: &str, techniques: &[&str], severity: Severity) -> Vec<String> {
    let mut found = finding(rule, "user:ada", &[], &clock());
    found.techniques = techniques.iter().map(ToString::to_string).collect();
    found.severity = severity;
    let playbooks = Playbooks::built_in().unwrap();
    playbooks
        .matching(&found)
        .into_iter()
        .map(|p| p.name.clone())
        .collect()
}

#[test]
fn the_built_in_playbooks_parse_and_none_is_left_out() {
    let playbooks = Playbooks::built_in().unwrap();
    assert_eq!(playbooks.iter().count(), BUILT_IN.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/playbooks");
    let files = read_folder(&folder).unwrap();
    assert_eq!(
        files.len(),
        BUILT_IN.len(),
        "every file of content/playbooks is embedded"
    );
}

#[test]
fn the_best_knowing_playbook_answers() {
    let high = Severity::High;
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("any", &["T1110.003"], &["password-spray"]),
        ("any", &["T1110.001"], &["brute-force"]),
        ("any", &["T1110.004"], &["credential-stuffing"]),
        (
            "hub-credential-stuffing-success",
            &["T1110.004"],
            &["credential-stuffing-success"],
        ),
        ("any", &["T1078"], &["account-takeover"]),
        ("any", &["T1078.004", "T1548"], &["privilege-escalation"]),
        ("any", &["T1550"], &["session-replay"]),
        ("any", &["T1550.004"], &["session-replay"]),
        ("any", &["T1530"], &["api-key-abuse"]),
        ("any", &["T1098"], &["account-manipulation"]),
        ("any", &["T1000"], &["default"]),
        ("any", &[], &["default"]),
    ];
    for (rule, techniques, expected) in cases {
        assert_eq!(
            answers(rule, techniques, high),
            *expected,
            "{rule} {techniques:?}"
        );
    }
    assert!(answers("any", &[], Severity::Informational).is_empty());
}

#[test]
fn a_victim_of_guessing_is_never_locked() {
    for technique in ["T1110.001", "T1110.003", "T1110.004"] {
        for playbook in Playbooks::built_in().unwrap().iter() {
            if playbook.trigger.techniques.iter().any(|t| t == technique) {
                let locks = playbook.steps.iter().any(|s| s.action == Kind::LockAccount);
                assert!(!locks, "{} locks accounts on {technique}", playbook.name);
            }
        }
    }
}

#[test]
fn steps_find_their_targets() {
    let mut found = finding(
        "r",
        "user:u",
        &["user:u", "address:192.0.2.1", "api_key:k", "session:s"],
        &clock(),
    );
    found.severity = Severity::Medium;
    let check = |action: Kind, target: Target, when: When, expected: &[&str]| {
        let step = Step {
            action,
            target,
            ttl: None,
            when,
        };
        let values: Vec<&str> = step
            .targets(&found)
            .iter()
            .map(|e| e.value.as_str())
            .collect();
        assert_eq!(values, expected, "{action:?} {target:?}");
    };
    let always = When::default;
    check(
        Kind::BlockAddress,
        Target::Address,
        always(),
        &["192.0.2.1"],
    );
    check(Kind::LockAccount, Target::User, always(), &["u"]);
    check(Kind::LockAccount, Target::Primary, always(), &["u"]);
    check(Kind::BlockAddress, Target::Primary, always(), &[]);
    check(Kind::RevokeApiKey, Target::CreatedApiKey, always(), &["k"]);
    check(Kind::EndSessions, Target::Session, always(), &["s"]);
    check(Kind::Notify, Target::Incident, always(), &[]);
    let severe = When {
        severity: Some(Severity::High),
        ..When::default()
    };
    check(Kind::LockAccount, Target::User, severe, &[]);
    let of_address = When {
        primary: Some(EntityKind::Address),
        ..When::default()
    };
    check(Kind::LockAccount, Target::User, of_address, &[]);
}

#[test]
fn every_fault_is_told_with_its_place() {
    let bad = "name: Bad Name
title: A bad one
colour: red
trigger:
  techniques:
    - T1110.003
    - spray
  severity: huge
steps:
  - action: block_address
    ttl: fast
  - action: lock_account
    target: address
  - target: user
  - action: notify
    ttl: 4h
    when:
      moon: full
";
    let worse = "name: worse\ntitle: [\n";
    let faults = Playbooks::parse([("bad.yaml", bad), ("worse.yaml", worse)]).unwrap_err();
    let shown: Vec<String> = faults
        .0
        .iter()
        .map(|f| format!("{}:{}:{}", f.file, f.line, f.column))
        .collect();
    let expected = [
        "bad.yaml:1:1",  // name
        "bad.yaml:3:1",  // colour
        "bad.yaml:7:5",  // spray
        "bad.yaml:8:3",  // severity
        "bad.yaml:9:1",  // contains without evidence
        "bad.yaml:11:5", // ttl: fast
        "bad.yaml:13:5", // target: address
        "bad.yaml:14:3", // no action
        "bad.yaml:16:5", // notify with a ttl
        "bad.yaml:18:7", // moon
    ];
    assert_eq!(shown[..expected.len()], expected, "{faults}");
    assert!(shown[expected.len()].starts_with("worse.yaml:"), "{faults}");
    assert!(
        faults
            .to_string()
            .contains("bad.yaml:3:1: unknown key `colour`"),
        "{faults}"
    );
}

#[test]
fn two_files_cannot_hold_one_playbook() {
    let text = BUILT_IN
        .iter()
        .find(|(name, _)| *name == "default.yaml")
        .unwrap()
        .1;
    let faults = Playbooks::parse([("a.yaml", text), ("b.yaml", text)]).unwrap_err();
    assert_eq!(faults.0.len(), 1);
}

#[test]
fn a_folder_replaces_and_joins() {
    let folder = tempfile::tempdir().unwrap();
    let mine = "name: default\ntitle: Mine\ntrigger: {severity: low}\nsteps:\n  - action: notify\n";
    std::fs::write(folder.path().join("mine.yaml"), mine).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not a playbook").unwrap();
    let playbooks = Playbooks::load(Some(folder.path())).unwrap();
    assert_eq!(playbooks.iter().count(), BUILT_IN.len());
    assert!(playbooks.iter().any(|p| p.title == "Mine"));
    assert!(matches!(
        Playbooks::load(Some(&folder.path().join("absent"))),
        Err(Error::PlaybookFolder { .. })
    ));
}

#[test]
fn the_schema_knows_what_the_reader_knows() {
    let schema = schema().to_string();
    for kind in Kind::ALL {
        assert!(schema.contains(kind.name()), "{}", kind.name());
    }
    assert!(clock().now() > Timestamp::from_unix_seconds(0));
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,200}|(name|title|trigger|steps|- action|  ttl|#|:|\n| ){0,40}") {
        if let Err(faults) = Playbooks::parse([("x.yaml", text.as_str())]) {
            for fault in faults.0 {
                proptest::prop_assert!(fault.line >= 1 && fault.column >= 1);
            }
        }
    }
}
