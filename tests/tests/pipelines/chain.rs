//! From a commit to production, link by link: what must come before what, on which machine, with which secret; on all three.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{GITLAB, JENKINS, WORKFLOWS, read, stages, workflow, yaml};

fn steps_of(job: &Value) -> &Vec<Value> {
    job["steps"].as_array().unwrap()
}

#[test]
fn only_main_publishes_and_only_what_passed() {
    let jobs = &workflow("ci")["jobs"];
    let publish = &jobs["publish"];
    assert_eq!(
        publish["if"],
        "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    );
    assert_eq!(publish["needs"], "image");
    assert_eq!(
        jobs["image"]["needs"],
        json!(["test", "supply", "infrastructure"])
    );
    assert_eq!(jobs["staging"]["needs"], "publish");
    for job in ["test", "supply", "infrastructure", "image"] {
        assert!(jobs[job]["if"].is_null(), "{job} may be left out");
    }
    let staging = &workflow("cd-staging")["jobs"];
    assert_eq!(staging["deploy"]["needs"], "validate");
    assert_eq!(staging["bore"]["needs"], "deploy");
    let production = &workflow("cd-production")["jobs"];
    assert_eq!(production["deploy"]["needs"], "validate");

    let parsed = yaml(GITLAB);
    let needs = |job: &str| parsed[job]["needs"].clone();
    assert_eq!(parsed["publish"]["extends"], ".main");
    assert!(
        needs("publish").is_null(),
        "it waits for every stage before it"
    );
    assert_eq!(
        needs("deploy-staging"),
        json!(["publish", "validate-staging"])
    );
    assert_eq!(
        needs("deploy-production"),
        json!(["publish", "validate-production"])
    );
    // A manual job that fails is a warning otherwise.
    assert_eq!(parsed["deploy-production"]["allow_failure"], false);
    let jenkins: Vec<(String, String)> = stages(&read(JENKINS));
    let publish = jenkins.iter().find(|(name, _)| name == "publish").unwrap();
    assert!(publish.1.contains("branch 'main'"));
}

/// Where images are not for everybody, whoever asks what was said of them logs in first.
#[test]
fn validation_reads_a_closed_registry() {
    let release = read("scripts/pipeline/release.sh");
    let login = release.find("cosign login");
    assert!(login.is_some() && login < release.find("gh attestation verify"));
    for name in ["cd-staging", "cd-production"] {
        let validate = &workflow(name)["jobs"]["validate"];
        assert_eq!(validate["permissions"]["packages"], "read");
        let steps = steps_of(validate).iter();
        let at = |wanted: &dyn Fn(&Value) -> bool| steps.clone().position(wanted);
        let cosign = at(&|step| {
            let action = step["uses"].as_str().unwrap_or("");
            action.starts_with("sigstore/cosign-installer@")
        });
        let release = at(&|step| {
            step["run"] == "make release" && step["env"]["REGISTRY_PASSWORD"].is_string()
        });
        assert!(cosign.is_some() && cosign < release, "{name}");
    }
    let variables = &yaml(GITLAB)[".validate"]["variables"];
    assert_eq!(variables["REGISTRY_PASSWORD"], "$CI_REGISTRY_PASSWORD");
    let jenkins = read(JENKINS);
    assert!(jenkins.contains("REGISTRY_PASSWORD=\"$REGISTRY_LOGIN_PSW\" make release"));
}

/// SLSA: GitHub's own attestation of both images, by the digests that the push gave.
#[test]
fn both_images_have_their_provenance() {
    let publish = &workflow("ci")["jobs"]["publish"];
    let push = steps_of(publish)
        .iter()
        .position(|step| step["run"] == "make push");
    let mut found = BTreeSet::new();
    for (at, step) in steps_of(publish).iter().enumerate() {
        let action = step["uses"].as_str().unwrap_or("");
        if action.starts_with("actions/attest-build-provenance@") {
            assert!(Some(at) > push && step["if"].is_null());
            assert_eq!(step["with"]["push-to-registry"], true);
            let with = |key: &str| step["with"][key].as_str().unwrap().to_owned();
            found.insert((with("subject-name"), with("subject-digest")));
        }
    }
    let wanted = [("", "digest"), ("-hubctl", "hubctl_digest")].map(|(name, digest)| {
        (
            format!("ghcr.io/${{{{ github.repository }}}}{name}"),
            format!("${{{{ steps.push.outputs.{digest} }}}}"),
        )
    });
    assert_eq!(found, BTreeSet::from(wanted));
    // What is pushed is what is signed, by one name; GitLab takes none beside the project's own.
    for script in ["scripts/pipeline/push.sh", "scripts/ci/sign.sh"] {
        assert!(read(script).contains("${HUBCTL_REGISTRY:-$REGISTRY-hubctl}"));
    }
    let variables = &yaml(GITLAB)["publish"]["variables"];
    assert_eq!(variables["REGISTRY"], "$CI_REGISTRY_IMAGE");
    assert_eq!(variables["HUBCTL_REGISTRY"], "$CI_REGISTRY_IMAGE/hubctl");
    // And the release is not sealed without it.
    assert!(read("scripts/pipeline/release.sh").contains("gh attestation verify"));
}

/// What publishes or signs stands on a machine of its own, where nothing of a change ever ran.
#[test]
fn what_publishes_builds_nothing_and_shares_no_machine() {
    let parsed = yaml(GITLAB);
    let holders = ["publish", "bore-staging", "told"];
    for (name, job) in parsed.as_object().unwrap() {
        let here = job["tags"] == json!(["security-hub-publish"]);
        assert_eq!(here, holders.contains(&name.as_str()), "GitLab's {name}");
    }
    for (name, text) in stages(&read(JENKINS)) {
        let here = text.contains("label 'security-hub-publish'")
            || text.contains("node('security-hub-publish')");
        assert_eq!(
            here,
            ["publish", "bore", "told"].contains(&name.as_str()),
            "Jenkins' {name}"
        );
        let signs = text.contains("credentials('cosign-key')");
        assert!(!signs || here, "Jenkins' {name} signs elsewhere");
    }
    for job in ["publish", "bore"] {
        let name = if job == "publish" { "ci" } else { "cd-staging" };
        assert_eq!(workflow(name)["jobs"][job]["runs-on"], "ubuntu-24.04");
    }
}

#[test]
fn the_saved_plan_outlasts_the_job() {
    let place = "/var/lib/security-hub-deploy/plans";
    for name in ["cd-staging", "cd-production"] {
        assert_eq!(workflow(name)["jobs"]["validate"]["env"]["PLANS"], place);
    }
    assert_eq!(yaml(GITLAB)[".validate"]["variables"]["PLANS"], place);
    let jenkins = stages(&read(JENKINS));
    let validate = jenkins.iter().find(|(name, _)| name == "validate").unwrap();
    assert!(validate.1.contains(&format!("PLANS = '{place}'")));
    assert!(read("scripts/pipeline/plan.sh").contains("\"$PLANS/$environment-"));
}

/// What tells the ledger, or asks the database, has the credential for it.
#[test]
fn the_hubs_credential_arrives() {
    assert_eq!(workflow("ci")["jobs"]["staging"]["secrets"], "inherit");
    let verbs = ["deploy", "performance", "rollback", "undo", "record"];
    for name in ["cd-staging", "cd-production"] {
        let parsed = workflow(name);
        let steps = steps_of(&parsed["jobs"]["deploy"]);
        for verb in verbs {
            let step = steps
                .iter()
                .find(|step| step["run"] == format!("make {verb}"));
            let token = &step.unwrap()["env"]["HUB_TOKEN"];
            assert_eq!(token, "${{ secrets.HUB_TOKEN }}", "{name}: make {verb}");
        }
    }
    let jenkins = stages(&read(JENKINS));
    let rollout = jenkins.iter().find(|(name, _)| name == "rollout").unwrap();
    assert!(rollout.1.contains("HUB_TOKEN = credentials("));
}

/// Jenkins deploys out of main's job, which went on since: the image's own commit is checked out, and only if main has it.
#[test]
fn jenkins_deploys_the_commit_that_was_built() {
    let text = read(JENKINS);
    let ancestor = text.find("git merge-base --is-ancestor \"$COMMIT\" HEAD");
    let checkout = text.find("checkout scmGit(branches: [[name: params.COMMIT]]");
    assert!(ancestor.is_some() && ancestor < checkout);
    assert!(text.contains("string(name: 'COMMIT', value: env.GIT_COMMIT)"));
    for (name, text) in stages(&text) {
        let deploys = ["validate", "deploy", "bore"].contains(&name.as_str());
        assert_eq!(text.contains("checkoutCommit()"), deploys, "{name}");
    }
}

/// On GitLab what takes a release back runs after the script's own limit, and before the job's.
#[test]
fn there_is_time_left_to_take_a_release_back() {
    let parsed = yaml(GITLAB);
    let minutes = |value: &Value| -> u64 {
        let text = value.as_str().unwrap();
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        assert!(text.ends_with('m') || text.ends_with("minutes"), "{text}");
        digits.parse().unwrap()
    };
    let limits = &parsed[".deploy"]["variables"];
    let script = minutes(&limits["RUNNER_SCRIPT_TIMEOUT"]);
    let after = minutes(&limits["RUNNER_AFTER_SCRIPT_TIMEOUT"]);
    assert!(script + after < minutes(&parsed["default"]["timeout"]));
}

/// Whatever fails on main, at night or on the way to production is told, whichever job it was.
#[test]
fn whatever_fails_is_told() {
    for name in WORKFLOWS {
        let parsed = workflow(name);
        let jobs = parsed["jobs"].as_object().unwrap();
        // A workflow that is called tells by itself.
        let others: BTreeSet<&str> = jobs
            .iter()
            .filter(|(job, body)| *job != "told" && body["uses"].is_null())
            .map(|(job, _)| job.as_str())
            .collect();
        let told = &jobs["told"];
        let needs = told["needs"].as_array().unwrap().iter();
        assert_eq!(
            needs.filter_map(Value::as_str).collect::<BTreeSet<_>>(),
            others
        );
        // A job over its time counts as cancelled, which `failure()` does not see. What a newer push to a change cancelled is nobody's.
        let ended = "always() && (contains(needs.*.result, 'failure') || contains(needs.*.result, 'cancelled'))";
        let event = match name {
            "ci" => " && github.event_name == 'push'",
            "security-scan" => " && github.event_name != 'pull_request'",
            _ => "",
        };
        assert_eq!(told["if"], format!("{ended}{event}"), "{name}");
    }
    let told = &yaml(GITLAB)["told"];
    assert_eq!(told["stage"], ".post");
    assert_eq!(told["rules"][0]["when"], "on_failure");
    let jenkins = stages(&read(JENKINS));
    let (_, text) = jenkins.last().unwrap();
    assert!(text.contains("unsuccessful {") && !text.contains("failure {"));
    assert!(text.contains("env.BRANCH_NAME == 'main'"));
}
