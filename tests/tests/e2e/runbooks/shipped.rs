//! Each runbook of `operations/runbooks`, every command block of it run in its sandbox.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::tool::binary;

/// Blocks that cannot run here, all runbooks together, at most: each needs a reason, and the list must not grow unseen.
const ELSEWHERE: usize = 12;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../operations/runbooks")
}

fn check(arguments: &[&str]) -> (bool, Value) {
    let output = Command::new(binary())
        .args(["--json", "runbook", "check"])
        .args(arguments)
        .arg("--dir")
        .arg(folder())
        .env("HUB_BIN", hub_testkit::hub::binary().unwrap())
        .output()
        .unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.success(), told)
}

fn rehearse(name: &str) {
    let (good, told) = check(&[name]);
    assert!(good, "{told:#}");
    let blocks = told["runbooks"][0]["rehearsal"]["blocks"]
        .as_array()
        .unwrap();
    assert!(!blocks.is_empty(), "{told:#}");
}

macro_rules! rehearsed {
    ($test:ident, $name:literal) => {
        #[test]
        fn $test() {
            rehearse($name);
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/runbooks.rs"));

#[test]
fn few_blocks_cannot_be_rehearsed() {
    let (good, told) = check(&["--read-only"]);
    assert!(good, "{told:#}");
    let names = told["runbooks"].as_array().unwrap();
    let mut count = 0;
    for name in names.iter().map(|book| book["runbook"].as_str().unwrap()) {
        let text = std::fs::read_to_string(folder().join(format!("{name}.md"))).unwrap();
        count += text.matches("\n**Not in the sandbox:**").count();
    }
    assert!(
        count <= ELSEWHERE,
        "{count} blocks cannot run in the sandbox"
    );
}
