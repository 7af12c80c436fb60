//! The three pipelines do the same things in the same order, and only things that exist; no job may do more than it needs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot read the pipelines fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

#[path = "pipelines/chain.rs"]
mod chain;
#[path = "pipelines/commands.rs"]
mod commands;
#[path = "pipelines/gates.rs"]
mod gates;
#[path = "pipelines/host.rs"]
mod host;
#[path = "pipelines/keys.rs"]
mod keys;
#[path = "pipelines/probes.rs"]
mod probes;
#[path = "pipelines/scripts.rs"]
mod scripts;

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
const GITLAB: &str = "infrastructure/ci-cd/gitlab-ci/.gitlab-ci.yml";
const JENKINS: &str = "infrastructure/ci-cd/jenkins/Jenkinsfile";

fn workflow(name: &str) -> Value {
    yaml(&format!(".github/workflows/{name}.yml"))
}

/// The steps in a text, in order: make verbs, and calls of scripts with their word.
fn steps(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = text
        .split(|c: char| c.is_whitespace() || "\"';".contains(c))
        .peekable();
    while let Some(word) = words.next() {
        if word == "make" {
            found.extend(words.next().map(str::to_owned));
        } else if word.starts_with("scripts/") {
            let argument = words
                .next_if(|next| !next.is_empty() && next.chars().all(|c| c.is_ascii_lowercase()));
            found.push([word, argument.unwrap_or("")].join(" ").trim().to_owned());
        }
    }
    found
}

/// What a workflow's jobs do, job by job in the order of the file.
fn github(name: &str) -> Vec<String> {
    let parsed = workflow(name);
    let jobs = parsed["jobs"].as_object().unwrap();
    jobs.values()
        .flat_map(|job| job["steps"].as_array().cloned().unwrap_or_default())
        .flat_map(|step| steps(step["run"].as_str().unwrap_or("")))
        .collect()
}

fn gitlab(jobs: &[&str]) -> Vec<String> {
    let all = yaml(GITLAB);
    let lines = jobs.iter().flat_map(|job| {
        assert!(all[*job].is_object(), "GitLab has no job {job}");
        ["script", "after_script"]
            .map(|part| all[*job][part].as_array().cloned().unwrap_or_default())
    });
    lines
        .flatten()
        .flat_map(|line| steps(line.as_str().unwrap()))
        .collect()
}

/// The Jenkinsfile's stages in the order of the file: name, and text up to the next one. What the whole pipeline does at its end
/// counts as the last, `told`.
fn stages(text: &str) -> Vec<(String, String)> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code
        .join("\n")
        .replace("\n    post {", "\n    stage('told') {");
    let parts = code.split("stage('").skip(1);
    parts
        .map(|part| part.split_once('\'').unwrap())
        .map(|(name, body)| (name.to_owned(), body.to_owned()))
        .collect()
}

fn jenkins(names: &[&str]) -> Vec<String> {
    let stages = stages(&read(JENKINS));
    names
        .iter()
        .flat_map(|name| {
            let found = stages.iter().find(|(stage, _)| stage == name);
            steps(
                &found
                    .unwrap_or_else(|| panic!("Jenkins has no stage {name}"))
                    .1,
            )
        })
        .collect()
}

