//! kill -9 during ingest and during containment; the database gone and back.

use std::collections::BTreeSet;

use hub_testkit::hub::Setting;
use serde_json::{Value, json};

use crate::export::{batches, export, verifies};
use crate::world::{Actor, PASSWORD, World, start, until};

#[tokio::test]
async fn a_kill_during_ingest_loses_no_acknowledged_batch_and_doubles_none() {
    let mut world = World::new().await;
    let lines = "{\"time\":\"2026-11-23T10:00:00Z\",\"n\":1}\n".repeat(200);
    let sender = world.owner.clone();
    let sending = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        loop {
            let request = sender
                .request(reqwest::Method::POST, "/api/v2/events?format=json")
                .body(lines.clone());
            let Ok(response) = request.send().await else {
                return acknowledged;
            };
            let Ok(receipt) = response.json::<Value>().await else {
                return acknowledged;
            };
            acknowledged.push(receipt["batch_id"].as_str().unwrap().to_owned());
        }
    });
    until("some batches", || async {
        let rates = world.operator.get("/metrics").await.body;
        let line = rates
            .as_str()?
            .lines()
            .find(|line| line.starts_with("hub_events_ingested_total "))?
            .to_owned();
        (line.rsplit(' ').next()?.parse::<u64>().ok()? > 3000).then_some(())
    })
    .await;
    world.hub.kill().unwrap();
    let acknowledged = sending.await.unwrap();
    let hub = start(Setting::on(&world.database), world.folder.path()).await;
    let owner = Actor::anonymous(&hub).signed_in("acme", "ada").await;
    let found = until("every batch in the ledger", || async {
        let found = batches(&export(&owner).await);
        let ids: BTreeSet<&String> = found.iter().map(|(id, _)| id).collect();
        acknowledged
            .iter()
            .all(|id| ids.contains(id))
            .then(|| found.clone())
    })
    .await;
    let distinct: BTreeSet<&String> = found.iter().map(|(id, _)| id).collect();
    assert_eq!(distinct.len(), found.len(), "a batch stands twice");
    assert!(found.iter().all(|(_, accepted)| *accepted == 200));
    // At most the one that was on its way and could not be acknowledged any more.
    assert!(
        found.len() <= acknowledged.len() + 1,
        "{} > {}",
        found.len(),
        acknowledged.len()
    );
    verifies(&export(&owner).await);
}

#[tokio::test]
async fn a_kill_during_containment_ends_in_one_incident_contained_once() {
    let mut world = World::new().await;
    let attacker = Actor::at(&world.hub, [127, 67, 0, 9]);
    for number in 0..12 {
        attacker
            .sign_in("acme", &format!("user{number}"), "Winter2026! guess")
            .await;
    }
    // No waiting: detection and containment are on their way now.
    world.hub.kill().unwrap();
    let hub = start(Setting::on(&world.database), world.folder.path()).await;
    let owner = Actor::anonymous(&hub).signed_in("acme", "ada").await;
    let incidents = until("the contained incident", || async {
        let items = owner.get("/api/v2/incidents").await.body["items"].clone();
        (!items[0]["contained_at"].is_null()).then_some(items)
    })
    .await;
    assert_eq!(incidents.as_array().unwrap().len(), 1, "{incidents}");
    assert_eq!(
        owner.get("/api/v2/blocks").await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // The doors read the block right after it is committed.
    let attacker = Actor::at(&hub, [127, 67, 0, 9]);
    until("the refusal", || async {
        let answer = attacker.sign_in("acme", "ada", PASSWORD).await;
        (answer.problem() == "address-blocked").then_some(())
    })
    .await;
    verifies(&export(&owner).await);
}

#[tokio::test]
async fn a_database_that_goes_and_comes_back_costs_503s_and_nothing_else() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut hub = start(Setting::default(), folder.path()).await;
    let nobody = Actor::anonymous(&hub);
    let enrol = json!({"secret": hub.secret, "username": "root", "email": "r@x.example", "password": PASSWORD});
    nobody.post("/api/v2/enrol", enrol).await.expect(201);
    let operator = nobody.signed_in("system", "root").await;
    let before = operator.get("/api/v2/ledger/head").await.expect(200).body["size"]
        .as_u64()
        .unwrap();
    let pid = private_database(hub.pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let statuses = until("the way back", || async {
        let answer = operator.get("/api/v2/ledger/head").await;
        assert!([200, 503].contains(&answer.status), "{}", answer.body);
        (answer.status == 200 && nobody.get("/health/ready").await.status == 200).then_some(answer)
    })
    .await;
    assert!(statuses.body["size"].as_u64().unwrap() >= before);
    nobody.sign_in("system", "root", PASSWORD).await.expect(200);
    // In good order, so that the private database goes with it.
    hub.terminate().unwrap();
    let status = tokio::task::spawn_blocking(move || hub.wait().unwrap())
        .await
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

/// The postmaster of the server's private cluster: the `postgres` process that the server's data directory names.
fn private_database(hub: u32) -> nix::unistd::Pid {
    let environ = std::fs::read(format!("/proc/{hub}/environ")).unwrap();
    let data = environ
        .split(|byte| *byte == 0)
        .find_map(|pair| {
            String::from_utf8_lossy(pair)
                .strip_prefix("HUB_DATA_DIR=")
                .map(str::to_owned)
        })
        .unwrap();
    let key = data.rsplit('/').next().unwrap().to_owned();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(id) = name.parse::<i32>() else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("postgres") && line.contains(" -D ") && belongs(&line, &data, &key) {
            return nix::unistd::Pid::from_raw(id);
        }
    }
    panic!("no private database of {data} is running");
}

fn belongs(line: &str, data: &str, key: &str) -> bool {
    line.contains(data) || line.contains(key)
}
