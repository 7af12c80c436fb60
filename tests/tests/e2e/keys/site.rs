//! Two replicas on one database and one key ring, people at work at both of them, and `keys.toml`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hub_testkit::TestDb;
use hub_testkit::hub::{Hub, Setting};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::tool;
use crate::world::{Actor, PASSWORD, start};

pub(super) struct Site {
    pub(super) hubs: Vec<Hub>,
    pub(super) folder: TempDir,
    /// An API key of the operators that may tell what was done and see the servers' state.
    pub(super) key: String,
    pub(super) operator: Actor,
    _database: Option<TestDb>,
}

impl Site {
    pub(super) async fn new() -> Self {
        Self::with("", |setting| setting).await
    }

    /// With these lines at the end of `keys.toml`.
    pub(super) async fn with(more: &str, change: impl Fn(Setting) -> Setting) -> Self {
        let database = hub_testkit::database().await;
        let urls = (database.url_app.clone(), database.url_owner.clone());
        let folder = TempDir::new().unwrap();
        Self::made((urls, Some(database)), folder, more, change).await
    }

    /// On the database that the application and the owner reach by these URLs.
    pub(super) async fn on(
        urls: (String, String),
        folder: TempDir,
        more: &str,
        change: impl Fn(Setting) -> Setting,
    ) -> Self {
        Self::made((urls, None), folder, more, change).await
    }

    async fn made(
        ((url_app, url_owner), database): ((String, String), Option<TestDb>),
        folder: TempDir,
        more: &str,
        change: impl Fn(Setting) -> Setting,
    ) -> Self {
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("owner-url"), &url_owner).unwrap();
        let made = Setting::default().command("keys", folder.path()).unwrap();
        let status = { made }.arg(at("keys.json")).output().unwrap().status;
        assert!(status.success());
        std::fs::write(at("database-url"), format!("{url_app}\n")).unwrap();
        let mut hubs = Vec::new();
        for _ in 0..2 {
            let setting = Setting::default()
                .with("HUB_DATABASE_OWNER_URL", &url_owner)
                .with("DATABASE_URL_FILE", at("database-url").to_str().unwrap())
                .with("HUB_KEYS_FILE", at("keys.json").to_str().unwrap())
                .with("HUB_PUBLIC_URL", "https://hub.example")
                .with("HUB_METRICS_LOOPBACK", "true")
                .with("HUB_LIMITS_REQUESTS_PER_SECOND", "100000")
                .with("HUB_LIMITS_BURST", "100000");
            hubs.push(start(change(setting), folder.path()).await);
        }
        let nobody = Actor::anonymous(&hubs[0]);
        let enrol = json!({"secret": hubs[0].secret, "username": "root", "email": "root@hub.example", "password": PASSWORD});
        nobody.post("/api/v2/enrol", enrol).await.expect(201);
        let operator = nobody.signed_in("system", "root").await;
        let wish = json!({"name": "ops", "scopes": ["operations.record", "operations.read", "health.read", "ledger.read"]});
        let made = operator.post("/api/v2/api-keys", wish).await;
        let key = made.expect(201).text("key").to_owned();
        let urls: Vec<String> = hubs.iter().map(|hub| format!("\"{}\"", hub.url)).collect();
        let text = format!(
            "state = \"rotation\"\nservers = [{}]\npatience = \"20s\"\n[ring]\nfile = \"keys.json\"\n{more}\n",
            urls.join(", ")
        );
        std::fs::write(at("keys.toml"), text).unwrap();
        Self {
            hubs,
            folder,
            key,
            operator,
            _database: database,
        }
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `hubctl keys …` on this site.
    pub(super) async fn keys(&self, arguments: &[&str]) -> Output {
        let config = self.at("keys.toml");
        let all = [
            &["keys"],
            arguments,
            &["--config", config.to_str().unwrap()],
        ]
        .concat();
        tool::hubctl(&self.hubs[0].url, &self.key, &all).await
    }

    /// The same, left running.
    pub(super) fn begin(&self, arguments: &[&str]) -> Child {
        Command::new(tool::binary())
            .args(["--url", &self.hubs[0].url, "keys"])
            .args(arguments)
            .arg("--config")
            .arg(self.at("keys.toml"))
            .env_remove("HUB_URL")
            .env("HUB_TOKEN", &self.key)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The same; it must refuse with this code, and says why.
    pub(super) async fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.keys(arguments).await;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {words}");
        words
    }

    /// The same with `--json`; it must succeed.
    pub(super) async fn told(&self, arguments: &[&str]) -> Value {
        tool::document(&self.keys(&[arguments, &["--json"]].concat()).await)
    }

