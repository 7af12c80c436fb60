//! Two repositories, one of them an object store in another region: each keeps everything, and neither needs the other.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::installed;
use super::site::{Site, on, people, words_of};
use super::store::{SECRET, Store};
use crate::tool::patiently;

/// A hub that is backed up into a folder and an object store.
struct Regions {
    site: Site,
    store: Store,
    config: PathBuf,
}

impl Regions {
    async fn new() -> Self {
        let site = Site::new().await;
        let store = Store::new(site.path("region")).await;
        let config = site.path("backup.toml");
        let regions = Self {
            site,
            store,
            config,
        };
        regions.configure(&format!("{}{}", regions.near(), regions.store.toml()));
        regions
    }

    /// A second is all that a test waits for a repository.
    fn configure(&self, repositories: &str) {
        let text = format!("patience = \"1s\"\n{repositories}");
        std::fs::write(&self.config, text).unwrap();
    }

    fn near(&self) -> String {
        format!(
            "[[repository]]\npath = \"{}\"\n",
            self.site.path("near").display()
        )
    }

    fn words<'w>(&'w self, words: &[&'w str]) -> Vec<&'w str> {
        [words, &["--config", self.config.to_str().unwrap()]].concat()
    }

    async fn done(&self, words: &[&str]) -> String {
        self.site.done(&self.words(words)).await
    }

    async fn refused(&self, words: &[&str], part: &str) -> String {
        let output = self.site.hubctl(&self.words(words)).await;
        let said = words_of(&output);
        assert!(!output.status.success(), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
        said
    }

    async fn list(&self) -> Value {
        self.site.json(&self.words(&["backup", "list"])).await
    }

    async fn backups(&self, repository: u8) -> usize {
        let list = self.list().await;
        let all = list["backups"].as_array().unwrap();
        all.iter()
            .filter(|one| one["repository"] == repository)
            .count()
    }

    /// Ends a segment, and waits until the near repository has it.
    async fn near_has_everything(&self) {
        let segment = Site::sql(&self.site.data(), "select pg_walfile_name(pg_switch_wal())");
        patiently("the near repository", || async {
            found(&self.site.path("near"), &segment).then_some(())
        })
        .await;
    }
}

/// Whether a file's name begins so, in a folder or under it.
fn found(folder: &Path, begin: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        entry.file_name().to_string_lossy().starts_with(begin)
            || (path.is_dir() && found(&path, begin))
    })
}

/// The files under a folder in which a text stands.
fn telling(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut told = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            told.extend(telling(&path, text));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
            {
                told.push(path);
            }
        }
    }
    told
}

#[tokio::test]
async fn a_lost_region_is_restored_from_the_other_ones_object_store_alone() {
    if !installed("a_lost_region_is_restored_from_the_other_ones_object_store_alone") {
        return;
    }
    let mut all = Regions::new().await;
    let key = all.site.path("recovery.key").display().to_string();
    let made = all.done(&["backup", "run", "--recovery-key", &key]).await;
    assert_eq!(
        (all.backups(1).await, all.backups(2).await),
        (1, 1),
        "{made}"
    );
    all.site.person("after").await;
    all.site.archived().await;

    let metrics = all.site.path("backup.prom");
    let words = ["backup", "schedule", "--metrics", metrics.to_str().unwrap()];
    all.done(&words).await;
    let figures = std::fs::read_to_string(&metrics).unwrap();
    for line in [
        "hub_backup_repository_up{repository=\"2\"} 1",
        "hub_backup_lag_segments{repository=\"2\"} 0",
        "hub_backup_lag_seconds{repository=\"1\"} 0",
        "hub_backup_lag_limit_seconds{repository=\"2\"} 300",
        "hub_backup_missed{kind=\"full\"} 0",
    ] {
        assert!(figures.contains(line), "{line}: {figures}");
    }
    // The key stands where pgBackRest reads it, and nowhere else: in no log, no record, no command of the database's.
    let told = telling(&all.site.data(), SECRET);
    let is_configuration = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("pgbackrest") && path.extension().is_some_and(|end| end == "conf")
    };
    assert!(told.iter().all(is_configuration), "{told:?}");
    assert!(!told.is_empty() && !made.contains(SECRET));

    all.site.lose();
    std::fs::remove_dir_all(all.site.path("near")).unwrap();
    std::fs::remove_dir_all(all.site.data()).unwrap();
    let into = all.site.path("again");
    let from = all.config.to_str().unwrap();
    let words = ["restore", "--repository", from, "--recovery-key", &key];
    let words = [&words[..], &["--into", into.to_str().unwrap()]].concat();
    all.site
        .refused(&words, "say which with --repository-number")
        .await;
    let words = [&words[..], &["--repository-number", "2"]].concat();
    let told = all.site.json(&words).await;
    assert_eq!(told["operation"]["outcome"], "done", "{told}");
    let (_hub, owner) = on(&into).await;
    assert_eq!(people(&owner).await, ["ada", "after"]);
}

