//! One byte of a real hub's exported ledger, changed: the offline verifier names the entry and says no.

use std::path::Path;

use serde_json::Value;

use crate::tool::{hubctl, key};
use crate::world::World;

/// `hubctl ledger verify` of the file, with no hub to ask: its exit code and its report.
async fn verify(file: &Path) -> (Option<i32>, Value) {
    let nowhere = "http://127.0.0.1:1";
    let arguments = ["--json", "ledger", "verify", file.to_str().unwrap()];
    let output = hubctl(nowhere, "none", &arguments).await;
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("no report: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code(), report)
}

/// Where entry `index` lies in the export: its line's first byte, and one past its last.
fn place(export: &[u8], index: usize) -> (usize, usize) {
    let mut start = 0;
    for (number, line) in export.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // The first line is the head.
        if number == index + 1 {
            return (start, start + line.len());
        }
        start += line.len();
    }
    panic!("the export has no entry {index}");
}

#[tokio::test]
async fn one_changed_byte_is_named_with_its_entry_and_ends_in_exit_code_1() {
    let world = World::new().await;
    for number in 0..5 {
        world.person(&format!("person{number}"), &["member"]).await;
    }
    let (_, key) = key(&world, &["ledger.read"]).await;
    let file = world.folder.path().join("ledger.ndjson");
    let path = file.to_str().unwrap();
    let output = hubctl(&world.hub.url, &key, &["ledger", "export", path]).await;
    assert!(output.status.success(), "{output:?}");
    let (code, report) = verify(&file).await;
    assert_eq!(code, Some(0), "{report}");
    let whole = std::fs::read(&file).unwrap();

    let index = 4;
    let (start, end) = place(&whole, index);
    let line = String::from_utf8_lossy(&whole[start..end]).into_owned();
    // Inside the body's text, so that the file stays well-formed: only the hash can tell.
    let at = start + line.find("person").expect("the entry tells of a person");
    let mut forged = whole.clone();
    forged[at] = b'P';
    let differing = whole.iter().zip(&forged).filter(|(a, b)| a != b).count();
    assert_eq!((forged.len(), differing), (whole.len(), 1));
    std::fs::write(&file, &forged).unwrap();

    let (code, report) = verify(&file).await;
    assert_eq!(code, Some(1), "{report}");
    let faults = report["faults"].as_array().unwrap();
    assert!(
        faults.iter().any(|fault| fault["index"] == index),
        "entry {index} is not named: {report}"
    );
    let others = faults
        .iter()
        .filter_map(|fault| fault["index"].as_u64())
        .any(|named| named != index as u64);
    assert!(!others, "an innocent entry is named: {report}");

    // In words, too.
    let output = hubctl("http://127.0.0.1:1", "none", &["ledger", "verify", path]).await;
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(words.contains(&format!("entry {index}:")), "{words}");
}
