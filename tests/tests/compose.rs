//! What must hold of the production compose file, service by service; its schema cannot say it. Each rule is shown faults.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot read the compose file fails"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

#[path = "compose/haproxy.rs"]
mod haproxy;
#[path = "compose/images.rs"]
mod images;

const FILE: &str = "docker-compose.production.yml";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infrastructure/docker")
}

fn read(path: &str) -> String {
    let path = folder().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// With its merge keys (`<<`) resolved, as compose does: what stands in the mapping itself wins.
fn merged(value: Value) -> Value {
    match value {
        Value::Object(mut fields) => {
            let base = fields.remove("<<").map(merged);
            let mut whole = match base {
                Some(Value::Object(base)) => base,
                _ => Map::new(),
            };
            whole.extend(fields.into_iter().map(|(key, value)| (key, merged(value))));
            Value::Object(whole)
        }
        Value::Array(items) => items.into_iter().map(merged).collect(),
        other => other,
    }
}

fn compose() -> Value {
    merged(serde_yaml_ng::from_str(&read(FILE)).unwrap())
}

fn words<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    let items = value.pointer(pointer).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn services(file: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = file["services"].as_object();
    all.into_iter()
        .flatten()
        .map(|(name, service)| (name.as_str(), service))
}

/// One rule, and the faults it finds in the file.
type Rule = (&'static str, fn(&Value) -> Vec<String>);

const RULES: &[Rule] = &[
    ("complete", complete),
    ("locked down", locked_down),
    ("limits", limits),
    ("images", images),
    ("reached", reached),
    ("secrets", secrets),
    ("mounts", mounts),
    ("health", health),
    ("watched", watched),
    ("boards", boards),
    ("kept", kept),
];

/// What the file is for, and no more: a service that was dropped is missed.
fn complete(file: &Value) -> Vec<String> {
    const SERVICES: [&str; 15] = [
        "alertmanager",
        "collector",
        "grafana",
        "haproxy",
        "hub-blue",
        "hub-green",
        "jaeger",
        "migrate",
        "postgres",
        "prometheus",
        "redis",
        "redis-replica",
        "sentinel-1",
        "sentinel-2",
        "sentinel-3",
    ];
    let there: BTreeSet<&str> = services(file).map(|(name, _)| name).collect();
    there
        .symmetric_difference(&SERVICES.into())
        .map(|name| format!("{name}: is missing, or new"))
        .collect()
}

/// What must outlast a container is in a volume: data, and which Redis leads. PostgreSQL's copies, and what its log is archived with
/// from its first start.
fn kept(file: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (service, at) in [
        ("postgres", "/home/postgres/pgdata"),
        ("postgres", "/var/lib/pgbackrest"),
        ("redis", "/data"),
        ("redis-replica", "/data"),
        ("sentinel-1", "/data"),
        ("sentinel-2", "/data"),
        ("sentinel-3", "/data"),
        ("prometheus", "/prometheus"),
        ("alertmanager", "/alertmanager"),
    ] {
        let mounts = words(&file["services"][service], "/volumes");
        let own: Vec<_> = mounts
            .iter()
            .filter_map(|mount| mount.split_once(':'))
            .filter(|(volume, to)| *to == at && !volume.starts_with(['.', '/']))
            .collect();
        let shared = services(file)
            .flat_map(|(_, other)| words(other, "/volumes"))
            .filter(|mount| {
                own.first()
                    .is_some_and(|(volume, _)| mount.split(':').next() == Some(volume))
            })
            .count();
        if shared != 1 {
            faults.push(format!(
                "{service}: what is in {at} goes with it, or is another's too"
            ));
        }
    }
    let first_start = words(&file["services"]["postgres"], "/volumes");
    let learns = first_start
        .iter()
        .any(|mount| mount.starts_with("./config/stanza.sh:/docker-entrypoint-initdb.d/"));
    if !learns || !read("config/stanza.sh").contains("stanza-create") {
        faults.push("postgres: archives nothing until somebody makes the stanza".to_owned());
    }
    faults
}

fn locked_down(file: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, service) in services(file) {
        let user = service["user"].as_str().unwrap_or("0").split(':').next();
        let is_root = user.is_none_or(|user| user.parse::<u32>().unwrap_or(0) == 0);
        for (holds, fault) in [
            (service["read_only"] == true, "may write to its root"),
            (service["cap_drop"] == json!(["ALL"]), "keeps capabilities"),
            (
                words(service, "/security_opt").contains(&"no-new-privileges:true"),
                "may gain privileges",
            ),
            (!is_root, "runs as root, or as whoever its image says"),
        ] {
            if !holds {
                faults.push(format!("{name}: {fault}"));
            }
        }
        for key in [
            "privileged",
            "cap_add",
            "devices",
            "pid",
            "ipc",
            "network_mode",
            "userns_mode",
        ] {
            if service.get(key).is_some() {
                faults.push(format!("{name}: {key}"));
            }
        }
    }
    faults
}

fn limits(file: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, service) in services(file) {
        for what in ["cpus", "memory", "pids"] {
            if service["deploy"]["resources"]["limits"][what].is_null() {
                faults.push(format!("{name}: no limit of {what}"));
            }
        }
        // Threads count, and these start one for each core and more for what waits.
        let many = [
            "alertmanager",
            "collector",
            "grafana",
            "haproxy",
            "jaeger",
            "prometheus",
        ];
        let pids = service["deploy"]["resources"]["limits"]["pids"].as_u64();
        if many.contains(&name) && pids.is_some_and(|pids| pids < 256) {
            faults.push(format!("{name}: {pids:?} threads are few"));
        }
        if service["logging"]["options"]["max-size"].is_null() {
            faults.push(format!("{name}: its log may fill the disk"));
        }
        let once = service["command"] == json!(["migrate"]);
        if service["restart"] != if once { "no" } else { "unless-stopped" } {
            faults.push(format!("{name}: restarts {}", service["restart"]));
        }
    }
    faults
}

