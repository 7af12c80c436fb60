//! What `hubctl release check` finds, and a return to any release that was kept, by its folder.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::agreed::{add, gate};
use super::site::Site;
use super::unharmed;

async fn check(site: &Site, dir: &Path, trust: Option<&str>) -> (i32, Value) {
    let mut arguments = vec!["release", "check", dir.to_str().unwrap()];
    arguments.extend(trust.into_iter().flat_map(|key| ["--trust", key]));
    site.run(&arguments).await
}

fn key(site: &Site, file: &str) -> String {
    let said = site.hubctl(&["release", "key", site.at(file).to_str().unwrap()]);
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_checked_against_its_manifest_and_a_key() {
    let site = Site::new().await;
    let dir = site.release("1.0.0");
    let (ours, other) = (key(&site, "release-key.json"), key(&site, "other-key.json"));
    let (code, told) = check(&site, &dir, Some(&ours)).await;
    assert_eq!((code, &told["signed"]), (0, &json!(true)), "{told}");
    assert_eq!(told["version"], "1.0.0");
    // Without a key only the files are; that is said.
    let (code, told) = check(&site, &dir, None).await;
    assert_eq!((code, &told["signed"]), (0, &json!(false)), "{told}");
    let words = site.hubctl(&["release", "check", dir.to_str().unwrap()]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.starts_with("good: 1.0.0-") && words.contains("(signature not checked)"),
        "{words}"
    );

    for (trust, why) in [
        (other.as_str(), "not signed by the trusted key"),
        ("nonsense", "expected `name+hash+key`"),
    ] {
        let (code, said) = check(&site, &dir, Some(trust)).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.to_string().contains(why), "{said}");
    }
    let (code, said) = check(&site, &site.at("nowhere"), Some(&ours)).await;
    assert_eq!(code, 2, "{said}");
    // One byte more in the server; then the manifest itself is changed to fit.
    let server = dir.join("security-hub");
    let mut bytes = std::fs::read(&server).unwrap();
    bytes.push(0);
    std::fs::write(&server, bytes).unwrap();
    let (code, said) = check(&site, &dir, Some(&ours)).await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.to_string()
            .contains("is not the one that was released"),
        "{said}"
    );
    let manifest = std::fs::read_to_string(dir.join("release.note")).unwrap();
    std::fs::write(dir.join("release.note"), manifest.replace("1.0.0", "1.0.1")).unwrap();
    let (code, said) = check(&site, &dir, Some(&ours)).await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.to_string().contains("not signed by the trusted key"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_returns_to_any_kept_release_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    for name in ["1.1.0", "1.2.0"] {
        let (code, outcome) = site.deploy(&site.release(name)).await;
        assert_eq!(code, 0, "{outcome}");
    }
    let load = site.load(&token);
    let to = |name: &str| site.at(name).to_str().unwrap().to_owned();
    // What is no release, or another one than was released, is nothing to return to.
    std::fs::copy(site.at("1.0.0/security-hub"), site.at("1.1.0/security-hub")).unwrap();
    for (name, why) in [
        ("nowhere", "nowhere"),
        ("1.1.0", "is not the one that was released"),
    ] {
        let (code, said) = site.run(&["rollback", "--to", &to(name)]).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.to_string().contains(why), "{said}");
    }
    // Nor is one that nobody judged here, however well it is signed: that is a deploy, with its gates.
    let (code, said) = site
        .run(&["rollback", "--to", site.release("1.3.0").to_str().unwrap()])
        .await;
    assert_ne!(code, 0, "{said}");
    assert!(
        said.to_string().contains("never had all the traffic here"),
        "{said}"
    );
    // Nor does a folder bring another release back than the one that ran from it.
    std::fs::rename(site.at("1.1.0"), site.at("aside")).unwrap();
    std::fs::rename(site.at("1.3.0"), site.at("1.1.0")).unwrap();
    let (code, said) = site.run(&["rollback"]).await;
    assert_ne!(code, 0, "{said}");
    assert!(
        said.to_string().contains("its folder holds 1.3.0-"),
        "{said}"
    );
    assert_eq!(site.live().await, "1.2.0");
    // Two back, not one.
    let (code, back) = site.run(&["rollback", "--to", &to("1.0.0")]).await;
    assert_eq!(
        (code, &back["outcome"], &back["kind"]),
        (0, &json!("deployed"), &json!("rollback")),
        "{back}"
    );
    assert_eq!(site.live().await, "1.0.0");
    unharmed(&load.answered(500).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_the_migrations_to_come_and_holds_what_is_not_linted() {
    let site = Site::new().await;
    add(&site, "[gates]\nmigrations = true\n");
    // The database is some migrations behind, as before a release that brings them.
    site.take_back("7");
    let plan = async |dir: &Path| {
        let arguments = ["deploy", "--dry-run", "--release", dir.to_str().unwrap()];
        let (code, told) = site.run(&arguments).await;
        let gate = gate(&told, "migrations").clone();
        (
            code,
            gate["holds"].clone(),
            gate["said"].as_str().unwrap().to_owned(),
        )
    };
    let (code, holds, said) = plan(&site.release("1.0.0")).await;
    assert_eq!((code, holds), (1, json!(false)), "{said}");
    assert_eq!(
        said,
        "3 to come: 0008_operation_kinds, 0009_legal_hold, 0010_runbook_runs; the release has no linter's report"
    );
    for (name, migrations, faults, wanted, words) in [
        (
            "1.0.1",
            json!([
                "0008_operation_kinds",
                "0009_legal_hold",
                "0010_runbook_runs"
            ]),
            json!([]),
            0,
            "3 to come: 0008_operation_kinds, 0009_legal_hold, 0010_runbook_runs; linted: all only expand",
        ),
        (
            "1.0.2",
            json!(["0001_foundation", "0009_legal_hold", "0010_runbook_runs"]),
            json!([]),
            1,
            "not linted: 0008_operation_kinds",
        ),
        (
            "1.0.3",
            json!([
                "0008_operation_kinds",
                "0009_legal_hold",
                "0010_runbook_runs"
            ]),
            json!(["0008_operation_kinds, line 1: BanDropTable"]),
            1,
            "BanDropTable",
        ),
    ] {
        let report = json!({"migrations": migrations, "faults": faults});
        let dir = site.release_with(name, "migrations.json", &report.to_string());
        let (code, holds, said) = plan(&dir).await;
        assert_eq!((code, holds), (wanted, json!(wanted == 0)), "{said}");
        assert!(said.contains(words), "{said}");
    }
    // Deployed, they are no longer to come.
    let (code, outcome) = site.deploy(&site.at("1.0.1")).await;
    assert_eq!(code, 0, "{outcome}");
    let (_, _, said) = plan(&site.at("1.0.1")).await;
    assert_eq!(said, "none to come; linted: all only expand");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_leads_back_to_a_release_that_the_schema_has_left_behind_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    let second = site.release("1.1.0");
    assert_eq!(site.deploy(&second).await.0, 0);
    let load = site.load(&token);
    // A newer release's migration, which only those from 0900 on can live with.
    let text =
        "insert into hub_migration (number, name, checksum, needs) values (900, 'less', 'x', 900)";
    let mut owner = PgConnection::connect(&site.database.url_owner)
        .await
        .unwrap();
    sqlx::raw_sql(text).execute(&mut owner).await.unwrap();
    let (code, said) = site.run(&["rollback"]).await;
    assert_ne!(code, 0, "{said}");
    assert!(
        said.to_string()
            .contains("only releases from migration 0900 on can run on it"),
        "{said}"
    );
    assert_eq!(site.live().await, "1.1.0");
    unharmed(&load.stop().await);
}