#[test]
fn the_three_do_the_same_in_the_same_order() {
    let building = github("ci");
    let order = [
        "check",
        "test",
        "coverage",
        "audit",
        "scan",
        "sbom",
        "verify-pipelines",
        "verify-terraform",
        "verify-kubernetes",
        "verify-patroni",
        "image",
        "verify-image",
        "scripts/ci/images.sh save",
        "scripts/ci/images.sh scan",
        "scripts/ci/images.sh load",
        "push",
        "scripts/ci/sign.sh",
        "told",
    ];
    assert_eq!(building, order);
    let jobs = |image| ["test", "supply", "infrastructure", image, "publish", "told"];
    assert_eq!(building, gitlab(&jobs("build-image")));
    assert_eq!(building, jenkins(&jobs("image")));

    let production = github("cd-production");
    let order = [
        "release",
        "plan",
        "deploy",
        "smoke",
        "performance",
        "watch",
        "rollback",
        "undo",
        "record",
    ];
    assert_eq!(production, [&order[..], &["told"]].concat());
    assert_eq!(production, gitlab(&[".validate", ".deploy", "told"]));
    assert_eq!(
        production,
        jenkins(&["validate", "deploy", "after", "told"])
    );
    // Staging says what it bore; production asks (`make release`).
    let staging = [&order[..], &["scripts/ci/bore.sh", "told"]].concat();
    assert_eq!(github("cd-staging"), staging);
    assert_eq!(gitlab(&["bore-staging"]), ["scripts/ci/bore.sh"]);
    assert_eq!(jenkins(&["bore"]), ["scripts/ci/bore.sh"]);

    let scans = github("security-scan");
    assert!(scans.len() > 6, "{scans:?}");
    let jobs = ["scan", "release", "dast", "told"];
    assert_eq!(scans, gitlab(&jobs));
    assert_eq!(scans, jenkins(&jobs));
    // Every proof of infrastructure/ is run by a pipeline, and by `make verify`.
    let makefile = read("Makefile");
    let all = makefile
        .lines()
        .find_map(|line| line.strip_prefix("verify: "));
    let all: BTreeSet<&str> = all
        .unwrap()
        .split(" ##")
        .next()
        .unwrap()
        .split(' ')
        .collect();
    let verbs = makefile.lines().filter_map(|line| line.split_once(": "));
    for (verb, _) in verbs.filter(|(verb, _)| verb.starts_with("verify-")) {
        assert!(all.contains(verb), "`make verify` leaves {verb} out");
        let runs = building.iter().chain(&scans).any(|step| step == verb);
        assert!(runs, "no pipeline runs {verb}");
    }
}

#[test]
fn gitlab_and_jenkins_have_the_stages_in_that_order() {
    let parsed = yaml(GITLAB);
    let order = parsed["stages"].as_array().unwrap();
    let at = |job: &str| {
        let stage = &parsed[job]["stage"];
        order
            .iter()
            .position(|known| known == stage)
            .unwrap_or_else(|| panic!("{job} is in no stage"))
    };
    let jobs = [
        "test",
        "supply",
        "infrastructure",
        "build-image",
        "publish",
        "deploy-staging",
        "bore-staging",
        "deploy-production",
    ];
    assert!(jobs.is_sorted_by_key(|job| at(job)));
    let names: Vec<String> = stages(&read(JENKINS)).into_iter().map(|s| s.0).collect();
    let wanted = [
        "change",
        "test",
        "supply",
        "infrastructure",
        "image",
        "publish",
        "scan",
        "release",
        "dast",
        "delivery",
        "validate",
        "approval",
        "rollout",
        "deploy",
        "after",
        "bore",
        "told",
    ];
    assert_eq!(names, wanted);
}

/// Where there is no Java, `make verify-pipelines` cannot ask a Groovy parser: what is opened is closed, at least.
#[test]
fn the_jenkinsfile_closes_what_it_opens() {
    let text = read(JENKINS);
    assert!(closes(&text));
    let (cut, _) = text.trim_end().rsplit_once('}').unwrap();
    assert!(!closes(cut));
    assert!(!closes(&text.replacen("'make check'", "'make check", 1)));
}

fn closes(text: &str) -> bool {
    let mut open = Vec::new();
    for line in text.lines() {
        let mut quoted = None;
        let mut before = ' ';
        for c in line.chars() {
            let after = std::mem::replace(&mut before, c);
            if let Some(quote) = quoted {
                quoted = (c != quote).then_some(quote);
                continue;
            }
            match c {
                '\'' | '"' => quoted = Some(c),
                '/' if after == '/' => break,
                '(' | '[' | '{' => open.push(c),
                ')' | ']' | '}' => {
                    let wanted = match c {
                        ')' => '(',
                        ']' => '[',
                        _ => '{',
                    };
                    if open.pop() != Some(wanted) {
                        return false;
                    }
                }
                _ => {}
            }
        }
        if quoted.is_some() {
            return false;
        }
    }
    open.is_empty()
}

