//! The three pipelines do the same things in the same order, and only things that exist; no workflow may more than it needs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot read the pipelines fails"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&read(path)).unwrap()
}

const WORKFLOWS: [&str; 4] = ["ci", "cd-staging", "cd-production", "security-scan"];

fn workflow(name: &str) -> Value {
    yaml(&format!(".github/workflows/{name}.yml"))
}

/// The make verbs that a text calls, in order.
fn verbs(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || "\"';".contains(c))
        .scan(false, |after_make, word| {
            let is_verb = *after_make;
            *after_make = word == "make";
            Some(is_verb.then(|| word.to_owned()))
        })
        .flatten()
        .collect()
}

/// What a workflow's jobs call, job by job in the order of the file.
fn called(workflow: &Value) -> Vec<String> {
    let jobs = workflow["jobs"].as_object().unwrap();
    let steps = jobs
        .values()
        .flat_map(|job| job["steps"].as_array().cloned().unwrap_or_default());
    steps
        .flat_map(|step| verbs(step["run"].as_str().unwrap_or("")))
        .collect()
}

fn gitlab(jobs: &[&str]) -> Vec<String> {
    let all = yaml("infrastructure/ci-cd/gitlab-ci/.gitlab-ci.yml");
    let lines = jobs.iter().flat_map(|job| {
        ["script", "after_script"]
            .map(|part| all[*job][part].as_array().cloned().unwrap_or_default())
    });
    lines
        .flatten()
        .flat_map(|line| verbs(line.as_str().unwrap()))
        .collect()
}

/// The Jenkinsfile's stages: name, verbs.
fn jenkins(stages: &[&str]) -> Vec<String> {
    let text = read("infrastructure/ci-cd/jenkins/Jenkinsfile");
    let mut found = Vec::new();
    for part in text.split("stage('").skip(1) {
        let (name, body) = part.split_once('\'').unwrap();
        if stages.contains(&name) {
            found.extend(verbs(body));
        }
    }
    found
}

#[test]
fn the_three_do_the_same_in_the_same_order() {
    let building = called(&workflow("ci"));
    assert!(building.len() > 10, "{building:?}");
    assert_eq!(
        building,
        gitlab(&["test", "supply", "infrastructure", "build-image"])
    );
    assert_eq!(
        building,
        jenkins(&["test", "supply", "infrastructure", "image"])
    );
    let production = called(&workflow("cd-production"));
    assert_eq!(production, called(&workflow("cd-staging")));
    assert_eq!(production, gitlab(&[".deploy"]));
    assert_eq!(production, jenkins(&["deploy"]));
    let order = [
        "release",
        "plan",
        "deploy",
        "smoke",
        "performance",
        "watch",
        "rollback",
        "record",
    ];
    assert_eq!(production, order);
}

#[test]
fn every_verb_and_every_command_exists() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let mut wanted: BTreeSet<String> = WORKFLOWS
        .iter()
        .flat_map(|name| called(&workflow(name)))
        .collect();
    wanted.extend(gitlab(&["dast"]));
    for verb in &wanted {
        assert!(
            targets.contains(verb.as_str()),
            "`make {verb}` does not exist"
        );
    }
    // What the verbs call of hubctl.
    let scripts = ["scripts/pipeline", "infrastructure/scripts/deployment"];
    let mut calls: BTreeSet<String> = BTreeSet::new();
    let mut texts = vec![makefile];
    for folder in scripts {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    for line in texts.iter().flat_map(|text| text.lines()) {
        let Some((_, rest)) = line
            .split_once("hubctl ")
            .filter(|_| !line.trim_start().starts_with('#') && !line.contains("##"))
        else {
            continue;
        };
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
        .args([
            "build",
            "--quiet",
            "--locked",
            "-p",
            "hubctl",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(built.status.success());
    let text = String::from_utf8(built.stdout).unwrap();
    let path = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let path = path
        .filter_map(|line| line["executable"].as_str().map(PathBuf::from))
        .next_back();
    path.expect("cargo built no hubctl")
}

#[test]
fn no_workflow_may_more_than_it_needs() {
    for name in WORKFLOWS {
        let text = read(&format!(".github/workflows/{name}.yml"));
        let parsed = workflow(name);
        // YAML 1.1 reads `on` as true; whichever, nothing runs foreign code with our rights.
        assert!(!text.contains("pull_request_target"), "{name}");
        assert_eq!(
            parsed["permissions"],
            serde_json::json!({}),
            "{name}: rights belong to jobs"
        );
        for (job, body) in parsed["jobs"].as_object().unwrap() {
            let rights = body["permissions"]
                .as_object()
                .unwrap_or_else(|| panic!("{name}.{job}: no permissions"));
            assert!(
                rights
                    .values()
                    .all(|right| right == "read" || right == "write"),
                "{name}.{job}"
            );
            assert!(
                body["timeout-minutes"].is_u64(),
                "{name}.{job}: no time limit"
            );
            for step in body["steps"].as_array().unwrap() {
                if let Some(action) = step["uses"].as_str() {
                    let (_, commit) = action.split_once('@').unwrap();
                    let is_commit =
                        commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
                    assert!(is_commit, "{name}.{job}: {action} is not pinned by commit");
                }
                // What stands in ${{ }} is pasted into the shell; it belongs into the environment.
                let run = step["run"].as_str().unwrap_or("");
                assert!(!run.contains("${{"), "{name}.{job}: {run}");
            }
        }
        assert!(
            !text.contains("AWS_SECRET_ACCESS_KEY"),
            "{name}: the cloud is reached by OIDC"
        );
    }
    for name in ["cd-staging", "cd-production"] {
        let parsed = workflow(name);
        assert_eq!(parsed["concurrency"]["cancel-in-progress"], false, "{name}");
        assert!(
            parsed["jobs"]["deploy"]["environment"].is_string(),
            "{name}"
        );
    }
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