    /// The ids of a purpose's keys in the ring; the one that signs first.
    pub(super) fn ring(&self, purpose: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.at("keys.json")).unwrap();
        let ring: Value = serde_json::from_str(&text).unwrap();
        let mut keys: Vec<Value> = ring["keys"].as_array().unwrap().clone();
        keys.retain(|key| key["purpose"] == purpose);
        keys.sort_by_key(|key| key["primary"] != true);
        keys.iter()
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What operations the hub's ledger was told of, newest first: kind, subject, outcome.
    pub(super) async fn operations(&self) -> Vec<(String, String, String)> {
        let told = self.operator.get("/api/v2/operations").await;
        let word = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
        let items = told.expect(200).body["items"].as_array().unwrap();
        let three = |one| {
            (
                word(one, "kind"),
                word(one, "subject"),
                word(one, "outcome"),
            )
        };
        items.iter().map(three).collect()
    }

    /// How far an exchange is, by its journal.
    pub(super) fn stage(&self, thing: &str) -> Option<String> {
        stage(&self.at("rotation"), thing)
    }
}

pub(super) fn stage(state: &Path, thing: &str) -> Option<String> {
    let text = std::fs::read_to_string(state.join(format!("{thing}.json"))).ok()?;
    let journey: Value = serde_json::from_str(&text).ok()?;
    Some(journey["stage"].as_str()?.to_owned())
}

/// People at work at both replicas: each has a session, uses its token here and there, and refreshes it all the while.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    workers: JoinSet<()>,
    began: Instant,
    logs: Vec<Arc<Mutex<String>>>,
}

#[derive(Debug)]
pub(super) struct Report {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    pub(super) failures: Vec<String>,
    /// What the hubs said of what they could not do.
    said: Vec<String>,
}

impl Report {
    #[track_caller]
    pub(super) fn expect_none_failed(&self) {
        let shown = &self.failures[..self.failures.len().min(5)];
        let count = self.failures.len();
        assert!(
            count == 0,
            "{count} of {} failed: {shown:#?}; the hubs said {:#?}",
            self.requests,
            self.said
        );
    }
}

/// Requests of one worker between two refreshes of its token.
const BETWEEN: usize = 10;

impl Load {
    /// `rate`: requests a second of all workers together, at most; 0 is as many as are answered, which in a test would try how long
    /// a machine at its limits takes to open a connection: `make bench-keys` measures so.
    pub(super) async fn start(hubs: &[Hub], workers: usize, rate: u64) -> Self {
        let (stop, done) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let failures: Arc<Mutex<Vec<String>>> = Arc::default();
        let actors: Vec<Actor> = hubs.iter().map(Actor::anonymous).collect();
        let pause = match u32::try_from(rate).unwrap() {
            0 => Duration::ZERO,
            rate => Duration::from_secs(workers as u64) / rate,
        };
        let mut set = JoinSet::new();
        for worker in 0..workers {
            let login = actors[worker % actors.len()]
                .sign_in("system", "root", PASSWORD)
                .await;
            let refresh = login.expect(200).text("refresh_token").to_owned();
            let access = login.text("access_token").to_owned();
            let (stop, done, failures, actors) =
                (stop.clone(), done.clone(), failures.clone(), actors.clone());
            set.spawn(async move {
                let (mut refresh, mut access) = (refresh, access);
                let mut n = worker;
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let actor = &actors[n % actors.len()];
                    let answer = if n.is_multiple_of(BETWEEN) {
                        let body = json!({ "refresh_token": refresh });
                        let answer = actor.post("/api/v2/token/refresh", body).await;
                        if answer.status == 200 {
                            answer.text("refresh_token").clone_into(&mut refresh);
                            answer.text("access_token").clone_into(&mut access);
                        }
                        answer
                    } else {
                        actor.with(&access).get("/api/v2/me").await
                    };
                    done.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 {
                        let text = format!("{} {}", answer.status, answer.body);
                        failures.lock().unwrap().push(text);
                    }
                    next = (next + pause).max(Instant::now());
                    tokio::time::sleep_until(next.into()).await;
                }
            });
        }
        Self {
            stop,
            done,
            failures,
            workers: set,
            began: Instant::now(),
            logs: hubs.iter().map(Hub::log_handle).collect(),
        }
    }

    /// Requests that were answered so far.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(super) async fn stop(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        let requests = self.done();
        let mut said = Vec::new();
        for log in &self.logs {
            let log = log.lock().unwrap();
            let faults = log
                .lines()
                .filter(|line| !line.contains(r#""level":"INFO""#));
            said.extend(faults.take(20).map(str::to_owned));
        }
        Report {
            said,
            requests,
            per_second: requests as f64 / self.began.elapsed().as_secs_f64(),
            failures: self.failures.lock().unwrap().clone(),
        }
    }
}
