//! Days on which a repository is full, locked, lags, or a clock is wrong; and what a legal hold keeps.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::site::{Site, words_of};
use super::{first_backup, installed};
use crate::disk_full::Disk;
use crate::tool::{binary, patiently};

#[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
fn skipped(test: &str, why: &str) {
    println!("SKIPPED: {test}: {why}");
}

fn labels(list: &Value, repository: u8) -> Vec<String> {
    let all = list["backups"].as_array().unwrap().iter();
    let here = all.filter(|one| one["repository"] == repository);
    here.map(|one| one["label"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_full_repository_and_a_wrong_passphrase_are_named_and_the_other_repository_has_the_backup()
 {
    const TEST: &str = "a_full_repository_and_a_wrong_passphrase_are_named_and_the_other_repository_has_the_backup";
    if !installed(TEST) {
        return;
    }
    let Some(disk) = Disk::new(100) else {
        skipped(TEST, "this user may not mount a small tmpfs");
        return;
    };
    let site = Site::new().await;
    let (config, near) = (site.path("backup.toml"), site.path("near"));
    let passphrase = site.path("near.pass");
    std::fs::write(&passphrase, "the one that it was made with").unwrap();
    let text = format!(
        "patience = \"1s\"\n[[repository]]\npath = \"{}\"\n[[repository]]\npath = \"{}\"\npassphrase_file = \"{}\"\n",
        disk.path().join("repository").display(),
        near.display(),
        passphrase.display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let key = site.path("recovery.key").display().to_string();
    let run = ["backup", "run", "--config", config];
    let first = [&run[..], &["--recovery-key", &key]].concat();
    site.done(&first).await;
    let ballast = disk.fill();
    site.refused(&run, "make room in the repository").await;
    let list = site.json(&["backup", "list", "--config", config]).await;
    assert_eq!(
        (labels(&list, 1).len(), labels(&list, 2).len()),
        (1, 2),
        "{list}"
    );
    std::fs::remove_file(ballast).unwrap();
    site.done(&run).await;
    let list = site.json(&["backup", "list", "--config", config]).await;
    assert_eq!(
        (labels(&list, 1).len(), labels(&list, 2).len()),
        (2, 3),
        "{list}"
    );

    std::fs::write(&passphrase, "another one, just as long").unwrap();
    site.refused(&run, "repository 2: ").await;
    site.refused(&run, "is it the right passphrase?").await;
    let into = site.path("locked");
    let words = [
        "restore",
        "--into",
        into.to_str().unwrap(),
        "--config",
        config,
    ];
    // The first one opens: that is what two are for.
    site.done(&words).await;
    std::fs::write(&passphrase, "the one that it was made with").unwrap();
    site.done(&run).await;
}

#[tokio::test]
async fn a_repository_that_lacks_a_segment_lags_and_that_is_an_incident() {
    if !installed("a_repository_that_lacks_a_segment_lags_and_that_is_an_incident") {
        return;
    }
    let site = Site::new().await;
    let (config, near) = (site.path("backup.toml"), site.path("near"));
    let text = format!(
        "[[repository]]\npath = \"{}\"\nlag = \"1s\"\n",
        near.display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let key = site.path("recovery.key").display().to_string();
    site.done(&["backup", "run", "--config", config, "--recovery-key", &key])
        .await;
    site.person("after").await;
    site.archived().await;
    site.done(&["backup", "schedule", "--config", config]).await;
    let newest = newest_segment(&near.join("archive/hub"));
    std::fs::remove_file(&newest).unwrap();
    let words = ["backup", "schedule", "--config", config];
    let said = patiently("the alarm", || async {
        let output = site.hubctl(&words).await;
        (output.status.code() == Some(1)).then(|| words_of(&output))
    })
    .await;
    assert!(said.contains("repository 1 lags: "), "{said}");
    let list = site.json(&["backup", "list", "--config", config]).await;
    let lag = &list["repositories"][0];
    assert_eq!(
        (&lag["segments"], &lag["is_late"]),
        (&json!(1), &json!(true)),
        "{list}"
    );
    assert!(lag["bytes"].as_u64().unwrap() > 16 << 20, "{list}");
    let incident = patiently("the incident", || async {
        let incidents = site.operator.get("/api/v2/incidents").await.body;
        incidents["items"].as_array()?.first().cloned()
    })
    .await;
    assert!(
        incident["title"]
            .as_str()
            .unwrap()
            .contains("failed: backup"),
        "{incident}"
    );
}

fn newest_segment(folder: &Path) -> PathBuf {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|end| end == "zst") => all.push(path),
                _ => {}
            }
        }
    }
    all.into_iter().max().unwrap()
}

#[tokio::test]
async fn what_is_held_is_never_pruned() {
    if !installed("what_is_held_is_never_pruned") {
        return;
    }
    let site = Site::new().await;
    first_backup(&site).await;
    for _ in 0..2 {
        site.done(&["backup", "run", "--type", "full"]).await;
    }
    let hold = json!({"covers": "*", "reason": "case 7"});
    let hold = site.operator.post("/api/v2/holds", hold).await;
    let hold = hold.expect(201).text("id").to_owned();
    site.done(&["backup", "run", "--type", "full"]).await;
    let all = labels(&site.json(&["backup", "list"]).await, 1);
    assert_eq!(all.len(), 4);
    let config = site.path("keep.toml");
    let text = format!(
        "[keep]\nnewest = 1\ndaily = 0\nweekly = 0\nmonthly = 0\nhold = [\"{}\"]\n",
        all[0]
    );
    std::fs::write(&config, text).unwrap();
    let prune = ["backup", "prune", "--config", config.to_str().unwrap()];
    // The first is held by the policy, the last is the newest; the others were made before the hold.
    let told = site.json(&prune).await;
    let both = json!([[1, all[1]], [1, all[2]]]);
    assert_eq!(
        (&told["gone"], &told["held"]),
        (&json!([]), &both),
        "{told}"
    );
    assert_eq!(told["holds"], json!(["case 7"]));
    assert_eq!(labels(&site.json(&["backup", "list"]).await, 1), all);

    let release = format!("/api/v2/holds/{hold}/release");
    let settled = json!({"reason": "settled"});
    let released = site.operator.post(&release, settled).await;
    assert!((200..300).contains(&released.status), "{}", released.status);
    let told = site.json(&prune).await;
    assert_eq!(
        (&told["gone"], &told["held"]),
        (&both, &json!([])),
        "{told}"
    );
    let left = [all[0].clone(), all[3].clone()];
    assert_eq!(labels(&site.json(&["backup", "list"]).await, 1), left);
    site.done(&["backup", "verify"]).await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_hides_nothing() {
    const TEST: &str = "a_clock_that_is_wrong_hides_nothing";
    if !installed(TEST) {
        return;
    }
    let site = Site::new().await;
    first_backup(&site).await;
    let Some(library) = faketime() else {
        skipped(
            TEST,
            "faketime is not installed (scripts/bootstrap.sh test)",
        );
        return;
    };
    // Seen from a clock that is three days behind, the backup was made in three days: it must not count until then.
    let behind = async |shift: &str| {
        let mut command = Command::new(binary());
        command
            .args(["backup", "schedule", "--data-dir"])
            .arg(site.data())
            .env("LD_PRELOAD", &library)
            .env("FAKETIME", shift)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    };
    let output = behind("-3d").await;
    let said = words_of(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a clock was ahead when "), "{said}");
    assert!(
        said.contains("missed: no full, no differential, no incremental"),
        "{said}"
    );
    // And from one that is three days ahead it is an old one: an alarm too many is better than one too few.
    let output = behind("+3d").await;
    let said = words_of(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("missed: no differential, no incremental"),
        "{said}"
    );
    site.done(&["backup", "schedule"]).await;
}

/// The library that lends a program another clock.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let libraries = folders.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    libraries.into_iter().find(|path| path.exists())
}

/// A host that has nothing but a newer PostgreSQL: the backup's own version is asked for before anything is written.
#[tokio::test]
async fn a_newer_postgresql_is_refused_before_anything_is_copied() {
    const TEST: &str = "a_newer_postgresql_is_refused_before_anything_is_copied";
    if !installed(TEST) {
        return;
    }
    let site = Site::new().await;
    let key = first_backup(&site).await;
    let version = std::fs::read_to_string(site.data().join("postgres/data/PG_VERSION")).unwrap();
    let newer = version.trim().parse::<u32>().unwrap() + 1;
    let programs = site.path(&format!("host/{newer}/bin"));
    std::fs::create_dir_all(&programs).unwrap();
    for name in ["postgres", "initdb", "pg_ctl"] {
        let script = format!("#!/bin/sh\necho '{name} (PostgreSQL) {newer}.1'\n");
        std::fs::write(programs.join(name), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(programs.join(name), mode).unwrap();
    }
    let into = site.path("newer");
    let script = "mount --bind \"$1\" /usr/lib/postgresql || exit 77; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(site.path("host"))
        .arg(binary())
        .args(["restore", "--recovery-key", &key, "--repository"])
        .arg(site.data().join("backup/repository"))
        .arg("--into")
        .arg(&into);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap();
    let Ok(output) = output else {
        return skipped(TEST, "there is no unshare here");
    };
    let said = words_of(&output);
    if output.status.code() == Some(77) || said.contains("unshare failed") {
        return skipped(TEST, "this user may not have mounts of its own");
    }
    assert!(!output.status.success(), "{said}");
    let wanted = format!(
        "install `postgresql-{}`, restore, and go over to a newer one",
        version.trim()
    );
    assert!(said.contains(&wanted), "{said}");
    assert!(!into.join("postgres/data/PG_VERSION").exists());
}