/// Everything that a pipeline does is a verb of the Makefile or a script that may be run.
#[test]
fn every_step_exists() {
    use std::os::unix::fs::PermissionsExt as _;
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let mut wanted: BTreeSet<String> = WORKFLOWS.iter().flat_map(|name| github(name)).collect();
    // A text of its own: what stands outside of the jobs and stages that are compared counts as well.
    for path in [GITLAB, JENKINS] {
        let text = read(path);
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with(['#', '/']));
        wanted.extend(code.flat_map(steps));
    }
    for step in &wanted {
        if let Some(script) = step.split(' ').next().filter(|word| word.contains('/')) {
            let found = std::fs::metadata(root().join(script))
                .unwrap_or_else(|error| panic!("{script}: {error}"));
            assert!(
                found.permissions().mode() & 0o111 != 0,
                "{script} may not be run"
            );
        } else {
            assert!(
                targets.contains(step.as_str()),
                "`make {step}` does not exist"
            );
        }
    }
}

/// What a job may write; the others may only read.
fn may_write(workflow: &str, job: &str) -> &'static [&'static str] {
    match (workflow, job) {
        ("ci", "publish") => &["attestations", "id-token", "packages"],
        // What it calls, together.
        ("ci", "staging") | ("cd-staging", "bore") => &["id-token", "packages"],
        (_, "told") => &[],
        // The cloud, by OIDC.
        ("cd-staging" | "cd-production", _) => &["id-token"],
        _ => &[],
    }
}

#[test]
fn no_job_may_more_than_it_needs() {
    let mut pins: BTreeMap<String, String> = BTreeMap::new();
    for name in WORKFLOWS {
        let text = read(&format!(".github/workflows/{name}.yml"));
        let parsed = workflow(name);
        assert!(
            !text.contains("pull_request_target") && !text.contains("workflow_run"),
            "{name}: runs foreign code with our rights"
        );
        assert_eq!(
            parsed["permissions"],
            serde_json::json!({}),
            "{name}: rights belong to jobs"
        );
        for (job, body) in parsed["jobs"].as_object().unwrap() {
            let rights = body["permissions"]
                .as_object()
                .unwrap_or_else(|| panic!("{name}.{job}: no permissions"));
            let writes: Vec<&str> = rights
                .iter()
                .filter(|(_, right)| *right != "read")
                .map(|(scope, _)| scope.as_str())
                .collect();
            let sorted: BTreeSet<&str> = writes.iter().copied().collect();
            let may: BTreeSet<&str> = may_write(name, job).iter().copied().collect();
            assert_eq!(sorted, may, "{name}.{job}");
            // A workflow of ours, which the loop sees itself.
            if body["uses"].as_str().is_some_and(|of| of.starts_with("./")) {
                continue;
            }
            assert!(
                body["timeout-minutes"].is_u64(),
                "{name}.{job}: no time limit"
            );
            for step in body["steps"].as_array().unwrap() {
                // What stands in ${{ }} is pasted into the shell; it belongs into the environment.
                let run = step["run"].as_str().unwrap_or("");
                assert!(!run.contains("${{"), "{name}.{job}: {run}");
                let Some(action) = step["uses"].as_str() else {
                    continue;
                };
                let (of, commit) = action.split_once('@').unwrap();
                let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
                assert!(
                    is_commit,
                    "{name}.{job}: {action} is not pinned by a commit"
                );
                assert!(
                    text.contains(&format!("{action} # v")),
                    "{action} is of which version?"
                );
                let same = pins.entry(of.to_owned()).or_insert_with(|| commit.into());
                assert_eq!(same, commit, "{of} is pinned twice");
                let keeps = &step["with"]["persist-credentials"];
                assert!(
                    of != "actions/checkout" || keeps == false,
                    "{name}.{job}: leaves its token"
                );
            }
        }
    }
}

