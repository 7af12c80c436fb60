//! The data directory's disk is full: what cannot be kept is refused, nothing is half done, and room is all that it takes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hub_testkit::hub::Setting;
use serde_json::{Value, json};

use crate::tool::patiently;
use crate::world::{Actor, PASSWORD, make_tenant, start};

/// A small file system of its own, gone when dropped.
pub(crate) struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this user may not mount one.
    pub(crate) fn new(megabytes: u32) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0755")])
            .arg("tmpfs")
            .arg(home.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(home))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server that is being killed may hold a file for a moment.
        let _gone = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn line(batch: u32) -> String {
    let padding = "x".repeat(2000);
    format!("{{\"time\":\"2026-11-23T10:00:00Z\",\"batch\":{batch},\"padding\":\"{padding}\"}}\n")
        .repeat(500)
}

async fn ingest(owner: &Actor, batch: u32) -> Option<reqwest::Response> {
    let request = owner.request(
        reqwest::Method::POST,
        "/api/v2/events?format=json&source=shop",
    );
    request.body(line(batch)).send().await.ok()
}

#[tokio::test]
async fn a_full_disk_refuses_writes_keeps_what_it_acknowledged_and_recovers_by_itself() {
    let Some(disk) = Disk::new(400) else {
        println!(
            "SKIPPED: a_full_disk_refuses_writes_keeps_what_it_acknowledged_and_recovers_by_itself: this user may not mount a small tmpfs"
        );
        return;
    };
    let mut hub = start(Setting::default(), disk.path()).await;
    let nobody = Actor::anonymous(&hub);
    let enrol = json!({"secret": hub.secret, "username": "root", "email": "r@x.example", "password": PASSWORD});
    nobody.post("/api/v2/enrol", enrol).await.expect(201);
    let operator = nobody.signed_in("system", "root").await;
    make_tenant(&operator, "acme").await;
    let owner = nobody.signed_in("acme", "ada").await;

    let ballast = disk.fill();
    let mut acknowledged = Vec::new();
    let mut refused = false;
    for batch in 0..400 {
        let Some(answer) = ingest(&owner, batch).await else {
            panic!("no answer to batch {batch}: {}", hub.log());
        };
        let status = answer.status().as_u16();
        let is_told_when = answer.headers().contains_key("retry-after");
        let body = answer.json::<Value>().await.unwrap();
        if status == 202 {
            acknowledged.push(body["batch_id"].clone());
            continue;
        }
        assert!((status, is_told_when) == (503, true), "{status}: {body}");
        refused = true;
        break;
    }
    assert!(refused, "half a gigabyte found room on a full disk");
    // Whoever runs the hub reads in its log what to do; clients read nothing of our disks.
    patiently("the reason in the log", || async {
        let log = hub.log();
        log.contains("No space left on device").then_some(())
    })
    .await;

    std::fs::remove_file(ballast).unwrap();
    patiently("room helps", || async {
        let answer = ingest(&owner, 1000).await?;
        (answer.status() == 202).then_some(())
    })
    .await;
    nobody.sign_in("acme", "ada", PASSWORD).await.expect(200);
    let export = patiently("every acknowledged batch in the ledger", || async {
        let export = owner.get("/api/v2/ledger/export").await.body;
        let text = export.as_str()?.to_owned();
        let stands = |id: &Value| text.contains(id.as_str().unwrap_or("none"));
        acknowledged.iter().all(stands).then_some(text)
    })
    .await;
    let report =
        hub_ledger::export::verify(export.as_bytes(), &hub_ledger::export::Expect::default());
    assert!(report.is_whole(), "{report:?}");
    hub.terminate().unwrap();
    let status = tokio::task::spawn_blocking(move || hub.wait().unwrap())
        .await
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
