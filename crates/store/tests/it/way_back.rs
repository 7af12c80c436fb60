//! Migrations' way back loses nothing that nobody said it may, and what it loses is in a file first.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use hub_store::migrate::{self, Loss, MIGRATIONS, WayBack};
use hub_store::{Endpoints, Error};
use sqlx::{Connection as _, Executor as _, PgConnection};

#[test]
fn each_way_back_says_truly_whether_it_loses_data() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    for migration in MIGRATIONS {
        let path = folder.join(format!("{}.down.sql", migration.name));
        let text = std::fs::read_to_string(path).unwrap().to_lowercase();
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        let text: String = lines.flat_map(|line| [line, " "]).collect();
        let words = [
            "drop table",
            "drop column",
            "drop schema",
            "delete from",
            "truncate",
            "update ",
        ];
        let loses = words.iter().any(|word| text.contains(word));
        assert_eq!(
            migration.way_back == WayBack::LosesData,
            loses,
            "{}: the table in migrate/mod.rs",
            migration.name
        );
    }
}

async fn applied(endpoints: &Endpoints) -> usize {
    let status = migrate::status(endpoints).await.unwrap();
    status.iter().filter(|one| one.applied).count()
}

async fn unforced(db: &mut PgConnection) -> i64 {
    let text = "select count(*) from pg_class where relrowsecurity and not relforcerowsecurity";
    let (count,): (i64,) = sqlx::query_as(text).fetch_one(db).await.unwrap();
    count
}

#[tokio::test]
async fn data_is_lost_only_after_a_whole_snapshot() {
    let db = hub_testkit::database().await;
    let endpoints = db.endpoints();
    let mut root = PgConnection::connect(&db.url_superuser).await.unwrap();
    // A row behind the walls, which the owner does not see either.
    root.execute(
        "insert into ledger_outbox (tenant_id, id, operation, occurred_at, body)
         select id, id, 'test.walled', now(), 'what-was-behind-the-wall' from tenant",
    )
    .await
    .unwrap();
    let newest = MIGRATIONS.len();
    migrate::revert(&endpoints, 8, Loss::Accepted)
        .await
        .unwrap();
    // What keeps data asks for nothing.
    assert_eq!(
        migrate::revert(&endpoints, 7, Loss::Refused).await.unwrap(),
        ["0008_operation_kinds"]
    );
    let fault = migrate::revert(&endpoints, 5, Loss::Refused)
        .await
        .unwrap_err();
    let said = fault.to_string();
    assert!(matches!(fault, Error::LosesData(_)), "{said}");
    assert!(said.contains("0007_operations, 0006_respond"), "{said}");
    assert_eq!(applied(&endpoints).await, 7, "nothing was taken back");

    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere/db.dump");
    let fault = migrate::revert(&endpoints, 5, Loss::AfterSnapshot(&missing)).await;
    assert!(matches!(fault, Err(Error::Snapshot { .. })), "{fault:?}");
    assert_eq!(applied(&endpoints).await, 7, "nothing was taken back");
    assert_eq!(unforced(&mut root).await, 0);

    let file = folder.path().join("db.dump");
    let done = migrate::revert(&endpoints, 5, Loss::AfterSnapshot(&file))
        .await
        .unwrap();
    assert_eq!(done, ["0007_operations", "0006_respond"]);
    assert_eq!(unforced(&mut root).await, 0, "the walls stand again");
    let meta = std::fs::metadata(&file).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let read = Command::new("pg_restore")
        .args(["--data-only", "--table", "ledger_outbox", "--file", "-"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&read.stdout);
    assert!(text.contains("what-was-behind-the-wall"), "{read:?}");
    let list = Command::new("pg_restore")
        .arg("--list")
        .arg(&file)
        .output()
        .unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("TABLE DATA public operation"), "{list}");

    // A snapshot is not written over.
    migrate::run(&endpoints).await.unwrap();
    let fault = migrate::revert(&endpoints, 5, Loss::AfterSnapshot(&file)).await;
    assert!(matches!(fault, Err(Error::Snapshot { .. })), "{fault:?}");
    assert_eq!(applied(&endpoints).await, newest);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), meta.len());
}

#[tokio::test]
async fn walls_that_a_killed_snapshot_left_down_stand_after_the_next_migration() {
    let db = hub_testkit::database().await;
    let mut owner = PgConnection::connect(&db.url_owner).await.unwrap();
    owner
        .execute("alter table session no force row level security")
        .await
        .unwrap();
    assert_eq!(unforced(&mut owner).await, 1);
    migrate::run(&db.endpoints()).await.unwrap();
    assert_eq!(unforced(&mut owner).await, 0);
}
