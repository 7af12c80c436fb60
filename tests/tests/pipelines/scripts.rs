//! The scripts that operators look for (infrastructure/scripts): what passes on passes everything on; what does something does it, to
//! a real Prometheus and Alertmanager, and to a Grafana that speaks its protocol.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::root;

fn script(path: &str) -> PathBuf {
    root().join("infrastructure/scripts").join(path)
}

pub(super) fn runnable(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What each script calls, with nothing and with words to pass on; `None`: it does something of its own, tested below.
fn passes_on(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "deployment/deploy.sh" => ("deploy", "deploy"),
        "deployment/rollback.sh" => ("rollback", "rollback"),
        "deployment/health-check.sh" => ("status", "status"),
        "deployment/migration.sh" => ("migrate", "migrate"),
        "maintenance/backup.sh" => ("backup", "backup"),
        "maintenance/restore.sh" => ("restore", "restore"),
        "maintenance/cleanup.sh" => ("cleanup", "cleanup"),
        "maintenance/key-rotation.sh" => ("keys list", "keys"),
        "security/incident-response.sh" => ("incident list", "incident"),
        _ => return None,
    })
}

#[test]
fn what_passes_on_passes_everything_on() {
    let folder = tempfile::tempdir().unwrap();
    let (hubctl, seen) = (folder.path().join("hubctl"), folder.path().join("seen"));
    runnable(
        &hubctl,
        "#!/bin/sh\nprintf '%s|' \"$@\" >\"$SEEN\"\nexit 7\n",
    );
    let mut own = Vec::new();
    for group in ["deployment", "maintenance", "monitoring", "security"] {
        for entry in std::fs::read_dir(script(group)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{group}/{}", path.file_name().unwrap().to_str().unwrap());
            let Some((bare, verb)) = passes_on(&name) else {
                own.push(name);
                continue;
            };
            // Words with spaces and signs arrive as they were; so does the exit code; by PATH or by HUBCTL.
            for (words, wanted) in [
                (&[][..], format!("{}|", bare.replace(' ', "|"))),
                (
                    &["--to", "a b", "$x;*"][..],
                    format!("{verb}|--to|a b|$x;*|"),
                ),
            ] {
                for by_path in [true, false] {
                    let mut command = Command::new(&path);
                    command.args(words).env("SEEN", &seen).env_remove("HUBCTL");
                    if by_path {
                        let old = std::env::var("PATH").unwrap();
                        command.env("PATH", format!("{}:{old}", folder.path().display()));
                    } else {
                        command.env("HUBCTL", &hubctl);
                    }
                    let code = command.status().unwrap().code();
                    let told = std::fs::read_to_string(&seen).unwrap();
                    assert_eq!((code, told), (Some(7), wanted.clone()), "{name}");
                    std::fs::remove_file(&seen).unwrap();
                }
            }
        }
    }
    own.sort();
    let tested = [
        "maintenance/backup-due.sh",
        "monitoring/alert-setup.sh",
        "monitoring/dashboard-import.sh",
        "monitoring/setup-monitoring.sh",
    ];
    assert_eq!(own, tested);
}

/// What a timer calls: nothing old goes unless the backup went well, and whatever fails is the timer's failure.
#[test]
fn a_timers_backup_prunes_only_after_a_good_one_and_tells_of_each_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (hubctl, seen) = (folder.path().join("hubctl"), folder.path().join("seen"));
    runnable(
        &hubctl,
        "#!/bin/sh\necho \"$*\" >>\"$SEEN\"\ncase \"$*\" in *\"$FAILS\"*) exit 1 ;; esac\n",
    );
    let due = |fails: &str| {
        let mut command = Command::new(script("maintenance/backup-due.sh"));
        command
            .env("HUBCTL", &hubctl)
            .env("SEEN", &seen)
            .env("FAILS", fails)
            .env("HUB_TOKEN_FILE", "/key")
            .env("BACKUP_METRICS", "/metrics.prom");
        let good = command.status().unwrap().success();
        let told = std::fs::read_to_string(&seen).unwrap();
        std::fs::remove_file(&seen).unwrap();
        (good, told)
    };
    let [run, prune, schedule] = [
        "--token-file /key backup run --due\n",
        "backup prune\n",
        "--token-file /key backup schedule --metrics /metrics.prom\n",
    ];
    assert_eq!(due("nothing"), (true, format!("{run}{prune}{schedule}")));
    assert_eq!(due("backup run"), (false, format!("{run}{schedule}")));
    assert_eq!(
        due("backup prune"),
        (false, format!("{run}{prune}{schedule}"))
    );
    assert_eq!(
        due("backup schedule"),
        (false, format!("{run}{prune}{schedule}"))
    );
}

