//! What a deploy is judged by from outside, and who is told: `make performance`, `make watch`, `make told`, against a server that
//! answers what it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::root;

/// (what was asked: head and body) → (status, answer). Gives the server's address and all that was asked.
fn serves(
    answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.unwrap());
                let mut asked = String::new();
                while !asked.ends_with("\r\n\r\n") {
                    assert!(reader.read_line(&mut asked).unwrap() > 0, "{asked}");
                }
                let lower = asked.to_lowercase();
                let length = lower.split("content-length: ").nth(1);
                let length = length.map_or("0", |rest| rest.split("\r\n").next().unwrap());
                let mut body = vec![0; length.parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                asked.push_str(&String::from_utf8(body).unwrap());
                let (status, text) = answer(&asked);
                seen.lock().unwrap().push(asked);
                let length = text.len();
                let told = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
                );
                reader.get_mut().write_all(told.as_bytes()).unwrap();
            });
        }
    });
    (url, asked)
}

/// Whether it went well, and what it said.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.env("no_proxy", "*").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn script(name: &str) -> Command {
    let mut command = Command::new(root().join("scripts/pipeline").join(name));
    for name in ["HUB_TOKEN", "HUB_TOKEN_FILE", "GITHUB_ACTIONS", "GITLAB_CI"] {
        command.env_remove(name);
    }
    command
}

fn performance(url: &str, token: Option<&str>) -> (bool, String) {
    let mut command = script("performance.sh");
    command.env("HUB_URL", url).env("SECONDS_LONG", "1");
    command.env("P95_MS", "5000");
    if let Some(token) = token {
        command.env("HUB_TOKEN", token);
    }
    run(&mut command)
}

#[test]
fn performance_asks_the_database_as_well() {
    let hub = |asked: &str| {
        let known = asked.contains("Authorization: Bearer planted\r\n");
        let of_all = asked.starts_with("GET /openapi.json ");
        let of_one = asked.starts_with("GET /api/v2/me ") && known;
        (if of_all || of_one { 200 } else { 401 }, String::new())
    };
    let (url, asked) = serves(hub);
    let (good, said) = performance(&url, Some("planted"));
    assert!(good, "{said}");
    assert!(
        said.contains("/api/v2/me") && said.contains("/openapi.json"),
        "{said}"
    );
    let (good, said) = performance(&url, Some("wrong"));
    assert!(!good && !said.contains("wrong"), "{said}");
    let before = asked.lock().unwrap().len();
    let (good, said) = performance(&url, None);
    assert!(good && said.contains("no HUB_TOKEN"), "{said}");
    let asked = asked.lock().unwrap();
    assert!(
        asked[before..]
            .iter()
            .all(|one| !one.contains("/api/v2/me"))
    );
    drop(asked);

    // The database is away, and the document is served all the same.
    let (url, _) = serves(|asked| {
        let status = if asked.contains("/api/v2/me") {
            503
        } else {
            200
        };
        (status, String::new())
    });
    assert!(!performance(&url, Some("planted")).0);
    let (url, _) = serves(|asked| {
        if asked.contains("/api/v2/me") {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        (200, String::new())
    });
    let mut slow = script("performance.sh");
    slow.env("HUB_URL", url).env("SECONDS_LONG", "2");
    let (good, said) = run(slow.env("HUB_TOKEN", "planted").env("P95_MS", "200"));
    assert!(!good && said.contains("/api/v2/me"), "{said}");
}

fn alert(name: &str, since: &str) -> Value {
    json!({"labels": {"alertname": name}, "startsAt": since})
}

/// `make watch` in a tree of its own, whose deploy began at noon.
fn watch(tree: &Path, alerts: &Value) -> (bool, String) {
    let text = alerts.to_string();
    let (url, asked) = serves(move |_| (200, text.clone()));
    let mut command = Command::new(tree.join("scripts/pipeline/watch.sh"));
    command
        .env("ALERTMANAGER_URL", url)
        .env("WATCH_SECONDS", "0");
    let outcome = run(&mut command);
    let asked = asked.lock().unwrap();
    assert!(
        asked[0].contains("Heartbeat") && !asked[0].contains("Hub."),
        "{asked:?}"
    );
    outcome
}

#[test]
fn any_alert_that_began_after_the_deploy_counts() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("scripts/pipeline");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::create_dir(folder.path().join("dist")).unwrap();
    std::fs::copy(
        root().join("scripts/pipeline/watch.sh"),
        place.join("watch.sh"),
    )
    .unwrap();
    // 2026-06-01T12:00:00Z
    std::fs::write(folder.path().join("dist/began"), "1780315200\n").unwrap();
    let old = alert("HubLatencyBurnSlow", "2026-06-01T11:59:59.999999999Z");
    let (good, said) = watch(folder.path(), &json!([old]));
    assert!(good, "{said}");
    for since in [
        "2026-06-01T12:00:00Z",
        "2026-06-01T12:00:01.123Z",
        "2026-06-01T12:00:01.5Z",
        "2026-06-01T12:00:01.123456789Z",
        "2026-06-01T14:00:01.123456789+02:00",
        "2026-06-01T14:00:01+02:00",
    ] {
        for name in ["DatabaseReplicationLag", "WatcherAway", "HubPodAway"] {
            let (good, said) = watch(folder.path(), &json!([old, alert(name, since)]));
            assert!(!good && said.contains(name), "{said}");
            assert!(!said.contains("HubLatencyBurnSlow"), "{said}");
        }
    }
    // Nobody wrote down when it began: from now on.
    std::fs::remove_file(folder.path().join("dist/began")).unwrap();
    assert!(watch(folder.path(), &json!([old])).0);
    assert!(super::read("scripts/pipeline/deploy.sh").contains("date +%s >dist/began"));
}