/// The hub's come from a deploy, by digest; the others stand in images.env, by digest.
fn images(file: &Value) -> Vec<String> {
    let pinned = read("images.env");
    let known: BTreeSet<&str> = pinned
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(_, image)| image.contains("@sha256:") && image.len() > 71)
        .map(|(name, _)| name)
        .collect();
    services(file)
        .filter(|(name, service)| {
            let image = service["image"].as_str().unwrap_or("");
            let variable = image
                .strip_prefix("${")
                .and_then(|rest| rest.split(':').next());
            let ours = name.starts_with("hub-") || *name == "migrate";
            !variable.is_some_and(|variable| {
                known.contains(variable) || ours && variable.starts_with("HUB_")
            })
        })
        .map(|(name, service)| format!("{name}: {} is pinned nowhere", service["image"]))
        .collect()
}

/// Only the load balancer is reached from outside; data and watchers stand in networks without a way out, but for Alertmanager, which
/// sends.
fn reached(file: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for inside in ["data", "watch"] {
        if file["networks"][inside]["internal"] != true {
            faults.push(format!("the network {inside} has a way out"));
        }
    }
    for (name, service) in services(file) {
        if service.get("ports").is_some() && name != "haproxy" {
            faults.push(format!("{name}: publishes {}", service["ports"]));
        }
        let networks: BTreeSet<&str> = match &service["networks"] {
            Value::Object(named) => named.keys().map(String::as_str).collect(),
            _ => words(service, "/networks").into_iter().collect(),
        };
        let may: &[&str] = match name {
            "haproxy" => &["front", "outside"],
            "hub-blue" | "hub-green" => &["data", "front"],
            // It sends alerts.
            "alertmanager" => &["outside", "watch"],
            "prometheus" | "collector" => &["front", "watch"],
            "grafana" | "jaeger" => &["watch"],
            _ => &["data"],
        };
        if networks != may.iter().copied().collect() {
            faults.push(format!("{name}: is in {networks:?}, belongs into {may:?}"));
        }
    }
    faults
}

