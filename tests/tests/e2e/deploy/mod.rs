//! Blue-green deploys on one host, through the shipped HAProxy configuration, while people work: nobody notices.

mod agreed;
mod cluster;
mod compose;
mod insists;
mod killed;
mod load;
mod previous;
mod release;
mod site;
mod stuck;

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use reqwest::Method;
use serde_json::{Value, json};

use self::load::{KEEPERS, Report};
use self::site::Site;
use crate::world::until;

fn unharmed(report: &Report) {
    assert!(report.failed.is_empty(), "{report:?}");
    assert!(report.answered > 200, "{report:?}");
    assert!(report.closed <= KEEPERS, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_and_its_rollback_cost_nobody_a_request_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    let second = site.release("1.1.0");
    let (code, said) = site
        .run(&["migrate", "--release", second.to_str().unwrap()])
        .await;
    assert_eq!(code, 0, "{said}");
    let load = site.load(&token);
    let (code, outcome) = site.deploy(&second).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    let steps: Vec<&str> = outcome["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "gates", "migrate", "start", "ready", "smoke", "share", "share", "share", "bake",
            "retire", "end"
        ]
    );
    // It was judged by what people really did, at both colours.
    let share = &outcome["entries"][6]["figures"];
    assert!(share["new"]["requests"].as_u64() > Some(50), "{share}");
    assert!(share["old"]["requests"].as_u64() > Some(50), "{share}");
    assert_eq!(site.live().await, "1.1.0");

    let (code, back) = site.run(&["rollback"]).await;
    assert_eq!((code, &back["outcome"]), (0, &json!("deployed")), "{back}");
    assert_eq!(site.live().await, "1.0.0");
    unharmed(&load.stop().await);
    // All are in the ledger, each step with its figures; the migrations too, which were told with the next operation.
    let told = site
        .ask(Method::GET, "/api/v2/operations", &token, Value::Null)
        .await;
    let kinds: Vec<&str> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["rollback", "deploy", "migration", "deploy"],
        "{told}"
    );
    let found = until("the ledger's entries", || async {
        let path = "/api/v2/ledger/entries?operation=operation.end";
        let found = site.ask(Method::GET, path, &token, Value::Null).await;
        (found["items"].as_array()?.len() == 4).then_some(found)
    })
    .await;
    assert!(found.to_string().contains("1.1.0-"), "{found}");
    // How good we are at it is told from the ledger: one of two deploys was taken back.
    let path = "/api/v2/operations/dora";
    let dora = site.ask(Method::GET, path, &token, Value::Null).await;
    assert_eq!(
        (&dora["deploys"], &dora["failed"]),
        (&json!(2), &json!(1)),
        "{dora}"
    );
    assert!(dora["lead_time_s"].as_u64() >= Some(3600), "{dora}");
    assert!(dora["time_to_restore_s"].is_u64(), "{dora}");
    let steps = told["items"][0]["steps"].as_array().unwrap();
    let figures = &steps.last().unwrap()["figures"];
    assert!(figures["switch_ms"].as_u64() > Some(0), "{figures}");
    // Whoever left a release does not come back to it by saying `rollback` once more; only by its name.
    let (code, said) = site.run(&["rollback"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.to_string().contains("no release ran before this one"),
        "{said}"
    );
    assert_eq!(site.live().await, "1.0.0");
    // The session from before both is still one.
    unharmed(&site.load(&token).answered(500).await);
}

/// Each release fails the same requests, and the load balancer tries each of them twice at both, whatever their shares: what fails at
/// both is the fault of neither.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_both_releases_takes_neither_back_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    let (code, outcome) = site.deploy(&site.faulty_as("1.1.0", "route")).await;
    assert_eq!(code, 0, "{outcome}");
    let load = site.load(&token);
    let broken = format!("{}/broken", site.url);
    let asks = tokio::spawn(async move {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        loop {
            let answer = http.get(&broken).send().await.unwrap();
            assert_eq!(answer.status(), 500);
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
    });
    let (code, outcome) = site.deploy(&site.faulty_as("1.2.0", "route")).await;
    assert!(!asks.is_finished());
    asks.abort();
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    // They were seen all the same.
    let errors: u64 = outcome["entries"]
        .as_array()
        .unwrap()
        .iter()
        .fold(0, |sum, entry| {
            let of = |who: &str| entry["figures"][who]["errors"].as_u64().unwrap_or(0);
            sum + of("new") + of("old")
        });
    assert!(errors >= 5, "{outcome}");
    unharmed(&load.stop().await);
}

/// A bad release takes itself back, for the reason that it is bad for, and nobody notices.
async fn takes_itself_back(fault: &str, why: &[&str]) {
    takes_itself_back_at(Site::new().await, fault, why).await;
}