#[tokio::test]
async fn a_region_that_is_away_holds_up_nobody_and_is_an_incident() {
    if !installed("a_region_that_is_away_holds_up_nobody_and_is_an_incident") {
        return;
    }
    let mut all = Regions::new().await;
    let key = all.site.path("recovery.key").display().to_string();
    all.done(&["backup", "run", "--recovery-key", &key]).await;
    all.store.stop();
    // Segment after segment arrives here though none does there.
    for name in ["one", "two"] {
        all.site.person(name).await;
        all.near_has_everything().await;
    }
    let metrics = all.site.path("backup.prom");
    let words = ["backup", "schedule", "--metrics", metrics.to_str().unwrap()];
    let said = all.refused(&words, "repository 2 is away").await;
    assert!(said.contains("does not answer"), "{said}");
    let figures = std::fs::read_to_string(&metrics).unwrap();
    assert!(
        figures.contains("hub_backup_repository_up{repository=\"2\"} 0"),
        "{figures}"
    );
    assert!(
        !figures.contains("hub_backup_lag_segments{repository=\"2\"} 0"),
        "{figures}"
    );
    patiently("the incident", || async {
        let incidents = all.site.operator.get("/api/v2/incidents").await.body;
        let items = incidents["items"].as_array()?.clone();
        let title = |one: &Value| one["title"].as_str().unwrap_or_default().contains("failed");
        items.iter().any(title).then_some(())
    })
    .await;
    let said = all.refused(&["backup", "run"], "repository 2: ").await;
    assert!(said.contains("the backup is in the other one"), "{said}");
    assert_eq!((all.backups(1).await, all.backups(2).await), (2, 0));

    // It is back: what waited arrives by itself.
    all.store.start().await;
    Site::sql(&all.site.data(), "select pg_switch_wal()");
    patiently("the second region", || async {
        let list = all.list().await;
        (list["repositories"][1]["segments"] == 0).then_some(())
    })
    .await;
    all.done(&["backup", "schedule"]).await;
    all.done(&["backup", "run"]).await;
    assert_eq!((all.backups(1).await, all.backups(2).await), (3, 2));

    // What is wrong with it is said in its own words.
    let strange = all.site.path("strange");
    std::fs::write(&strange, "backup-writer\nanother-key\n").unwrap();
    for (second, why) in [
        (
            all.store.with("hub-backups", &strange),
            "the object store refuses the key",
        ),
        (
            all.store.with("nowhere", &all.site.path("region/key")),
            "NoSuchBucket · the bucket is not there",
        ),
    ] {
        all.configure(&format!("{}{second}", all.near()));
        let said = all.refused(&["backup", "schedule"], why).await;
        assert!(!said.contains("another-key"), "{said}");
    }
    // Given up for good: nothing waits any more, and the hub ends in good order.
    all.configure(&all.near());
    all.done(&["backup", "run"]).await;
    all.site.archived().await;
    all.site.stop().await;
}
