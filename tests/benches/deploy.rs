//! Figures of deploys on one host, through the shipped HAProxy configuration, under load: how long each takes, what people
//! notice, how soon a bad release is seen, and `hubctl` killed at every step. It fails when a limit is missed, after all of them are
//! printed. Optimised binaries by `HUB_BIN` and `HUBCTL_BIN`; `make verify-deploy` sets them.
#![expect(dead_code, reason = "what the tests share is more than is measured")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program that prints figures or fails"
)]

#[path = "../tests/e2e/deploy/killed.rs"]
#[expect(unused_imports, reason = "what its tests use")]
mod killed;
#[path = "../tests/e2e/deploy/load.rs"]
mod load;
#[path = "../tests/e2e/deploy/site.rs"]
mod site;
#[path = "../tests/e2e/tool.rs"]
mod tool;
#[path = "../tests/e2e/world.rs"]
mod world;

use std::ops::Range;
use std::time::Duration;

use hub_base::{Clock as _, SystemClock, Timestamp};
use load::{Load, Pace, Report};
use serde_json::Value;
use site::Site;
use tokio::time::sleep;

/// As many as the machine answers.
const FULL: Pace = Pace {
    keepers: 12,
    strangers: 2,
    writers: 2,
    pause: Duration::ZERO,
};
/// The same while a release is bad: what it fails to write, nobody else is asked to.
const READING: Pace = Pace { writers: 0, ..FULL };
/// How long the load runs before anything is changed: its first second is not looked at, and the rest is as long as a deploy, so
/// that both percentiles are of as many requests.
const BEFORE: Duration = Duration::from_secs(10);
/// The 99th percentile while traffic moves, in a deploy and in its rollback, as times of the one before.
const SLOWER: f64 = 2.0;
/// From when a release is bad (its first request, or its crash) until that is decided.
const DECIDED: Duration = Duration::from_secs(15);
/// When a release that is good at first fails or crashes, after its start.
const LATE: Duration = Duration::from_secs(20);
/// For how long a release is waited for (deploy.toml of the tests).
const READY: Duration = Duration::from_secs(20);
/// What people do at full pace, at least, a second. Not of binaries that are not optimised.
const RATE: f64 = if cfg!(debug_assertions) {
    100.0
} else {
    2000.0
};

#[tokio::main]
async fn main() {
    // Cargo passes `--bench`; after `--` stand the parts that are wanted, all of them if none is named.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let mut missed = Vec::new();
    if wants("good") {
        for (name, pace) in [
            ("500 requests a second", Pace::STEADY),
            ("as many as it answers", FULL),
        ] {
            missed.extend(good(name, pace).await);
        }
    }
    if wants("bad") {
        missed.extend(each_bad().await);
    }
    if wants("killed") {
        missed.extend(interrupted().await);
    }
    assert!(missed.is_empty(), "limits missed:\n{}", missed.join("\n"));
}

/// A release that is bad in each way.
async fn each_bad() -> Vec<String> {
    let mut missed = Vec::new();
    for pace in [Pace::READING, READING] {
        missed.extend(bad("errors 50", None, pace, &["requests failed"]).await);
        missed.extend(bad("slow 400", None, pace, &["95th percentile"]).await);
    }
    let unready = ["was not ready within"];
    missed.extend(bad("unready", Some(READY), READING, &unready).await);
    let late = LATE.as_secs();
    for pace in [Pace::READING, READING] {
        let late = format!("errors 50 {late}");
        missed.extend(bad(&late, Some(LATE), pace, &["requests failed"]).await);
    }
    let crash = format!("crash {late}");
    let gone = ["its process ended", "requests failed", "in a row failed"];
    missed.extend(bad(&crash, Some(LATE), READING, &gone).await);
    missed
}

/// What was missed, of (what, whether it holds).
fn missed(name: &str, limits: &[(String, bool)]) -> Vec<String> {
    let missed = limits.iter().filter(|(_, holds)| !holds);
    missed.map(|(what, _)| format!("{name}: {what}")).collect()
}

