//! The way back where something is in its way: the traffic comes first, and who does not answer is asked again.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use super::killed::{deploying, steps, under_way};
use super::site::Site;
use super::unharmed;
use crate::world::until;

fn begin(site: &Site, arguments: &[&str]) -> Child {
    let mut command = site.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

async fn reaches(site: &Site, count: usize) {
    until("the step", || async {
        steps(&under_way(site)?).filter(|done| *done >= count)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_tried_until_the_load_balancer_answers_again_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    let next = site.release("1.1.0");
    let load = site.load(&token);
    let mut child = begin(&site, &deploying(&next));
    reaches(&site, 6).await;
    // It serves, and nobody can ask it for anything.
    std::fs::rename(site.at("haproxy.sock"), site.at("aside")).unwrap();
    let (tell, told) = mpsc::channel();
    let notes = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        notes
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| tell.send(line))
    });
    let notes = tokio::task::spawn_blocking(move || {
        let mut notes = Vec::new();
        while let Ok(line) = told.recv_timeout(Duration::from_secs(30)) {
            let tried = line.contains("the way back is tried again: the load balancer at ");
            notes.push(line);
            if tried {
                return (notes, told);
            }
        }
        panic!("it is not tried again: {notes:#?}");
    });
    let (notes, _told) = notes.await.unwrap();
    std::fs::rename(site.at("aside"), site.at("haproxy.sock")).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}{notes:#?}");
    // Whoever asked it first: the next share, or who watches.
    assert!(
        said.starts_with("taken back: 1.1.0-") && said.contains("the load balancer at "),
        "{said}"
    );
    assert_eq!(site.live().await, "1.0.0");
    unharmed(&load.answered(500).await);
}

/// What it wrote may be what has filled the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_keeps_no_traffic_at_a_bad_release_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    let bad = site.faulty("errors 50");
    let load = site.readers(&token);
    let child = begin(&site, &deploying(&bad));
    reaches(&site, 5).await;
    std::fs::rename(site.at("state"), site.at("away")).unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    for words in [
        "blue has all the traffic, but ",
        "cannot be written",
        "`hubctl rollback` goes on with the way back",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    std::fs::rename(site.at("away"), site.at("state")).unwrap();
    assert_eq!(site.live().await, "1.0.0");
    let report = load.answered(500).await;
    unharmed(&report);
    // On disk it is still on its way forward; it is not believed.
    let (code, outcome) = site.deploy(&bad).await;
    assert_eq!(
        (code, &outcome["outcome"], &outcome["back"]),
        (1, &json!("rolled_back"), &json!("it does not run any more")),
        "{outcome}"
    );
    assert_eq!(site.live().await, "1.0.0");
}