#[test]
fn a_deploy_is_alone_agreed_and_goes_back_only_when_it_was_in() {
    for name in ["cd-staging", "cd-production"] {
        let parsed = workflow(name);
        assert_eq!(parsed["concurrency"]["group"], name);
        assert_eq!(parsed["concurrency"]["cancel-in-progress"], false, "{name}");
        let deploy = &parsed["jobs"]["deploy"];
        let environment = name.trim_start_matches("cd-");
        assert_eq!(deploy["environment"], environment);
        for step in deploy["steps"].as_array().unwrap() {
            if step["run"] == "make rollback" {
                let when = step["if"].as_str().unwrap();
                assert!(
                    when.contains("failure()")
                        && when.contains("steps.deploy.outcome == 'success'"),
                    "{when}"
                );
            }
            // What was cut off is taken back, also when somebody cancelled; not what was left before this job came to it.
            if step["run"] == "make undo" {
                let when =
                    "always() && job.status != 'success' && steps.deploy.outcome != 'skipped'";
                assert_eq!(step["if"], when);
            }
            // The record is written whatever happened.
            assert!(step["run"] != "make record" || step["if"] == "always()");
        }
    }
    let parsed = yaml(GITLAB);
    for environment in ["staging", "production"] {
        let job = &parsed[format!("deploy-{environment}")];
        assert_eq!(job["resource_group"], environment);
        assert_eq!(job["environment"]["name"], environment);
        assert_eq!(job["when"] == "manual", environment == "production");
    }
    assert_eq!(parsed[".cloud"]["interruptible"], false);
    let after = parsed[".deploy"]["after_script"].to_string();
    assert!(after.contains("[ -e dist/deployed ] &&"), "{after}");
    let (back, undo) = (after.find("make rollback || true"), after.find("make undo"));
    assert!(back.is_some() && back < undo, "{after}");
    assert!(after.contains(r#"if [ \"$CI_JOB_STATUS\" != success ]; then make undo"#));
    let asks = parsed["validate-production"]["needs"].to_string();
    assert!(asks.contains("bore-staging"), "{asks}");
    let script = parsed[".deploy"]["script"].to_string();
    assert!(
        script.contains(r#""make deploy","touch dist/deployed""#),
        "{script}"
    );

    let stages: BTreeMap<String, String> = stages(&read(JENKINS)).into_iter().collect();
    for stage in ["validate", "rollout"] {
        assert!(stages[stage].contains("lock(") && stages[stage].contains("agent {"));
    }
    assert!(stages["approval"].contains("input ") && stages["approval"].contains("production"));
    // People think long: neither a machine nor the lock waits for them, nor the next build of main.
    assert!(!read(JENKINS).contains("disableConcurrentBuilds"));
    for held in ["agent {", "lock("] {
        assert!(!stages["approval"].contains(held) && !stages["delivery"].contains(held));
    }
    assert!(!stages["deploy"].contains("rollback"));
    assert!(stages["after"].contains("unsuccessful { sh 'make rollback' }"));
    assert!(stages["after"].contains("unsuccessful { sh 'make undo' }"));
    assert!(stages["after"].contains("cleanup {"));
    assert!(stages["bore"].contains("params.ENVIRONMENT == 'staging'"));
}

/// No secret on a screen, on a command line or in a file of ours; the tests' share of the code is a gate.
#[test]
fn nothing_secret_is_shown() {
    let mut texts = vec![(GITLAB.to_owned(), read(GITLAB))];
    texts.push((JENKINS.to_owned(), read(JENKINS)));
    for name in WORKFLOWS {
        let path = format!(".github/workflows/{name}.yml");
        texts.push((path.clone(), read(&path)));
    }
    for folder in ["scripts/pipeline", "scripts/ci"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            texts.push((
                path.display().to_string(),
                std::fs::read_to_string(path).unwrap(),
            ));
        }
    }
    for (path, text) in &texts {
        for line in text.lines() {
            let is_secret = ["PASSWORD\"", "TOKEN\"", "SECRET\"", "_PSW\"", "PASSWORD}"]
                .iter()
                .any(|word| line.contains(word));
            let prints = line.contains("echo ") || line.contains("printf ");
            let goes_on = line.contains(" | ") || line.contains(">\"$");
            assert!(
                !(is_secret && prints && !goes_on),
                "{path} shows a secret: {line}"
            );
            let traces = line.contains("set -x") || line.contains("bash -x");
            assert!(
                !traces && !line.contains("--password "),
                "{path} shows what it does: {line}"
            );
            assert!(
                !line.contains("AWS_SECRET_ACCESS_KEY") && !line.contains("AWS_ACCESS_KEY_ID"),
                "{path}: the cloud is reached by OIDC"
            );
        }
    }
    assert!(read("scripts/scan/coverage.sh").contains("--fail-under-lines 90"));
}
