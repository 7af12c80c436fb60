//! The nightly backup of a host with the compose file: who hears that it failed, and whether systemd takes its units.

use std::process::Command;

use super::root;
use super::scripts::{free_port, get, run, runnable, started, until};

/// The compose file's nightly backup: what fails is a page, by a real Alertmanager; what goes well tells nobody.
#[test]
fn a_hosts_backup_that_fails_pages_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let settings = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
    std::fs::write(at("alertmanager.yml"), settings).unwrap();
    let port = free_port();
    let _alertmanager = started(
        Command::new("prometheus-alertmanager")
            .arg(format!(
                "--config.file={}",
                at("alertmanager.yml").display()
            ))
            .arg(format!("--storage.path={}", at("silences").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address="),
        port,
    );
    // What runs in the containers runs here: Alertmanager's own tool, and a pgBackRest that can be told to fail.
    let stands_in = format!(
        r#"#!/usr/bin/env bash
service=$3
shift 3
case $service in
  alertmanager) exec "${{@/9093/{port}}}" ;;
  postgres) case "$*" in *"$FAILS"*) exit 1 ;; esac ;;
esac
"#
    );
    runnable(&at("compose"), &stands_in);
    let backup = |fails: &str| {
        let mut command = Command::new(root().join("infrastructure/docker/backup.sh"));
        command
            .arg("full")
            .env("COMPOSE", at("compose"))
            .env("FAILS", fails);
        run(&mut command)
    };
    let told = || get(port, "/api/v2/alerts").unwrap();
    let (good, said) = backup("nothing of this");
    assert!(good && !told().contains("BackupFailed"), "{said}");
    for (fails, why) in [
        ("pgbackrest check", "the log is not archived"),
        ("--type=full backup", "no base backup was made"),
    ] {
        let (good, said) = backup(fails);
        assert!(!good && said.contains(why), "{said}");
        until("the alert", || told().contains(why));
        let told = told();
        assert!(
            told.contains("BackupFailed") && told.contains(r#""severity":"page""#),
            "{told}"
        );
    }
}

/// systemd takes the timer's units, with the script where this repository has it.
#[test]
fn systemd_takes_the_units_of_the_hosts_backup() {
    let folder = tempfile::tempdir().unwrap();
    let docker = root().join("infrastructure/docker");
    let docker = docker.canonicalize().unwrap();
    let verify = |change: &dyn Fn(String) -> String| {
        let mut units = Vec::new();
        for kind in ["service", "timer"] {
            let text = std::fs::read_to_string(docker.join(format!("backup.{kind}"))).unwrap();
            let here = text.replace(
                "/opt/security-hub/infrastructure/docker",
                &docker.display().to_string(),
            );
            let unit = folder.path().join(format!("security-hub-backup.{kind}"));
            std::fs::write(&unit, change(here)).unwrap();
            units.push(unit);
        }
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(units)
            .output()
    };
    let Ok(good) = verify(&|text| text) else {
        eprintln!(
            "SKIPPED: systemd_takes_the_units_of_the_hosts_backup: systemd-analyze is not installed"
        );
        return;
    };
    let said = String::from_utf8(good.stderr).unwrap();
    assert!(good.status.success(), "{said}");
    let bad = verify(&|text| text.replace("/backup.sh", "/back-up.sh")).unwrap();
    assert!(!bad.status.success());
}
