//! Cleaning up through the tool: shown first, removed by the policy, never under a hold, and only by operators.

use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::tool::{document, hubctl};
use crate::world::World;

const LINE: &str = "this is no line of any log";

#[tokio::test]
async fn the_tool_shows_then_removes_and_a_hold_keeps() {
    let world = World::new().await;
    let (_, collector) = crate::tool::key(&world, &["events.ingest"]).await;
    let folder = world.folder.path();
    let log = folder.join("auth.log");
    std::fs::write(&log, format!("{LINE}\n")).unwrap();
    let sent = hubctl(
        &world.hub.url,
        &collector,
        &["ingest", "--format", "sshd", log.to_str().unwrap()],
    )
    .await;
    assert!(matches!(sent.status.code(), Some(0 | 1)), "{sent:?}");
    let mut root = PgConnection::connect(&world.database.url_superuser)
        .await
        .unwrap();
    root.execute("update quarantine set received_at = received_at - interval '40 days'")
        .await
        .unwrap();
    let wish = json!({"name": "ops", "scopes": ["cleanup.run", "holds.read", "holds.update", "operations.record", "operations.read"]});
    let key = world.operator.post("/api/v2/api-keys", wish).await;
    let key = key.expect(201).text("key").to_owned();
    let state = folder.join("cleanup");
    let reports = folder.join("reports");
    std::fs::create_dir(&reports).unwrap();
    let old = std::fs::File::create(reports.join("old.html")).unwrap();
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    std::fs::write(reports.join("new.html"), "").unwrap();
    let cleanup = async |more: &[&str]| {
        let own = [
            "cleanup",
            "--json",
            "--state",
            state.to_str().unwrap(),
            "--reports",
            reports.to_str().unwrap(),
        ];
        document(&hubctl(&world.hub.url, &key, &[&own, more].concat()).await)
    };
    let left = async |root: &mut PgConnection| {
        let (count,): (i64,) = sqlx::query_as("select count(*) from quarantine")
            .fetch_one(root)
            .await
            .unwrap();
        count
    };

    for _ in 0..2 {
        let shown = cleanup(&["--dry-run"]).await;
        let due = shown["due"].as_array().unwrap();
        assert_eq!(
            (due.len(), &due[0]["class"], &due[0]["count"]),
            (1, &json!("quarantine"), &json!(1)),
            "{shown}"
        );
        assert_eq!(shown["files"].as_array().unwrap().len(), 1, "{shown}");
    }
    assert_eq!(left(&mut root).await, 1);

    let placed = hubctl(
        &world.hub.url,
        &key,
        &[
            "hold",
            "place",
            "--reason",
            "case 7",
            "--everything",
            "--json",
        ],
    )
    .await;
    let id = document(&placed)["id"].as_str().unwrap().to_owned();
    let removed = cleanup(&[]).await;
    assert_eq!(
        (&removed["removed"], &removed["files"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(left(&mut root).await, 1);
    assert!(reports.join("old.html").exists());

    let released = hubctl(
        &world.hub.url,
        &key,
        &["hold", "release", &id, "--reason", "settled"],
    )
    .await;
    assert!(released.status.success());
    let removed = cleanup(&[]).await;
    assert_eq!(
        (&removed["removed"], &removed["files"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(left(&mut root).await, 0);
    assert!(!reports.join("old.html").exists() && reports.join("new.html").exists());
    let told = world.operator.get("/api/v2/operations").await;
    let kinds: Vec<_> = told.expect(200).body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].clone())
        .collect();
    assert_eq!(kinds, [json!("cleanup"), json!("cleanup")]);
    // The owner of a tenant does not clean the house.
    world.owner.get("/api/v2/cleanup").await.expect(403);
}
