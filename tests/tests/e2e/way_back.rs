//! `security-hub migrate --revert`: what it would lose is said, and is in a file first.

use std::process::{Command, Output};

use hub_testkit::TestDb;

fn migrate(db: &TestDb, folder: &std::path::Path, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(hub_testkit::hub::binary().unwrap())
        .arg("migrate")
        .args(arguments)
        .env("DATABASE_URL", &db.url_app)
        .env("HUB_DATABASE_OWNER_URL", &db.url_owner)
        .env("HUB_DATA_DIR", folder)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output, said)
}

#[tokio::test]
async fn a_way_back_that_loses_data_asks_for_a_snapshot() {
    let db = hub_testkit::database().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("before.dump");
    let to = |arguments: &[&str]| migrate(&db, folder.path(), arguments);
    // What people put in since is none of this test's.
    let newer = folder.path().join("newer.dump");
    let (output, said) = to(&["--revert", "8", "--snapshot", newer.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let (output, said) = to(&["--revert", "7"]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("0008_operation_kinds  taken back"), "{said}");

    let (output, said) = to(&["--revert", "6"]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("0007_operations loses data") && said.contains("--snapshot FILE"),
        "{said}"
    );
    let (output, said) = to(&["--plan"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("0007_operations  applied"),
        "nothing was taken back: {said}"
    );

    let (output, said) = to(&["--revert", "6", "--snapshot", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("0007_operations  taken back"), "{said}");
    assert!(std::fs::read(&file).unwrap().starts_with(b"PGDMP"));
    let (output, said) = to(&[]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let (output, said) = to(&["--plan"]);
    assert_eq!(output.status.code(), Some(0), "{said}");
}