pub(super) fn run(command: &mut Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = [stdout, stderr].concat();
    (status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn the_monitoring_of_a_place_is_applied_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    // Three objects, one of them of the hub.
    runnable(
        &folder.path().join("kubectl"),
        "#!/bin/sh\ncase $1 in\nkustomize) printf 'kind: Namespace\\nmetadata:\\n  name: security-hub-monitoring\\n---\\nkind: Service\\n\
         metadata:\\n  name: hub\\n  namespace: security-hub\\n---\\nkind: Service\\nmetadata:\\n  name: prometheus\\n  namespace: \
         security-hub-monitoring\\n' ;;\n*) { echo \"$*\"; cat; } >\"$SEEN\" ;;\nesac\n",
    );
    let setup = |words: &[&str]| {
        let path = format!(
            "{}:{}",
            folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(script("monitoring/setup-monitoring.sh"));
        run(command.args(words).env("PATH", path).env("SEEN", &seen))
    };
    let (good, shown) = setup(&["production", "--dry-run"]);
    assert!(
        good && shown.contains("name: prometheus") && !seen.exists(),
        "{shown}"
    );
    assert!(setup(&["production"]).0);
    let applied = std::fs::read_to_string(&seen).unwrap();
    assert!(applied.starts_with("apply --server-side"), "{applied}");
    assert!(
        applied.contains("name: security-hub-monitoring"),
        "{applied}"
    );
    assert!(applied.contains("name: prometheus") && !applied.contains("name: hub"));
    for wrong in [&[][..], &["nowhere"], &["production", "--yes"]] {
        assert!(!setup(wrong).0, "{wrong:?}");
    }
}

/// A program that ends with the test.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub(super) fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: here\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.contains(" 200 ").then_some(answer)
}

pub(super) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn started(command: &mut Command, port: u16) -> Running {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    until("a ready program", || get(port, "/-/ready").is_some());
    running
}

#[test]
fn checked_alerts_are_read_again_by_prometheus_and_alertmanager() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let shipped = root().join("infrastructure/kubernetes/monitoring");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(shipped)
        .arg(at("monitoring"))
        .status();
    assert!(copied.unwrap().success());
    let rules = at("monitoring/prometheus");
    // What runs knows nothing of them yet.
    std::fs::create_dir(at("aside")).unwrap();
    let (ours, aside) = (rules.join("hub.rules.yml"), at("aside/hub.rules.yml"));
    std::fs::rename(&ours, &aside).unwrap();
    let config = format!("rule_files: ['{}/*.rules.yml']\n", rules.display());
    std::fs::write(at("prometheus.yml"), config).unwrap();
    let settings = at("monitoring/alertmanager/alertmanager.yml");
    let routes = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(
        &settings,
        "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
    )
    .unwrap();
    let (one, two) = (free_port(), free_port());
    let _prometheus = started(
        Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{one}"))
            .arg("--web.enable-lifecycle"),
        one,
    );
    let _alertmanager = started(
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.path={}", at("silences").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{two}"))
            .arg("--cluster.listen-address="),
        two,
    );
    let knows = || {
        get(one, "/api/v1/rules")
            .unwrap()
            .contains("HubNobodyAnswers")
    };
    let sends = || {
        get(two, "/api/v2/status")
            .unwrap()
            .contains("routing_key_file")
    };
    assert!(!knows() && !sends());

    std::fs::rename(&aside, &ours).unwrap();
    std::fs::write(&settings, &routes).unwrap();
    let setup = |words: &[&str]| {
        let mut command = Command::new(script("monitoring/alert-setup.sh"));
        command
            .args(words)
            .env("MONITORING", at("monitoring"))
            .env("PROMETHEUS_URL", format!("http://127.0.0.1:{one}"))
            .env("ALERTMANAGER_URL", format!("http://127.0.0.1:{two}"));
        run(&mut command)
    };
    let (good, said) = setup(&["--check"]);
    assert!(good, "{said}");
    assert!(!knows() && !sends(), "--check changes something");
    let (good, said) = setup(&[]);
    assert!(good, "{said}");
    assert!(knows() && sends(), "{said}");

    // What is wrong reaches neither.
    std::fs::write(
        &ours,
        "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n",
    )
    .unwrap();
    let (good, said) = setup(&[]);
    assert!(!good && !said.contains("read its files again"), "{said}");
    assert!(knows());
}