async fn good(name: &str, pace: Pace) -> Vec<String> {
    let site = Site::new().await;
    let token = site.begin().await;
    let second = site.release("1.1.0");
    let began = SystemClock.now();
    let load = Load::at(pace, &site.url, &token);
    sleep(BEFORE).await;
    let (_, deploy) = site.deploy(&second).await;
    let (_, back) = site.run(&["rollback"]).await;
    let report = load.stop().await;
    let before = percentile(&report, &[Duration::from_secs(1)..BEFORE]);
    let switches = [switch(&deploy, began), switch(&back, began)];
    let during = percentile(&report, &switches);
    let whole = percentile(&report, &[BEFORE..Duration::MAX]);
    let failed: usize = report.failed.values().sum();
    println!(
        "{name}: {:.0} a second; deploy {} s, switch {} s; rollback {} s, switch {} s; started and ready in {} s; {} requests, \
         {failed} failed, {} asked again; p99 {:.1} ms before, {:.1} ms while traffic moved ({:.2} times), {:.1} ms from the deploy's \
         start to the rollback's end",
        report.rate,
        seconds(&deploy["total_ms"]),
        seconds(&deploy["switch_ms"]),
        seconds(&back["total_ms"]),
        seconds(&back["switch_ms"]),
        ready(&deploy),
        report.answered,
        report.closed,
        before * 1000.0,
        during * 1000.0,
        during / before,
        whole * 1000.0,
    );
    missed(
        name,
        &[
            (format!("{failed} requests failed"), failed == 0),
            (
                format!(
                    "p99 while traffic moved is {:.2} times the one before",
                    during / before
                ),
                during <= SLOWER * before,
            ),
            (
                format!("only {:.0} requests a second", report.rate),
                report.rate >= if pace.pause.is_zero() { RATE } else { 100.0 },
            ),
            (
                "it was not deployed".to_owned(),
                deploy["outcome"] == "deployed",
            ),
            (
                "it was not rolled back".to_owned(),
                back["outcome"] == "deployed",
            ),
        ],
    )
}

/// `hubctl` killed (SIGKILL) at every entry of its journal, gone on with and taken back by turns.
async fn interrupted() -> Vec<String> {
    let site = Site::new().await;
    let token = site.begin().await;
    let load = Load::at(FULL, &site.url, &token);
    let mut wrong = Vec::new();
    for count in 1..=killed::ENTRIES {
        let name = format!("2.0.{count}");
        let release = site.release(&name);
        let before = site.live().await;
        killed::killed_after(&site, &killed::deploying(&release), count).await;
        let ((code, outcome), wanted) = if count % 2 == 0 {
            (site.deploy(&release).await, name)
        } else {
            (site.run(&["rollback", "--unfinished"]).await, before)
        };
        if code != 0 || site.live().await != wanted {
            wrong.push((
                format!("killed after {count} steps: {wanted} does not run: {outcome}"),
                false,
            ));
        }
    }
    let report = load.stop().await;
    let failed: usize = report.failed.values().sum();
    println!(
        "hubctl killed at each of {} steps at {:.0} requests a second: {failed} of {} failed",
        killed::ENTRIES,
        report.rate,
        report.answered,
    );
    wrong.push((format!("{failed} requests failed"), failed == 0));
    missed("kill -9", &wrong)
}

/// Nobody noticed. (The tests' own measure, which `killed` shares.)
fn unharmed(report: &Report) {
    assert!(report.failed.is_empty(), "{report:?}");
}

