//! `hubctl` is killed in the middle of every step, with people at work, and goes on or back.

use std::process::Child;

use nix::sys::signal::Signal;

use super::site::{Load, Site};
use crate::world::until;

const THING: &str = "token-signing";

/// Where a run is held up, to be killed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The ring was written for the n-th time, and the journal does not know it yet.
    Write(u32),
    /// One server is deaf while the run waits for everybody at this stage.
    Wait(&'static str),
}

const CUTS: [Cut; 4] = [
    Cut::Write(1),
    Cut::Wait("staged"),
    Cut::Write(2),
    Cut::Wait("switched"),
];

/// After the ring is written `hold` times, the command that hands it on waits.
async fn site() -> Site {
    let more = r#"publish = ["sh", "-c", """
n=$(cat 'FOLDER/hold' 2>/dev/null || echo 0)
[ "$n" -gt 0 ] || exit 0
echo $((n - 1)) >'FOLDER/hold'
[ "$n" = 1 ] || exit 0
touch 'FOLDER/held'
while [ -e 'FOLDER/held' ]; do sleep 0.05; done
"""]"#;
    let site = Site::with(more, |setting| setting).await;
    let path = site.at("keys.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let folder = site.folder.path().to_str().unwrap();
    std::fs::write(&path, text.replace("FOLDER", folder)).unwrap();
    site
}

/// Begins, and kills it there.
async fn killed_at(site: &Site, arguments: &[&str], cut: Cut) {
    let deaf = &site.hubs[1];
    let mut child: Child;
    match cut {
        Cut::Write(n) => {
            std::fs::write(site.at("hold"), n.to_string()).unwrap();
            child = site.begin(arguments);
            until("the step's middle", async || {
                site.at("held").exists().then_some(())
            })
            .await;
        }
        Cut::Wait(stage) => {
            let held = if stage == "staged" { 1 } else { 2 };
            std::fs::write(site.at("hold"), held.to_string()).unwrap();
            child = site.begin(arguments);
            until("the write", async || site.at("held").exists().then_some(())).await;
            deaf.signal(Signal::SIGSTOP).unwrap();
            std::fs::remove_file(site.at("held")).unwrap();
            until(stage, async || {
                (site.stage(THING).as_deref() == Some(stage)).then_some(())
            })
            .await;
            // It is waiting for one that does not answer.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    deaf.signal(Signal::SIGCONT).unwrap();
    let _not_held = std::fs::remove_file(site.at("held"));
    std::fs::write(site.at("hold"), "0").unwrap();
}

async fn settled(site: &Site, words: &str) {
    let load = Load::start(&site.hubs, 4, 60).await;
    let stage = site.stage(THING).unwrap();
    assert_eq!(stage, words);
    load.stop().await.expect_none_failed();
    // Tests do not wait until tokens expire.
    site.told(&["retire", THING, "--now"]).await;
    assert_eq!(site.stage(THING), None);
    assert_eq!(site.ring("access-token").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_every_step_it_goes_on() {
    let site = site().await;
    for cut in CUTS {
        let former = site.ring("access-token")[0].clone();
        let load = Load::start(&site.hubs, 4, 60).await;
        killed_at(&site, &["rotate", THING], cut).await;
        let told = site.told(&["rotate", THING]).await;
        load.stop().await.expect_none_failed();
        let ring = site.ring("access-token");
        assert_eq!(told["in_use"], ring[0].as_str(), "{cut:?}");
        assert_eq!(
            ring[1..],
            [former],
            "{cut:?}: one new key, however often it was begun"
        );
        settled(&site, "settled").await;
    }
    // In the middle of the last step, too.
    site.told(&["rotate", THING]).await;
    let used = site.ring("access-token")[0].clone();
    killed_at(&site, &["retire", THING, "--now"], Cut::Write(1)).await;
    site.told(&["retire", THING, "--now"]).await;
    assert_eq!(site.ring("access-token"), [used]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_every_step_it_goes_back() {
    let site = site().await;
    for cut in CUTS {
        let former = site.ring("access-token")[0].clone();
        let load = Load::start(&site.hubs, 4, 60).await;
        killed_at(&site, &["rotate", THING], cut).await;
        let words = site.told(&["undo", THING]).await;
        load.stop().await.expect_none_failed();
        assert_eq!(site.ring("access-token")[0], former, "{cut:?}: {words}");
        if site.stage(THING).is_some() {
            // Somebody may have signed with the new one: it is taken until that has expired.
            site.refused(&["rotate", THING], 5).await;
            settled(&site, "returned").await;
        } else {
            assert!(
                matches!(cut, Cut::Write(1) | Cut::Wait("staged")),
                "{cut:?}"
            );
        }
        assert_eq!(site.ring("access-token"), [former]);
    }
    // A way back that is killed itself is gone on with.
    let former = site.ring("access-token")[0].clone();
    site.told(&["rotate", THING]).await;
    killed_at(&site, &["undo", THING], Cut::Write(1)).await;
    assert_eq!(site.stage(THING).as_deref(), Some("returning"));
    site.told(&["undo", THING]).await;
    assert_eq!(site.ring("access-token")[0], former);
    settled(&site, "returned").await;
    let outcomes: Vec<String> = site
        .operations()
        .await
        .into_iter()
        .map(|one| one.2)
        .collect();
    assert!(
        outcomes.iter().filter(|one| *one == "rolled_back").count() >= 5,
        "{outcomes:?}"
    );
}