/// Grafana's `POST /api/dashboards/db`, as its documentation has it: 401 without the token, 400 for what is no board.
fn grafana(listener: &TcpListener, times: usize) -> Vec<Value> {
    let mut boards = Vec::new();
    for stream in listener.incoming().take(times) {
        let mut reader = BufReader::new(stream.unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if lower.contains("expect: 100-continue") {
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .unwrap();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_board = told["dashboard"]["title"].is_string() && told["overwrite"] == true;
        let (status, answer) = if !head.contains("authorization: Bearer planted-token\r\n") {
            ("401 Unauthorized", "{\"message\":\"Unauthorized\"}")
        } else if !head.starts_with("POST /api/dashboards/db HTTP/1.1") || !is_board {
            ("400 Bad Request", "{\"message\":\"bad request data\"}")
        } else {
            boards.push(told["dashboard"].clone());
            (
                "200 OK",
                "{\"id\":1,\"uid\":\"x\",\"status\":\"success\",\"version\":1,\"slug\":\"x\"}",
            )
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
            answer.len()
        );
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
    }
    boards
}

#[test]
fn boards_arrive_in_grafana() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("token"), "planted-token\n").unwrap();
    std::fs::write(at("wrong"), "other\n").unwrap();
    std::fs::write(at("no-board.json"), "[]").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let there = std::thread::spawn(move || grafana(&listener, 3));
    let import = |token: &str, words: &[&Path]| {
        let mut command = Command::new(script("monitoring/dashboard-import.sh"));
        command.args(words).env("GRAFANA_URL", &url);
        run(command
            .env("GRAFANA_TOKEN_FILE", at(token))
            .env("no_proxy", "*"))
    };
    let (good, said) = import("token", &[]);
    assert!(good, "{said}");
    assert!(!import("wrong", &[]).0);
    assert!(!import("token", &[&at("no-board.json")]).0);
    let boards = there.join().unwrap();
    let shipped =
        super::read("infrastructure/kubernetes/monitoring/grafana/boards/security-hub.json");
    assert_eq!(boards, [serde_json::from_str::<Value>(&shipped).unwrap()]);
}

/// The deploy runner makes itself known once; what it is known by lasts, and the token is nowhere to be read.
#[test]
fn the_deploy_runner_is_registered_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["source", "settings/secrets", "state", "work"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    std::fs::write(at("settings/secrets/registration-token"), "planted\n").unwrap();
    std::fs::write(at("settings/staging.toml"), "").unwrap();
    std::fs::write(at("settings/release.key"), "").unwrap();
    runnable(
        &at("source/config.sh"),
        "#!/bin/sh\necho \"config $* by $ACTIONS_RUNNER_INPUT_TOKEN\" >>\"$SEEN\"\n\
         for file in .runner .credentials .credentials_rsaparams; do echo known >$file; done\n",
    );
    runnable(
        &at("source/run.sh"),
        "#!/bin/sh\necho \"run as $(cat .runner) in $PWD\" >>\"$SEEN\"\n",
    );
    let runner = |word: &str| {
        let mut command = Command::new(root().join("infrastructure/docker/deploy-runner.sh"));
        command.arg(word).env("SEEN", at("seen"));
        for (name, place) in [
            ("STATE", "state"),
            ("SETTINGS", "settings"),
            ("SOURCE", "source"),
            ("WORK", "work"),
        ] {
            command.env(format!("RUNNER_{name}"), at(place));
        }
        command.env("RUNNER_URL", "https://git.example.org/hub");
        command.env("RUNNER_GROUP", "deploys");
        run(command.env("RUNNER_LABELS", "security-hub-staging"))
    };
    assert!(!runner("ready").0, "nobody knows it yet");
    assert!(runner("run").0);
    assert!(runner("ready").0);
    // Another pod, the same disk; the token is spent.
    std::fs::remove_dir_all(at("work")).unwrap();
    std::fs::write(at("settings/secrets/registration-token"), "").unwrap();
    assert!(runner("run").0);
    let seen = std::fs::read_to_string(at("seen")).unwrap();
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[0].contains("--labels security-hub-staging") && seen[0].ends_with("by planted"));
    assert!(seen[0].contains("--runnergroup deploys"), "{seen:?}");
    assert_eq!(seen[1], seen[2]);
    assert!(seen[1].starts_with("run as known in ") && seen[1].ends_with("/work/runner"));
    std::fs::remove_file(at("settings/release.key")).unwrap();
    assert!(!runner("ready").0, "it cannot seal");
}
