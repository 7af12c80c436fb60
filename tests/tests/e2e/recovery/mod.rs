//! Nothing is lost: backups of a hub at work, restored, proven, started; and what is refused with its reason.

mod bad_days;
mod region;
mod scenarios;
mod site;
mod store;
mod tenant;

use serde_json::Value;

use self::site::{Site, on, open, people, person_by, postmaster, words_of};
use crate::tool::patiently;

fn installed(test: &str) -> bool {
    let found = std::process::Command::new("pgbackrest")
        .arg("version")
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    #[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
    if !found {
        println!("SKIPPED: {test}: pgbackrest is not installed (scripts/bootstrap.sh test)");
    }
    found
}

/// The number of entries in a tenant's ledger.
fn entries(proof: &Value, tenant: &str) -> u64 {
    let ledgers = proof["ledgers"].as_array().unwrap();
    let ledger = ledgers.iter().find(|one| one["tenant"] == tenant).unwrap();
    ledger["size"].as_u64().unwrap()
}

async fn first_backup(site: &Site) -> String {
    let key = site.path("recovery.key").display().to_string();
    site.done(&["backup", "run", "--recovery-key", &key]).await;
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    key
}

#[tokio::test]
async fn a_lost_machine_comes_back_from_its_repository_alone() {
    if !installed("a_lost_machine_comes_back_from_its_repository_alone") {
        return;
    }
    let mut site = Site::new().await;
    let key = first_backup(&site).await;
    site.person("before").await;
    site.done(&["backup", "run", "--type", "incr"]).await;
    site.person("after").await;
    // What is archived is what survives: the bound is `archive_timeout`, 30 s.
    site.archived().await;
    let list = site.json(&["backup", "list"]).await;
    assert_eq!(list["backups"].as_array().unwrap().len(), 2);

    site.lose();
    // All that is left is a copy of the repository, and the key from the safe.
    let repository = site.path("rescued");
    std::fs::rename(site.data().join("backup/repository"), &repository).unwrap();
    std::fs::rename(site.data(), site.path("lost")).unwrap();
    let (into, repository) = (site.path("again"), repository.display().to_string());
    let words = [
        "restore",
        "--repository",
        &repository,
        "--into",
        into.to_str().unwrap(),
    ];
    site.refused(&words, "--recovery-key").await;
    let strange = site.path("strange.key");
    std::fs::write(&strange, "AGE-SECRET-KEY-1NONSENSE").unwrap();
    let wrong = [&words[..], &["--recovery-key", strange.to_str().unwrap()]].concat();
    site.refused(&wrong, "holds no recovery key").await;

    let told = site
        .json(&[&words[..], &["--recovery-key", &key]].concat())
        .await;
    assert!(entries(&told["proof"], "acme") > 0, "{told}");
    let (_hub, owner) = on(&into).await;
    assert_eq!(people(&owner).await, ["ada", "after", "before"]);
}

#[tokio::test]
async fn a_dropped_table_is_back_as_it_was_the_minute_before() {
    if !installed("a_dropped_table_is_back_as_it_was_the_minute_before") {
        return;
    }
    let mut site = Site::new().await;
    first_backup(&site).await;
    site.person("before").await;
    let now =
        "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let minute_before = Site::sql(&site.data(), now);
    Site::sql(&site.data(), "drop table session cascade");
    Site::sql(&site.data(), "select pg_switch_wal()");

    let name = site
        .data()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let there = ["restore", "--in-place", "--to", &minute_before];
    site.refused(&there, "--confirm").await;
    site.refused(
        &[&there[..], &["--confirm", "else"]].concat(),
        "confirm it with `--confirm data`",
    )
    .await;
    let words = [&there[..], &["--confirm", &name]].concat();
    site.refused(&words, "another security-hub").await;

    site.stop().await;
    let plan = site.json(&[&words[..], &["--dry-run"]].concat()).await;
    assert!(
        plan["aside"].as_str().unwrap().contains("data.before-"),
        "{plan}"
    );
    site.done(&words).await;
    let (hub, owner) = on(&site.data()).await;
    site.hub = Some(hub);
    assert_eq!(people(&owner).await, ["ada", "before"]);
    // What is done from now on can be gone back to as well, though nobody has backed it up yet: its WAL waits.
    person_by(&owner, "between").await;
    let between = Site::sql(&site.data(), now);
    person_by(&owner, "late").await;
    Site::sql(&site.data(), "select pg_switch_wal()");
    // What was there is kept, and a new timeline is backed up like the old one.
    let kept = std::fs::read_dir(site.data().join("postgres")).unwrap();
    let kept = kept.flatten().filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("data.before-")
    });
    assert_eq!(kept.count(), 1);
    site.done(&["backup", "run", "--type", "full"]).await;
    let then = site.path("between");
    let words = [
        "restore",
        "--to",
        &between,
        "--into",
        then.to_str().unwrap(),
    ];
    site.done(&words).await;
    let (_hub, owner) = on(&then).await;
    assert_eq!(people(&owner).await, ["ada", "before", "between"]);
    site.done(&["drill"]).await;
}