/// A release that is bad from its first request on, or that long after its start; and for what it must be taken back.
async fn bad(fault: &str, after: Option<Duration>, pace: Pace, why: &[&str]) -> Vec<String> {
    let site = Site::new().await;
    // As careful as operators are by default; the tests beside have more patience with a machine that stops for a moment.
    let config = std::fs::read_to_string(site.at("deploy.toml")).unwrap();
    let (before, _) = config.split_once("[policy.tolerance]").unwrap();
    let mut strict = before.replace("look = \"200ms\"\n", "");
    assert_ne!(strict, before);
    // Long enough for it to be still watched when it becomes bad, with all of the traffic.
    strict = match after {
        Some(_) => strict.replace("bake = \"2s\"", "bake = \"30s\""),
        None => strict.replace("step = \"2s\"", "step = \"10s\""),
    };
    std::fs::write(site.at("deploy.toml"), strict).unwrap();
    let token = site.begin().await;
    let release = site.faulty(fault);
    let load = Load::at(pace, &site.url, &token);
    sleep(Duration::from_secs(2)).await;
    let (_, outcome) = site.deploy(&release).await;
    let report = load.stop().await;
    if outcome["outcome"] != "rolled_back" {
        println!("a release with `{fault}`: {outcome}");
        return vec![format!("{fault}: it was not taken back")];
    }
    let entries = outcome["entries"].as_array().unwrap();
    let last = |step: &str| entries.iter().rfind(|entry| entry["step"] == step).unwrap();
    let at = |step: &str| -> Timestamp { last(step)["at"].as_str().unwrap().parse().unwrap() };
    let took = last("roll_back")["took_ms"].as_u64().unwrap();
    // It got its first request after the smoke test; it was decided when the way back began.
    let (began, since) = match after {
        None => (at("smoke"), Duration::ZERO),
        Some(after) => (at("start"), after),
    };
    let until = at("roll_back")
        .since(began)
        .saturating_sub(Duration::from_millis(took));
    let decided = until.saturating_sub(since);
    let failed: usize = report.failed.values().sum();
    let said = outcome["back"].as_str().unwrap_or_default();
    println!(
        "a release with `{fault}` at {:.0} requests a second: decided {:.1} s after it was bad, all back {} s later; {failed} of {} failed: {}",
        report.rate,
        decided.as_secs_f64(),
        seconds(&outcome["back_ms"]),
        report.answered,
        said,
    );
    missed(
        fault,
        &[
            (format!("{failed} requests failed"), failed == 0),
            (format!("decided after {decided:?}"), decided <= DECIDED),
            // A process starts a moment before that is written down.
            (
                format!("decided after {until:?}, when it was good"),
                until + Duration::from_secs(1) > since,
            ),
            (
                format!("taken back because {said}"),
                why.iter().any(|why| said.contains(why)),
            ),
        ],
    )
}

/// When traffic moved, from the load's beginning on: what the engine calls the switch begins when the smoke test is over.
fn switch(outcome: &Value, began: Timestamp) -> Range<Duration> {
    let entries = outcome["entries"].as_array().unwrap();
    let smoke = entries.iter().find(|entry| entry["step"] == "smoke");
    let at: Timestamp = smoke.unwrap()["at"].as_str().unwrap().parse().unwrap();
    let from = at.since(began);
    let took = Duration::from_millis(outcome["switch_ms"].as_u64().unwrap());
    from..from + took
}

/// The 99th percentile of the requests that were answered in one of the spans, in seconds.
fn percentile(report: &Report, spans: &[Range<Duration>]) -> f64 {
    let within = report
        .took
        .iter()
        .filter(|(at, _)| spans.iter().any(|span| span.contains(at)));
    let mut took: Vec<Duration> = within.map(|(_, took)| *took).collect();
    took.sort_unstable();
    took.get(took.len() * 99 / 100)
        .map_or(f64::NAN, Duration::as_secs_f64)
}

fn seconds(ms: &Value) -> f64 {
    ms.as_f64()
        .map_or(f64::NAN, |ms| (ms / 10.0).round() / 100.0)
}

/// From the start of its process until it was ready, on the migrated database.
fn ready(outcome: &Value) -> f64 {
    let steps = outcome["entries"].as_array().unwrap().iter();
    let steps = steps.filter(|entry| entry["step"] == "start" || entry["step"] == "ready");
    steps
        .filter_map(|entry| entry["took_ms"].as_f64())
        .sum::<f64>()
        / 1000.0
}
