//! The tool as a whole: what it prints, and how it ends.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A small export that a real hub wrote.
const EXPORT: &str = include_str!("ledger.ndjson");

/// Runs the tool with nothing of the surroundings' credentials.
fn hubctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubctl"));
    command
        .args(arguments)
        .env_remove("HUB_URL")
        .env_remove("HUB_TOKEN");
    command
}

fn ends(mut command: Command, code: i32, told: &[&str]) -> Output {
    let output = command.output().unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    for words in told {
        assert!(
            text.contains(words),
            "{command:?}: `{words}` is not in: {text}"
        );
    }
    output
}

fn verify(text: &str, code: i32, told: &[&str]) -> Output {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    ends(hubctl(&["ledger", "verify", path]), code, told)
}

#[test]
fn an_export_verifies_without_a_hub() {
    verify(EXPORT, 0, &["whole and signed"]);
}

/// Every entry, one byte of its text each.
#[test]
fn one_changed_byte_is_named() {
    for (index, line) in EXPORT.lines().skip(1).enumerate() {
        let changed = line.replacen("category_uid", "catXgory_uid", 1);
        assert_ne!(line, changed);
        let copy = EXPORT.replace(line, &changed);
        verify(&copy, 1, &[&format!("entry {index}: ")]);
    }
}

#[test]
fn a_missing_entry_is_found() {
    let lines: Vec<&str> = EXPORT.lines().collect();
    verify(&(lines[..lines.len() - 1].join("\n") + "\n"), 1, &[]);
}

#[test]
fn each_trouble_has_its_code_and_says_what_to_do() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nowhere = format!("http://{free}");
    let cases: [(&[&str], i32, &[&str]); 6] = [
        (
            &["--url", &nowhere, "health"],
            4,
            &["does not answer", "security-hub serve"],
        ),
        (
            &["ledger", "verify", "/nonexistent/export"],
            2,
            &["cannot read /nonexistent/export"],
        ),
        (
            &["emulate", "run"],
            3,
            &["no credential", "HUB_TOKEN", "--token-file"],
        ),
        (&["incident", "show"], 2, &["<ID>"]),
        (&["ingest", "--format", "papyrus", "x"], 2, &["papyrus"]),
        (
            &["--token-file", "/nonexistent/token", "ledger", "head"],
            2,
            &["/nonexistent/token"],
        ),
    ];
    for (arguments, code, told) in cases {
        ends(hubctl(arguments), code, told);
    }
}

#[test]
fn the_built_in_content_is_sound() {
    ends(hubctl(&["content", "check"]), 0, &["all sound"]);
}

#[test]
fn a_scenario_of_ones_own_begins_with_the_example() {
    let folder = tempfile::tempdir().unwrap();
    let example = hubctl(&["emulate", "example"]).output().unwrap();
    let text = String::from_utf8(example.stdout).unwrap();
    let check = |name: &str, text: &str, code, told: &[&str]| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        ends(
            hubctl(&["emulate", "check", file.to_str().unwrap()]),
            code,
            told,
        );
    };
    check("good.yaml", &text, 0, &["8 attacks, sound"]);
    let bad = text.replace("octet: 20", "octet: twenty");
    let line = 1 + bad
        .lines()
        .position(|line| line.contains("octet: twenty"))
        .unwrap();
    let place = format!("bad.yaml, line {line}, column");
    check("bad.yaml", &bad, 2, &[&place]);
}

#[test]
fn json_is_one_document() {
    for arguments in [
        ["--json", "content", "check"],
        ["--json", "emulate", "schema"],
    ] {
        let output = ends(hubctl(&arguments), 0, &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}

/// `hubctl … | head -1` is nobody's fault.
#[test]
fn a_reader_who_leaves_is_no_error() {
    let mut child = hubctl(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_fixture_holds_no_secret() {
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it/ledger.ndjson")
            .is_file()
    );
    for secret in ["shk_", "shr_", "she_", "$argon2"] {
        assert!(!EXPORT.contains(secret));
    }
}
