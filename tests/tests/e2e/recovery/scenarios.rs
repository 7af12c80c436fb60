//! Every disaster of `content/disasters/`, rehearsed by `hubctl drill --scenario` on an installation of its own.

use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::site::{open, words_of};
use super::{Site, installed};
use crate::tool::binary;

/// `hubctl drill`, from a place where no hub is.
async fn drill(folder: &TempDir, words: &[&str]) -> Output {
    open(folder.path());
    let path = |name: &str| folder.path().join(name);
    let mut command = std::process::Command::new(binary());
    command
        .arg("drill")
        .args(words)
        .arg("--json")
        .env_remove("HUB_TOKEN")
        .env_remove("HUB_URL")
        .arg("--data-dir")
        .arg(path("no-hub-here"))
        .arg("--scratch")
        .arg(path("scratch"))
        .arg("--report")
        .arg(path("reports"))
        .arg("--server")
        .arg(hub_testkit::hub::binary().unwrap());
    std::fs::create_dir_all(path("scratch")).unwrap();
    open(&path("scratch"));
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// Rehearses one, which must meet its objective; what the report says.
async fn rehearsed(name: &str) -> Option<Value> {
    if !installed(name) {
        return None;
    }
    let folder = TempDir::new().unwrap();
    let output = drill(&folder, &["--scenario", name]).await;
    assert!(output.status.success(), "{}", words_of(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = told["reports"][0].clone();
    assert_eq!(report["scenario"], name, "{told}");
    assert_eq!(report["why"], Value::Null, "{report}");
    assert!(
        report["writes"]["acknowledged"].as_u64().unwrap() >= 40,
        "{report}"
    );
    assert!(
        !report["noticed"]["by"].as_str().unwrap().is_empty(),
        "{report}"
    );
    // Nothing is left but the report.
    let scratch = std::fs::read_dir(folder.path().join("scratch")).unwrap();
    assert_eq!(scratch.count(), 0, "{report}");
    let page = told["files"][0].as_str().unwrap();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("**Met.**") && page.contains("| RTO |"),
        "{page}"
    );
    Some(report)
}

/// What was said of a claim.
fn proof(report: &Value, claim: &str) -> String {
    let proven = report["proven"].as_array().unwrap();
    let found = proven.iter().find(|one| one["what"] == claim).unwrap();
    found["said"].as_str().unwrap().to_owned()
}

fn count(report: &Value, what: &str) -> u64 {
    report["writes"][what].as_u64().unwrap()
}

#[tokio::test]
async fn a_table_that_was_dropped() {
    let Some(report) = rehearsed("table-dropped").await else {
        return;
    };
    assert_eq!(count(&report, "lost"), 0, "{report}");
    assert_eq!(report["noticed"]["by"], "sign-in", "{report}");
}

#[tokio::test]
async fn a_database_whose_host_is_lost() {
    let Some(report) = rehearsed("database-host-lost").await else {
        return;
    };
    // While it is gone nobody is told that a write is durable.
    assert!(count(&report, "refused") > 0, "{report}");
    assert_eq!(report["noticed"]["by"], "health", "{report}");
}

#[tokio::test]
async fn pages_that_were_overwritten_under_the_server() {
    let Some(report) = rehearsed("data-directory-corrupted").await else {
        return;
    };
    let noticed = report["noticed"]["said"].as_str().unwrap();
    assert!(noticed.contains("wrong checksum"), "{noticed}");
    assert_eq!(
        (count(&report, "lost"), count(&report, "left_behind")),
        (0, 0),
        "{report}"
    );
}

#[tokio::test]
async fn ransomware_that_reaches_everything_but_what_is_written_once() {
    let Some(report) = rehearsed("ransomware").await else {
        return;
    };
    let damage = report["injected"][0].as_str().unwrap();
    assert!(
        damage.contains("the second repository: 0 files encrypted"),
        "{damage}"
    );
    let kept = proof(&report, "kept_unharmed");
    assert!(
        kept.contains("could be neither written nor removed"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_region_that_is_lost() {
    let Some(report) = rehearsed("region-lost").await else {
        return;
    };
    assert!(count(&report, "refused") > 0, "{report}");
    let restored = report["recovered"][0]["said"].as_str().unwrap();
    assert!(restored.starts_with("latest of "), "{restored}");
}

#[tokio::test]
async fn a_migration_that_takes_away_what_is_in_use() {
    let Some(report) = rehearsed("bad-migration").await else {
        return;
    };
    assert_eq!(count(&report, "lost"), 0, "{report}");
}

#[tokio::test]
async fn a_key_ring_that_is_lost() {
    let Some(report) = rehearsed("key-provider-lost").await else {
        return;
    };
    // No ring of its own making: it would sign over what the lost one signed.
    let damage = report["injected"][0].as_str().unwrap();
    assert!(
        damage.contains("is lost: it signed the ledgers"),
        "{damage}"
    );
    assert_eq!(count(&report, "lost"), 0, "{report}");
}

#[tokio::test]
async fn redis_that_is_lost_refuses_no_write() {
    let Some(report) = rehearsed("redis-lost").await else {
        return;
    };
    assert_eq!(
        (count(&report, "refused"), count(&report, "lost")),
        (0, 0),
        "{report}"
    );
}

#[tokio::test]
async fn a_ledger_that_was_tampered_with() {
    let Some(report) = rehearsed("ledger-tampered").await else {
        return;
    };
    let noticed = report["noticed"]["said"].as_str().unwrap();
    assert!(noticed.starts_with("north: entry 3: "), "{noticed}");
}

/// An objective that nobody meets is missed, ends in exit code 1, and what is left says why.
#[tokio::test]
async fn an_objective_that_is_missed_is_told_to_the_hub_that_was_named() {
    if !installed("an_objective_that_is_missed_is_told_to_the_hub_that_was_named") {
        return;
    }
    let site = Site::new().await;
    let own = site.path("scenarios");
    std::fs::create_dir(&own).unwrap();
    let text = include_str!("../../../../content/disasters/redis-lost.yaml");
    let strict = text.replace("rto: 5m", "rto: 1ms");
    std::fs::write(own.join("redis-lost.yaml"), strict).unwrap();
    let words = ["content", "check", "--disasters", own.to_str().unwrap()];
    let mut check = std::process::Command::new(binary());
    assert!(check.args(words).status().unwrap().success());
    let (scratch, reports) = (site.path("scratch"), site.path("reports"));
    std::fs::create_dir(&scratch).unwrap();
    open(&scratch);
    let server = hub_testkit::hub::binary().unwrap();
    let words = [
        "drill",
        "--scenario",
        "redis-lost",
        "--scenarios",
        own.to_str().unwrap(),
        "--scratch",
        scratch.to_str().unwrap(),
        "--report",
        reports.to_str().unwrap(),
        "--server",
        server.to_str().unwrap(),
    ];
    let before = Site::sql(&site.data(), "select count(*) from ledger_entry");
    let output = site.hubctl(&words).await;
    assert_eq!(output.status.code(), Some(1), "{}", words_of(&output));
    assert!(
        words_of(&output).contains("the objective is missed: RTO"),
        "{}",
        words_of(&output)
    );
    // What failed is kept for whoever wants to know why, and nothing of it runs.
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 1);
    assert!(before.parse::<u64>().unwrap() > 0);
    let operations = site.operator.get("/api/v2/operations").await;
    let told = operations.expect(200).body["items"][0].clone();
    assert_eq!(
        (&told["kind"], &told["outcome"]),
        (&"drill".into(), &"failed".into()),
        "{told}"
    );
    assert_eq!(told["subject"], "scenario redis-lost", "{told}");
    // It rehearsed no restore of this installation's backups: the schedule still waits for one.
    let unknown = site.hubctl(&["drill", "--scenario", "flood"]).await;
    assert!(
        words_of(&unknown).contains("there is no scenario `flood`: there are database-host-lost"),
        "{}",
        words_of(&unknown)
    );
}
