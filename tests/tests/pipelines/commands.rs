//! What the pipelines ask of `hubctl` exists, and the deploy files that are shipped for them are read.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{GITLAB, JENKINS, WORKFLOWS, read, root};

#[test]
fn every_hubctl_command_exists() {
    let mut texts = vec![read("Makefile")];
    for folder in [
        "scripts/pipeline",
        "scripts/ci",
        "infrastructure/scripts/deployment",
    ] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    texts.extend([read(GITLAB), read(JENKINS)]);
    texts.extend(WORKFLOWS.map(|name| read(&format!(".github/workflows/{name}.yml"))));
    let mut calls: BTreeSet<String> = BTreeSet::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let code = line.trim_start();
        if code.starts_with(['#', '/']) || line.contains("##") {
            continue;
        }
        let Some((before, rest)) = line.split_once("hubctl ") else {
            continue;
        };
        // A path or a package's name, not a call.
        if before.ends_with(['/', '-']) || before.ends_with("-p ") {
            continue;
        }
        let words = rest
            .split_whitespace()
            .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()));
        calls.insert(words.collect::<Vec<_>>().join(" "));
    }
    assert!(calls.len() >= 5, "{calls:?}");
    let hubctl = hubctl();
    for call in calls.iter().filter(|call| !call.is_empty()) {
        let help = Command::new(&hubctl)
            .args(call.split(' '))
            .arg("--help")
            .output()
            .unwrap();
        assert!(help.status.success(), "`hubctl {call}` does not exist");
    }
}

fn hubctl() -> PathBuf {
    if let Some(path) = std::env::var_os("HUBCTL_BIN") {
        return path.into();
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "hubctl"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(built.status.success());
    let text = String::from_utf8(built.stdout).unwrap();
    let path = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["executable"].as_str().map(PathBuf::from))
        .next_back();
    path.expect("cargo built no hubctl")
}

#[test]
fn the_shipped_deploy_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let hubctl = hubctl();
    let key = |name: &str| {
        let path = folder.path().join(format!("{name}.key"));
        let made = Command::new(&hubctl)
            .args(["release", "key"])
            .arg(path)
            .args(["--named", name])
            .output();
        String::from_utf8(made.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    for name in ["staging", "production"] {
        let text = read(&format!("infrastructure/deploy/{name}.example.toml"));
        let read_it = |text: &str| {
            let path = folder.path().join("deploy.toml");
            std::fs::write(
                &path,
                text.replace(
                    "/var/lib/security-hub-deploy",
                    &folder.path().display().to_string(),
                ),
            )
            .unwrap();
            let told = Command::new(&hubctl)
                .arg("status")
                .env("HUB_DEPLOY_CONFIG", path)
                .env("KUBECONFIG", folder.path().join("none"))
                .env_remove("KUBERNETES_SERVICE_HOST")
                .output()
                .unwrap();
            String::from_utf8(told.stderr).unwrap()
        };
        let filled = text
            .replace("<key that seals releases>", &key("releases"))
            .replace("<key of ada>", &key("ada"))
            .replace("<key of ben>", &key("ben"));
        assert!(!filled.contains('<'), "{filled}");
        // It gets as far as the cluster, or the token for it, which are not there.
        let said = read_it(&filled);
        let is_read = said.contains("metrics-token") || said.contains("the cluster:");
        assert!(is_read, "{name}: {said}");
        let broken = read_it(&filled.replace("bake =", "baek ="));
        assert!(broken.contains("baek"), "{broken}");
    }
}
