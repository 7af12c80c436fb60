//! `hubctl` as an operator runs it, and the real logs that some tests read.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};

use crate::world::{Actor, World};

/// An API key of `acme`'s owner with these scopes, as an actor and as the text for `hubctl`.
pub(crate) async fn key(world: &World, scopes: &[&str]) -> (Actor, String) {
    let body = json!({"name": "collector", "scopes": scopes});
    let answer = world.owner.post("/api/v2/api-keys", body).await;
    let key = answer.expect(201).text("key").to_owned();
    (world.owner.with(&key), key)
}

/// Runs `hubctl` to its end.
pub(crate) async fn hubctl(url: &str, credential: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command
        .args(["--url", url])
        .args(arguments)
        .env_remove("HUB_URL")
        .env("HUB_TOKEN", credential);
    tokio::task::spawn_blocking(move || command.output().expect("hubctl could not be started"))
        .await
        .unwrap()
}

/// What `hubctl --json` answered; it must have succeeded.
#[track_caller]
pub(crate) fn document(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{:?}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("hubctl --json prints one document")
}

/// The binary under test: `HUBCTL_BIN`, or built by cargo now.
pub(crate) fn binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match std::env::var_os("HUBCTL_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--package", "hubctl", "--bin", "hubctl"])
        .args(["--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo could not be started");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "hubctl does not build:\n{words}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .expect("cargo built no executable")
}

/// A path under the shared test data; `None`, said loudly, where there is none.
#[expect(
    clippy::print_stdout,
    reason = "a skipped test must be seen in the test's output"
)]
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HUB_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let whole = root.join(path);
    if whole.exists() {
        return Some(whole);
    }
    println!("SKIPPED: {test}: no ../shared/data");
    None
}

/// Every item of a paged list.
pub(crate) async fn all(actor: &Actor, path: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = actor.get(&format!("{path}?limit=200{after}")).await;
        let page = &page.expect(200).body;
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else {
            return items;
        };
        after = format!("&after={next}");
    }
}

/// As [`until`](crate::world::until), for work that takes a loaded machine longer.
pub(crate) async fn patiently<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come about within a minute");
}

/// A receiver of webhooks on a socket of its own; its URL and what it got.
pub(crate) async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    type Got = Arc<Mutex<Vec<Value>>>;
    let got = Got::default();
    let take = |State(got): State<Got>, body: Bytes| async move {
        got.lock()
            .unwrap()
            .push(serde_json::from_slice(&body).unwrap());
    };
    let router = Router::new()
        .route("/hook", post(take))
        .with_state(Arc::clone(&got));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, got)
}