/// A bundle of before a rotation lacks the key that signs today: that is said; and one of after it proves what the former signed.
#[tokio::test]
async fn a_ledger_that_two_keys_signed_is_proven_by_a_backup_of_after_the_rotation() {
    if !installed("a_ledger_that_two_keys_signed_is_proven_by_a_backup_of_after_the_rotation") {
        return;
    }
    let site = Site::new().await;
    let key = first_backup(&site).await;
    let hub = site.hub.as_ref().unwrap().url.clone();
    let ring = site.data().join("keys.json").display().to_string();
    let config = site.path("keys.toml");
    let text = format!("state = \"rotation\"\nservers = [\"{hub}\"]\n[ring]\nfile = \"{ring}\"\n");
    std::fs::write(&config, text).unwrap();
    let said = site
        .done(&[
            "keys",
            "rotate",
            "checkpoint-signing",
            "--config",
            config.to_str().unwrap(),
        ])
        .await;
    assert!(said.contains("back up now"), "{said}");
    site.person("after").await;
    site.archived().await;
    let (early, into) = (site.path("early"), site.path("later"));
    let to = |folder: &std::path::Path| {
        let folder = folder.display().to_string();
        ["restore", "--into", &folder, "--recovery-key", &key].map(str::to_owned)
    };
    let words = to(&early);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    site.refused(&words, "if the key was rotated after this backup")
        .await;
    site.done(&["backup", "run", "--type", "incr"]).await;
    let words = to(&into);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = site.json(&words).await;
    assert!(entries(&told["proof"], "acme") > 0, "{told}");
    let (_hub, owner) = on(&into).await;
    assert_eq!(people(&owner).await, ["ada", "after"]);
}

#[tokio::test]
async fn an_entry_is_the_last_one_that_is_restored() {
    if !installed("an_entry_is_the_last_one_that_is_restored") {
        return;
    }
    let site = Site::new().await;
    first_backup(&site).await;
    site.person("one").await;
    let size = |text: String| text.parse::<u64>().unwrap();
    let count =
        "select size from ledger_head h join tenant t on t.id = h.tenant_id where slug = 'acme'";
    // The act is in the database before it has its place in the ledger.
    let waiting = "select count(*) from ledger_outbox";
    let settled = || async { (Site::sql(&site.data(), waiting) == "0").then_some(()) };
    patiently("the ledger", settled).await;
    let entry = size(Site::sql(&site.data(), count)) - 1;
    site.person("two").await;
    patiently("the ledger", settled).await;
    Site::sql(&site.data(), "select pg_switch_wal()");

    let (into, point) = (site.path("then"), format!("entry:acme/{entry}"));
    let words = ["restore", "--to", &point, "--into", into.to_str().unwrap()];
    let told = site.json(&words).await;
    assert_eq!(entries(&told["proof"], "acme"), entry + 1, "{told}");
    site.refused(&words, "there is a database in").await;
    let late = ["restore", "--to", "entry:acme/99999", "--into", "/tmp"];
    let elsewhere = site.path("late");
    let late = [&late[..4], &[elsewhere.to_str().unwrap()]].concat();
    site.refused(&late, "has no entry 99999").await;
    let early = [
        &["restore", "--to", "2020-01-01T00:00:00Z", "--into"][..],
        &late[4..],
    ]
    .concat();
    site.refused(&early, "no backup reaches back").await;
    let never = [
        &["restore", "--to", "2120-01-01T00:00:00Z", "--into"][..],
        &late[4..],
    ]
    .concat();
    site.refused(
        &never,
        "was not reached: the last transaction that is archived",
    )
    .await;
}

