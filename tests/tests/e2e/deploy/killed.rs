//! `hubctl` killed with SIGKILL at every entry of its journal, forward and on the way back: nothing is lost, nobody notices,
//! and the next command goes on in the direction in which it went.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::load::{Load, Pace};
use super::site::Site;
use super::unharmed;

/// What a whole deploy leaves in the journal: gates, migrate, start, ready, smoke, three shares, bake, retire.
pub(super) const ENTRIES: usize = 10;
/// The same for a return to a kept release: migrate, start, ready, smoke, share, bake, retire.
const RETURNING: usize = 7;

/// The journal of what is under way.
pub(super) fn under_way(site: &Site) -> Option<Value> {
    let text = std::fs::read_to_string(site.at("state/current.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// How many entries it has.
pub(super) fn steps(journey: &Value) -> Option<usize> {
    Some(journey["entries"].as_array()?.len())
}

/// The history as something that cannot be read to its end: whoever has taken the last step stays there until killed.
struct Halt {
    path: PathBuf,
    aside: PathBuf,
}

impl Halt {
    /// `once`: it can be read once, as a rollback does before it begins.
    fn before_the_history(site: &Site, once: bool) -> Self {
        let (path, aside) = (site.at("state/history.jsonl"), site.at("history"));
        std::fs::rename(&path, &aside).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        if once {
            let (path, text) = (path.clone(), std::fs::read(&aside).unwrap());
            // Waits for whoever reads.
            std::thread::spawn(move || std::fs::write(path, text));
        }
        Self { path, aside }
    }
}

impl Drop for Halt {
    fn drop(&mut self) {
        std::fs::rename(&self.aside, &self.path).unwrap();
    }
}

fn begin(site: &Site, arguments: &[&str]) -> Child {
    let mut command = site.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Kills it as soon as its journal is as it should be.
async fn killed_when(site: &Site, arguments: &[&str], is_there: impl Fn(&Value) -> bool) {
    let _halt = Halt::before_the_history(site, arguments[0] == "rollback");
    let mut child = begin(site, arguments);
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "{arguments:?} ended before"
        );
        let journey = under_way(site);
        if journey.as_ref().is_some_and(&is_there) {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
        // It stays at the history, whichever way it went.
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{arguments:?} went another way: {journey:#?}");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) async fn killed_after(site: &Site, arguments: &[&str], count: usize) {
    killed_when(site, arguments, |journey| steps(journey) >= Some(count)).await;
    let (code, status) = site.run(&["status"]).await;
    assert_eq!(code, 1, "{status}");
    assert_ne!(status["unfinished"], Value::Null, "after {count}: {status}");
}

pub(super) fn deploying(release: &Path) -> [&str; 3] {
    ["deploy", "--release", release.to_str().unwrap()]
}

/// Looks no longer than it must: what is judged is tried beside.
fn hurried(site: &Site) {
    let config = std::fs::read_to_string(site.at("deploy.toml")).unwrap();
    let quick = config
        .replace("\nstep = \"2s\"", "\nstep = \"1s\"")
        .replace("\nbake = \"2s\"", "\nbake = \"1s\"");
    assert_ne!(quick, config);
    std::fs::write(site.at("deploy.toml"), quick).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_killed_at_any_step_is_gone_on_with_or_taken_back_whole_machine() {
    let site = Site::new().await;
    hurried(&site);
    let token = site.begin().await;
    let load = Load::at(Pace::LIGHT, &site.url, &token);
    // Gone on with and taken back by turns; after the last step both.
    let turns = (1..=ENTRIES).map(|count| (count, count % 2 == 0));
    for (turn, (count, goes_on)) in turns.chain([(ENTRIES, false)]).enumerate() {
        let name = format!("2.0.{turn}");
        let release = site.release(&name);
        let before = site.live().await;
        killed_after(&site, &deploying(&release), count).await;
        let (outcome, live) = if goes_on {
            (site.deploy(&release).await, name)
        } else {
            (site.run(&["rollback", "--unfinished"]).await, before)
        };
        let word = if goes_on { "deployed" } else { "rolled_back" };
        assert_eq!(
            (outcome.0, &outcome.1["outcome"]),
            (0, &json!(word)),
            "after {count}: {}",
            outcome.1
        );
        assert_eq!(site.live().await, live, "after {count}");
    }
    // Nothing is left: then it changes nothing, where a plain rollback would bring the release before in.
    let live = site.live().await;
    let (code, said) = site.run(&["rollback", "--unfinished"]).await;
    assert_eq!((code, &said), (0, &json!({"unfinished": null})));
    assert_eq!(site.live().await, live);
    unharmed(&load.stop().await);
}

/// Whoever goes on may do so long after the bake: then it is not the release that serves that is stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_baked_release_that_is_gone_is_taken_back_whole_machine() {
    let site = Site::new().await;
    hurried(&site);
    let token = site.begin().await;
    let release = site.release("1.1.0");
    let load = Load::at(Pace::LIGHT, &site.url, &token);
    // With all of the traffic, in its bake. The step after it is too short to be met: its journal is written on.
    killed_after(&site, &deploying(&release), ENTRIES - 2).await;
    let mut journey = under_way(&site).unwrap();
    journey["stage"] = json!("baked");
    std::fs::write(site.at("state/current.json"), journey.to_string()).unwrap();
    let report = load.stop().await;
    unharmed(&report);
    site.end("green");
    let (code, outcome) = site.deploy(&release).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (1, &json!("rolled_back")),
        "{outcome}"
    );
    let why = outcome["back"].as_str().unwrap();
    assert!(why.contains("does not serve any more"), "{why}");
    assert_eq!(site.live().await, "1.0.0");
    unharmed(&site.load(&token).answered(300).await);
}

/// To take the return back would be to bring in again what was to go; and no gate of a deploy holds it up.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rollback_is_gone_on_with_by_the_next_rollback_whole_machine() {
    let site = Site::new().await;
    hurried(&site);
    let token = site.begin().await;
    let second = site.release("1.1.0");
    let (code, outcome) = site.deploy(&second).await;
    assert_eq!(code, 0, "{outcome}");
    let config = std::fs::read_to_string(site.at("deploy.toml")).unwrap();
    let freeze = "[[gates.freeze]]\nfrom = '2020-01-01T00:00:00Z'\nuntil = '2120-01-01T00:00:00Z'\nwhy = 'holidays'\n";
    std::fs::write(site.at("deploy.toml"), format!("{config}\n{freeze}")).unwrap();
    let load = Load::at(Pace::LIGHT, &site.url, &token);
    // There and back again, one entry later each time.
    for count in 0..=RETURNING {
        let live = site.live().await;
        let kept = if live == "1.0.0" { "1.1.0" } else { "1.0.0" };
        let to = site.at(kept);
        killed_after(&site, &["rollback", "--to", to.to_str().unwrap()], count).await;
        // Neither another release nor a deploy comes between, and it is said what goes on.
        let (code, said) = site
            .run(&["rollback", "--to", site.at(&live).to_str().unwrap()])
            .await;
        assert_eq!(code, 5, "{said}");
        assert!(
            said.to_string()
                .contains("`hubctl rollback` goes on with it"),
            "{said}"
        );
        let (code, back) = site.run(&["rollback"]).await;
        assert_eq!(
            (code, &back["outcome"], &back["kind"]),
            (0, &json!("deployed"), &json!("rollback")),
            "after {count}: {back}"
        );
        assert_eq!(site.live().await, kept, "after {count}");
    }
    unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_was_killed_is_gone_on_with_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    site.watched_long();
    let bad = site.faulty("errors 50");
    let load = site.readers(&token);
    // As soon as it is decided, and when all but the record is done.
    let decided = |journey: &Value| journey["back"].is_string();
    let done = |journey: &Value| {
        let last = journey["entries"].as_array().and_then(|all| all.last());
        last.is_some_and(|last| last["step"] == "roll_back")
    };
    for (name, is_there) in [
        ("decided", &decided as &(dyn Fn(&Value) -> bool + Sync)),
        ("done", &done),
    ] {
        killed_when(&site, &deploying(&bad), is_there).await;
        let (code, said) = site.deploy(&bad).await;
        assert_eq!(code, 5, "a bad release is not gone on with: {said}");
        let (code, outcome) = site.run(&["rollback"]).await;
        assert_eq!(
            (code, &outcome["outcome"]),
            (0, &json!("rolled_back")),
            "{name}: {outcome}"
        );
        let why = outcome["back"].as_str().unwrap();
        assert!(why.contains("requests failed"), "{name}: {why}");
        assert_eq!(site.live().await, "1.0.0");
    }
    unharmed(&load.stop().await);
}
