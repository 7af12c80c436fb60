//! The worst case: the new release is bad and the old one does not come back. People are told, and what is left can be
//! gone on with.

use std::process::Stdio;

use serde_json::json;

use super::agreed::add;
use super::killed::{steps, under_way};
use super::site::Site;
use crate::tool::receiver;
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_when_the_way_back_fails_whole_machine() {
    let site = Site::new().await;
    site.begin().await;
    let (hook, told) = receiver().await;
    std::fs::write(site.at("hook-url"), hook).unwrap();
    add(&site, "[notify]\nwebhook = 'hook-url'\n");
    let config = std::fs::read_to_string(site.at("deploy.toml")).unwrap();
    std::fs::write(
        site.at("deploy.toml"),
        config.replace("ready = \"20s\"", "ready = \"8s\""),
    )
    .unwrap();
    let bad = site.faulty("unready");
    let child = site
        .command(&["deploy", "--release", bad.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the new release's start", || async {
        steps(&under_way(&site)?).filter(|done| *done >= 3)
    })
    .await;
    // Meanwhile the old one ends, and its folder is tidied away.
    std::fs::rename(site.at("1.0.0"), site.at("tidied")).unwrap();
    site.end("blue");
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("`hubctl rollback` goes on with the way back"),
        "{said}"
    );
    let all = told.lock().unwrap().clone();
    assert_eq!(all.len(), 2, "{all:?}");
    let text = all[1]["text"].as_str().unwrap();
    assert!(
        text.contains("is STUCK") && text.contains("SOMEBODY MUST ACT"),
        "{text}"
    );
    assert!(text.contains("1.0.0"), "{text}");
    assert!(
        all[1]["operation"]["back"]
            .as_str()
            .unwrap()
            .contains("it was not ready within 8s"),
        "{all:?}"
    );

    // It fails again, and they are told again; then the folder is where it was.
    let (code, said) = site.run(&["rollback"]).await;
    assert_eq!(code, 5, "{said}");
    assert_eq!(told.lock().unwrap().len(), 3);
    std::fs::rename(site.at("tidied"), site.at("1.0.0")).unwrap();
    let (code, outcome) = site.run(&["rollback"]).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("rolled_back")),
        "{outcome}"
    );
    assert_eq!(site.live().await, "1.0.0");
    let last = told.lock().unwrap().last().unwrap()["text"].clone();
    assert!(last.as_str().unwrap().contains("TAKEN BACK"), "{last}");
}