/// Files, each made by make-secrets.sh or by hand, each read by somebody; none in the environment.
fn secrets(file: &Value) -> Vec<String> {
    let script = read("make-secrets.sh");
    let made: BTreeSet<&str> = script
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("keep "))
        .filter_map(|rest| rest.split(' ').next())
        .chain(["keys.json", "tls.pem"])
        .collect();
    let defined = file["secrets"].as_object().cloned().unwrap_or_default();
    let used: BTreeSet<&str> = services(file)
        .flat_map(|(_, service)| words(service, "/secrets"))
        .collect();
    let mut files = BTreeSet::new();
    let mut faults = Vec::new();
    for (name, secret) in &defined {
        let path = secret["file"].as_str().unwrap_or("");
        let path = path.strip_prefix("./secrets/").unwrap_or(path);
        files.insert(path);
        if !made.contains(path) {
            faults.push(format!("{name}: nobody makes {path}"));
        }
        if !used.contains(name.as_str()) {
            faults.push(format!("{name}: nobody is given it"));
        }
    }
    let unknown = used.iter().filter(|name| !defined.contains_key(**name));
    faults.extend(unknown.map(|name| format!("{name}: is no secret")));
    let idle = made.iter().filter(|path| !files.contains(*path));
    faults.extend(idle.map(|path| format!("{path}: is made, and mounted nowhere")));
    for (name, service) in services(file) {
        for (key, value) in service["environment"].as_object().into_iter().flatten() {
            let called = ["PASSWORD", "SECRET", "TOKEN", "DATABASE_URL", "OWNER_URL"]
                .iter()
                .any(|word| key.contains(word));
            let is_file = key.ends_with("_FILE") || key.ends_with("__FILE");
            if called
                && !(is_file
                    && value
                        .as_str()
                        .is_some_and(|at| at.starts_with("/run/secrets/")))
            {
                faults.push(format!("{name}: {key} stands in its environment"));
            }
        }
    }
    faults
}

/// What is mounted from here is there, and may not be written to; the host's engine is out of reach.
fn mounts(file: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, service) in services(file) {
        for mount in words(service, "/volumes") {
            let from = mount.split(':').next().unwrap_or("");
            if !from.starts_with(['.', '/']) {
                if file["volumes"].get(from).is_none() {
                    faults.push(format!("{name}: there is no volume {from}"));
                }
                continue;
            }
            let is_there = mount.ends_with(":ro") && folder().join(from).is_file();
            // HAProxy's socket and states are made by make-secrets.sh.
            let is_run = from == "./run" && name == "haproxy";
            if !is_there && !is_run {
                faults.push(format!(
                    "{name}: {mount} is not there, or may be written to"
                ));
            }
        }
    }
    faults
}

/// Each is asked, by something that fails when it does not serve.
fn health(file: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, service) in services(file) {
        let test = words(service, "/healthcheck/test");
        let once = service["command"] == json!(["migrate"]);
        // Its image has no second program; the rule `watched` sees that Prometheus asks it.
        if once || name == "collector" {
            continue;
        }
        // Reading the configuration once more says nothing of the process; redis-cli without `-e` takes an error for an answer.
        let only_reads =
            test.contains(&"-c") || test.contains(&"validate") || test.contains(&"config");
        let takes_errors = test.contains(&"redis-cli") && !test.contains(&"-e");
        if test.len() < 3 || test[0] != "CMD" || only_reads || takes_errors {
            faults.push(format!("{name}: {test:?} shows no health"));
        }
    }
    faults
}