/// `make plan` in a tree of its own, with a Terraform that plans one change to a resource of that type.
fn plan(tree: &Path, kind: &str, actions: &[&str]) -> (bool, String) {
    let change =
        json!({"address": format!("{kind}.this"), "type": kind, "change": {"actions": actions}});
    let old = std::env::var("PATH").unwrap();
    let mut command = Command::new(tree.join("scripts/pipeline/plan.sh"));
    command
        .env("PATH", format!("{}:{old}", tree.display()))
        .env("PLANNED", json!({"resource_changes": [change]}).to_string())
        .env("ENVIRONMENT", "staging")
        .env("STATE_BUCKET", "b")
        .env_remove("PLANS");
    run(&mut command)
}

#[test]
fn a_plan_destroys_nothing_that_keeps_data() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path();
    for name in [
        "scripts/pipeline",
        "infrastructure/terraform/environments/staging",
    ] {
        std::fs::create_dir_all(tree.join(name)).unwrap();
    }
    let script = "scripts/pipeline/plan.sh";
    std::fs::copy(root().join(script), tree.join(script)).unwrap();
    let terraform = "#!/bin/sh\ncase \"$*\" in *'show -json'*) printf '%s' \"$PLANNED\" ;; esac\n";
    std::fs::write(tree.join("terraform"), terraform).unwrap();
    let runnable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(tree.join("terraform"), runnable).unwrap();
    for kind in [
        "aws_backup_vault",
        "aws_cloudwatch_log_group",
        "aws_db_instance",
        "aws_ecr_repository",
        "aws_eks_cluster",
        "aws_elasticache_replication_group",
        "aws_kms_key",
        "aws_kms_replica_key",
        "aws_prometheus_workspace",
        "aws_s3_bucket",
        "aws_secretsmanager_secret",
    ] {
        // Replaced is destroyed as well.
        for actions in [&["delete"][..], &["delete", "create"]] {
            let (good, said) = plan(tree, kind, actions);
            let named = said.contains(&format!("{kind}.this"));
            assert!(!good && named, "{kind}: {said}");
        }
    }
    let (good, said) = plan(tree, "aws_eks_cluster", &["update"]);
    assert!(good, "{said}");
    let (good, said) = plan(tree, "aws_iam_role", &["delete"]);
    assert!(good, "{said}");
}

/// The deploy runner's Python is its base's, 3.10: what came later, and times that only a later one takes, are asked of nobody.
#[test]
fn scripts_live_with_the_runners_python() {
    let mut files = vec![root().join("infrastructure/kubernetes/place.sh")];
    for folder in ["scripts/pipeline", "scripts/ci", "infrastructure/docker"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let scripts = files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "sh"));
    for path in scripts {
        let text = std::fs::read_to_string(path).unwrap();
        for later in [
            "fromisoformat",
            "tomllib",
            "datetime.UTC",
            "itertools.batched",
        ] {
            assert!(!text.contains(later), "{}: {later}", path.display());
        }
    }
}

#[test]
fn people_are_told_what_failed_and_where_to_look() {
    let (url, asked) = serves(|_| (200, String::new()));
    let mut command = script("told.sh");
    command
        .env("TOLD_URL", format!("{url}/hooks/planted"))
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKFLOW", "cd-production")
        .env("GITHUB_SERVER_URL", "https://git.example.org")
        .env("GITHUB_REPOSITORY", "a/b")
        .env("GITHUB_RUN_ID", "7");
    let (good, said) = run(&mut command);
    assert!(good && !said.contains("planted"), "{said}");
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("POST /hooks/planted "), "{asked:?}");
    let (_, body) = asked[0].split_once("\r\n\r\n").unwrap();
    let wanted = "cd-production failed: https://git.example.org/a/b/actions/runs/7";
    assert_eq!(
        body,
        json!({"text": wanted}).to_string().replace(":\"", ": \"")
    );
    // Without a webhook it says so and is no fault of its own; with one that refuses it is.
    let (good, said) = run(script("told.sh").env_remove("TOLD_URL"));
    assert!(good && said.contains("TOLD_URL is not set"), "{said}");
    let (url, _) = serves(|_| (404, String::new()));
    assert!(!run(script("told.sh").env("TOLD_URL", url)).0);
}