async fn takes_itself_back_at(site: Site, fault: &str, why: &[&str]) {
    let token = site.begin().await;
    site.watched_long();
    let bad = site.faulty(fault);
    let load = site.readers(&token);
    let (code, outcome) = site.deploy(&bad).await;
    let report = load.stop().await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (1, &json!("rolled_back")),
        "{outcome}"
    );
    let said = outcome["back"].as_str().unwrap();
    assert!(why.iter().any(|why| said.contains(why)), "{said}");
    unharmed(&report);
    assert_eq!(site.live().await, "1.0.0");
    let (_, status) = site.run(&["status"]).await;
    assert_eq!(status["unfinished"], Value::Null);
    assert_eq!(status["dora"]["failed"], 1, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_never_ready_takes_itself_back_whole_machine() {
    takes_itself_back(
        "unready",
        &["it was not ready within 20s: /health/ready answered 503"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_fails_two_in_a_hundred_takes_itself_back_whole_machine() {
    takes_itself_back("errors 50", &["requests failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_release_takes_itself_back_whole_machine() {
    let site = Site::new().await;
    let config = std::fs::read_to_string(site.at("deploy.toml")).unwrap();
    // Elsewhere a machine that stops for a moment is no fault of the release.
    let strict = config.replace("slack = \"600ms\"", "slack = \"150ms\"");
    assert_ne!(strict, config);
    std::fs::write(site.at("deploy.toml"), strict).unwrap();
    takes_itself_back_at(site, "slow 300", &["the 95th percentile of its answers"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_crashes_takes_itself_back_whole_machine() {
    takes_itself_back(
        "crash 5",
        &[
            "its process ended",
            "of our own in a row failed",
            "requests failed",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_begin_does_not_whole_machine() {
    let site = Site::new().await;
    site.begin().await;
    let next = site.release("1.1.0");
    // A plan changes nothing.
    let (code, plan) = site
        .run(&["deploy", "--dry-run", "--release", next.to_str().unwrap()])
        .await;
    assert_eq!(
        (code, &plan["plan"]["colour"]),
        (0, &json!("green")),
        "{plan}"
    );
    assert_eq!(site.live().await, "1.0.0");
    // A frozen site, and one that trusts another key.
    let config = site.at("deploy.toml");
    let open = std::fs::read_to_string(&config).unwrap();
    let freeze = "[[gates.freeze]]\nfrom = '2020-01-01T00:00:00Z'\nuntil = '2120-01-01T00:00:00Z'\nwhy = 'holidays'\n";
    std::fs::write(&config, format!("{open}\n{freeze}")).unwrap();
    let (code, refused) = site.deploy(&next).await;
    assert_eq!(code, 1);
    assert!(refused.to_string().contains("holidays"), "{refused}");
    let other = site.hubctl(&[
        "release",
        "key",
        site.at("other-key.json").to_str().unwrap(),
    ]);
    let other = String::from_utf8(other.stdout).unwrap();
    std::fs::write(
        &config,
        format!("{open}\n[gates]\ntrust = '{}'\n", other.trim()),
    )
    .unwrap();
    let (code, refused) = site.deploy(&next).await;
    assert_eq!(code, 2);
    assert!(
        refused
            .to_string()
            .contains("not signed by the trusted key"),
        "{refused}"
    );
    // A changed file.
    std::fs::write(&config, &open).unwrap();
    std::fs::write(next.join("security-hub"), "another").unwrap();
    let (code, refused) = site.deploy(&next).await;
    assert_eq!(code, 2);
    assert!(
        refused
            .to_string()
            .contains("is not the one that was released"),
        "{refused}"
    );
    // A mistyped key.
    std::fs::write(&config, format!("{open}\n[gates]\ntrsut = 'x'\n")).unwrap();
    let (code, refused) = site.deploy(&next).await;
    assert_eq!(code, 2);
    assert!(refused.to_string().contains("trsut"), "{refused}");
    std::fs::write(&config, &open).unwrap();
    assert_eq!(site.live().await, "1.0.0");
}

/// Even if somebody tidied the old release's folder away meanwhile: it still runs.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_deploy_takes_itself_back_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    let next = site.release("1.1.0");
    let load = site.load(&token);
    let child = site
        .command(&["deploy", "--json", "--release", next.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the smoke test", || async {
        killed::steps(&killed::under_way(&site)?).filter(|done| *done >= 4)
    })
    .await;
    std::fs::rename(site.at("1.0.0"), site.at("tidied")).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
        .await
        .unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{outcome}");
    assert_eq!(outcome["back"], "the operator ended it", "{outcome}");
    unharmed(&load.answered(500).await);
    assert_eq!(site.live().await, "1.0.0");
}

/// What is begun is done to its end, and nothing after it: no share is given to what is not wanted any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_interrupted_before_its_first_share_gives_none_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    let next = site.release("1.1.0");
    let load = site.load(&token);
    for (count, signal) in [
        (1, Signal::SIGINT),
        (2, Signal::SIGTERM),
        (3, Signal::SIGHUP),
    ] {
        let child = site
            .command(&["deploy", "--json", "--release", next.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the step", || async {
            killed::steps(&killed::under_way(&site)?).filter(|done| *done >= count)
        })
        .await;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, signal).unwrap();
        let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
            .await
            .unwrap();
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(outcome["back"], "the operator ended it", "{outcome}");
        let steps = outcome["entries"].as_array().unwrap();
        assert!(
            steps.iter().all(|entry| entry["step"] != "share"),
            "after {count}: {outcome}"
        );
        assert_eq!(site.live().await, "1.0.0");
    }
    unharmed(&load.stop().await);
}