#[tokio::test]
async fn a_drill_says_what_a_disaster_would_cost_and_a_failed_one_is_an_incident() {
    if !installed("a_drill_says_what_a_disaster_would_cost_and_a_failed_one_is_an_incident") {
        return;
    }
    let site = Site::new().await;
    let key = first_backup(&site).await;
    Site::sql(&site.data(), "select pg_switch_wal()");
    let scratch = site.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    open(&scratch);
    let at = [
        "--scratch",
        scratch.to_str().unwrap(),
        "--recovery-key",
        &key,
    ];
    let told = site.json(&[&["drill"], &at[..]].concat()).await;
    assert_eq!(told["operation"]["outcome"], "done", "{told}");
    let report = &told["report"];
    assert!(entries(&report["proof"], "acme") > 0, "{report}");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    let operations = site.operator.get("/api/v2/operations").await;
    let kinds: Vec<_> = operations.expect(200).body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["kind"].clone(), one["outcome"].clone()))
        .collect();
    assert_eq!(kinds[0], ("drill".into(), "done".into()), "{kinds:?}");
    let due = site.hubctl(&["backup", "schedule"]).await;
    assert!(due.status.success(), "{}", words_of(&due));

    // An objective that nobody meets is a drill that failed.
    let strict = [&["drill", "--rto", "1ms"], &at[..]].concat();
    site.refused(&strict, "the objective is missed").await;
    let incident = patiently("the incident", || async {
        let incidents = site.operator.get("/api/v2/incidents").await.body;
        let items = incidents["items"].as_array()?.clone();
        items.into_iter().next()
    })
    .await;
    assert!(
        incident["title"].as_str().unwrap().contains("drill failed"),
        "{incident}"
    );
}

#[tokio::test]
async fn damage_is_named_and_nothing_that_does_not_prove_itself_is_kept() {
    if !installed("damage_is_named_and_nothing_that_does_not_prove_itself_is_kept") {
        return;
    }
    let site = Site::new().await;
    let key = first_backup(&site).await;
    for name in ["one", "two", "three"] {
        site.person(name).await;
        site.archived().await;
    }
    site.done(&["backup", "verify"]).await;
    let repository = site.data().join("backup/repository");

    // Ransomware, or a disk: the ledger of the newest backup was changed under it. Only the manifest can be.
    let label = site.json(&["backup", "list"]).await["backups"][0]["label"]
        .as_str()
        .unwrap()
        .to_owned();
    let manifest = repository.join(format!("security-hub/{label}.json"));
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut lie: Value = serde_json::from_str(&text).unwrap();
    let note = lie["trees"][0]["checkpoint"].as_str().unwrap();
    lie["trees"][0]["checkpoint"] = note.replacen('\n', "\n9", 1).into();
    std::fs::write(&manifest, lie.to_string()).unwrap();
    let into = site.path("lied");
    let words = [
        "restore",
        "--into",
        into.to_str().unwrap(),
        "--recovery-key",
        &key,
    ];
    site.refused(&words, "beside the backup is not of the restored keys")
        .await;
    assert!(!into.join("postgres/data").exists());
    std::fs::write(&manifest, text).unwrap();

    // A bundle that was cut off.
    let bundle = repository.join(format!("security-hub/{label}.age"));
    let whole = std::fs::read(&bundle).unwrap();
    std::fs::write(&bundle, &whole[..whole.len() - 7]).unwrap();
    site.refused(&["backup", "verify"], "it was cut off or changed")
        .await;
    site.refused(&words, "it was cut off or changed").await;
    std::fs::write(&bundle, &whole).unwrap();

    // A segment of WAL is gone: which, and what can still be reached.
    let mut segments = Vec::new();
    let mut folders = vec![repository.join("archive/hub")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|end| end == "zst") => segments.push(path),
                _ => {}
            }
        }
    }
    segments.sort();
    let missing = segments[segments.len() - 2].clone();
    std::fs::remove_file(&missing).unwrap();
    let name = &missing.file_name().unwrap().to_str().unwrap()[..24];
    site.refused(&["drill"], &format!("the WAL segment {name} is missing"))
        .await;
}

#[tokio::test]
async fn a_backup_that_is_killed_is_begun_again_and_two_do_not_meet() {
    if !installed("a_backup_that_is_killed_is_begun_again_and_two_do_not_meet") {
        return;
    }
    let site = Site::new().await;
    first_backup(&site).await;
    let lock = std::fs::File::open(site.data().join("backup/backup.lock")).unwrap();
    lock.lock().unwrap();
    site.refused(&["backup", "run"], "another operation holds")
        .await;
    drop(lock);
    let mut command = std::process::Command::new(crate::tool::binary());
    command.args(["backup", "run", "--type", "full", "--data-dir"]);
    let mut child = command.arg(site.data()).spawn().unwrap();
    let progress = site.data().join("backup/repository/backup/hub");
    let before = std::fs::read_dir(&progress).unwrap().count();
    // In the middle of it, or just after: either way the next one must do.
    patiently("the copy", || async {
        let now = std::fs::read_dir(&progress).unwrap().count();
        let ended = std::fs::metadata(progress.join("latest")).is_err();
        (now > before || ended).then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    patiently("the next one", || async {
        let output = site.hubctl(&["backup", "run", "--type", "full"]).await;
        output.status.success().then_some(())
    })
    .await;
    site.done(&["drill"]).await;
    assert!(postmaster(&site.data()).as_raw() > 1);
}