/// Alerts are evaluated and go somewhere, and all that can be asked is.
fn watched(file: &Value) -> Vec<String> {
    let settings: Value = serde_yaml_ng::from_str(&read("config/prometheus.yml")).unwrap();
    let prometheus = &file["services"]["prometheus"];
    let rules = words(&settings, "/rule_files");
    let mut faults = Vec::new();
    for rules_file in ["slo.rules.yml", "hub.rules.yml"] {
        let mounted = words(prometheus, "/volumes").into_iter().any(|mount| {
            let mut parts = mount.split(':');
            let (from, to) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            from.ends_with(&format!("monitoring/prometheus/{rules_file}"))
                && rules.iter().any(|glob| {
                    let (before, after) = glob.split_once('*').unwrap_or((glob, ""));
                    to.starts_with(before) && to.ends_with(after)
                })
        });
        if !mounted {
            faults.push(format!("prometheus reads no {rules_file}"));
        }
    }
    if !settings["alerting"]
        .to_string()
        .contains("alertmanager:9093")
    {
        faults.push("alerts go nowhere".to_owned());
    }
    let jobs = settings["scrape_configs"].to_string();
    for (name, _) in services(file) {
        let asked = match name {
            "hub-blue" | "hub-green" => jobs.contains(&format!("\"{name}\"")),
            "prometheus" => jobs.contains("\"127.0.0.1:9090\""),
            "alertmanager" | "grafana" | "jaeger" | "collector" => {
                jobs.contains(&format!("\"{name}:"))
            }
            // These tell Prometheus nothing by themselves.
            _ => true,
        };
        if !asked {
            faults.push(format!("Prometheus does not ask {name}"));
        }
    }
    faults
}

/// Grafana finds a board, and whatever the board and the alerts ask for is told by the server.
fn boards(file: &Value) -> Vec<String> {
    let grafana = &file["services"]["grafana"];
    let mut faults = Vec::new();
    let mounted = |to: &str| {
        words(grafana, "/volumes").into_iter().find_map(|mount| {
            mount
                .strip_suffix(":ro")?
                .strip_suffix(to)?
                .strip_suffix(':')
        })
    };
    let provider = mounted("/etc/grafana/provisioning/dashboards/hub.yml");
    let board = mounted("/etc/grafana/boards/security-hub.json");
    let (Some(provider), Some(board)) = (provider, board) else {
        return vec!["Grafana has no board".to_owned()];
    };
    if !read(provider).contains("path: /etc/grafana/boards") {
        faults.push("Grafana looks for boards elsewhere".to_owned());
    }
    let server = read("../../crates/hub/src/metrics.rs");
    let written: Value = serde_json::from_str(&read(board)).unwrap();
    let asked: Vec<&str> = written["panels"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .filter_map(|target| target["expr"].as_str())
        .collect();
    if asked.len() < 8 {
        faults.push(format!("{board}: only {} queries", asked.len()));
    }
    for query in asked {
        for word in query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let Some(metric) = word.strip_prefix("hub_") else {
                continue;
            };
            let plain = ["_total", "_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| metric.strip_suffix(end));
            if !server.contains(&format!("\"{}\"", plain.unwrap_or(metric))) {
                faults.push(format!("{board}: the server tells no {word}"));
            }
        }
    }
    faults
}

#[test]
fn every_rule_holds_for_every_service() {
    let file = compose();
    let found: Vec<String> = RULES
        .iter()
        .flat_map(|(name, rule)| {
            rule(&file)
                .into_iter()
                .map(move |fault| format!("{name}: {fault}"))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// (rule, where, what is put there; null takes it away)
fn faults() -> Vec<(String, String, Value)> {
    serde_yaml_ng::from_str(include_str!("compose/faults.yaml")).unwrap()
}

#[test]
fn every_fault_is_noticed() {
    let sound = compose();
    for (rule, pointer, value) in faults() {
        let mut file = sound.clone();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match file
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{pointer}"))
        {
            Value::Array(items) => items[last.parse::<usize>().unwrap()] = value,
            Value::Object(fields) if value.is_null() => {
                assert!(fields.remove(last).is_some(), "{pointer}");
            }
            Value::Object(fields) => {
                fields.insert(last.to_owned(), value);
            }
            _ => panic!("{pointer}"),
        }
        let (_, check) = RULES.iter().find(|(name, _)| *name == rule).unwrap();
        assert!(!check(&file).is_empty(), "{rule} does not notice {pointer}");
    }
}

#[test]
fn every_rule_is_shown_a_fault() {
    let faults = faults();
    for (rule, _) in RULES {
        let shown = faults.iter().any(|(name, ..)| name == rule);
        assert!(shown, "{rule} is shown no fault");
    }
}
