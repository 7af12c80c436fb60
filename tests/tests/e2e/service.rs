//! The commands of the server, its health, its refusals to start.

use std::process::Output;

use hub_testkit::hub::Setting;
use tempfile::TempDir;

use crate::world::{Actor, World};

fn run(setting: Setting, verb: &str, folder: &TempDir) -> Output {
    setting
        .command(verb, folder.path())
        .unwrap()
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn health_says_yes_to_all_and_more_to_operators_only() {
    let world = World::new().await;
    let nobody = world.nobody();
    nobody.get("/health/live").await.expect(200);
    nobody.get("/health/ready").await.expect(200);
    for path in ["/health", "/metrics"] {
        nobody.get(path).await.expect(401);
        world.owner.get(path).await.expect(403);
        world.operator.get(path).await.expect(200);
    }
    let detail = world.operator.get("/health").await.body;
    assert_eq!(detail["status"], "pass", "{detail}");
    let metrics = world.operator.get("/metrics").await.body;
    let metrics = metrics.as_str().unwrap();
    for figure in [
        "hub_requests_total{",
        "hub_ledger_backlog ",
        "hub_detection_backlog ",
    ] {
        assert!(
            metrics.contains(&format!("\n{figure}")),
            "{figure}: {metrics}"
        );
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_security_headers() {
    let world = World::new().await;
    let response = world
        .nobody()
        .request(reqwest::Method::GET, "/nowhere")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 404);
    for name in [
        "x-request-id",
        "content-security-policy",
        "x-content-type-options",
        "cache-control",
    ] {
        assert!(response.headers().contains_key(name), "{name}");
    }
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
}

#[test]
fn an_unknown_key_stops_the_start_and_names_the_nearest() {
    let folder = TempDir::new().unwrap();
    let output = run(
        Setting::default().with("HUB_LISTNE", "127.0.0.1:0"),
        "serve",
        &folder,
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("did you mean `HUB_LISTEN`"),
        "{}",
        text(&output.stderr)
    );
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, "[limits]\nbodi = 1\n").unwrap();
    let setting = Setting::default()
        .argument("--config")
        .argument(file.to_str().unwrap());
    let output = run(setting.argument("--check"), "config", &folder);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("hub.toml:2: unknown key `limits.bodi`"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn config_prints_origins_and_no_secrets() {
    let folder = TempDir::new().unwrap();
    let setting = Setting::default().with("DATABASE_URL", "postgres://hub_app:hunter2@db/hub");
    let output = run(setting, "config", &folder);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        shown.contains("database.url = \"***\"  # environment DATABASE_URL"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"));
}

#[tokio::test]
async fn a_taken_port_is_said_and_the_first_server_lives_on() {
    let world = World::new().await;
    let folder = TempDir::new().unwrap();
    let setting = Setting::on(&world.database).with("HUB_LISTEN", world.hub.address());
    let output = tokio::task::spawn_blocking(move || run(setting, "serve", &folder))
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(
        text(&output.stderr).contains("cannot listen on"),
        "{}",
        text(&output.stderr)
    );
    world.nobody().get("/health/ready").await.expect(200);
}

#[test]
fn a_database_that_is_not_there_is_said() {
    let folder = TempDir::new().unwrap();
    let setting = Setting::default().with("DATABASE_URL", "postgres://hub_app@127.0.0.1:1/hub");
    let output = run(setting, "serve", &folder);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
}

#[tokio::test]
async fn the_secret_is_shown_once() {
    let world = World::new().await;
    let folder = world.folder.path().to_owned();
    let setting = Setting::on(&world.database);
    let World { hub, database, .. } = world;
    drop(hub);
    let again = crate::world::start(setting, &folder).await;
    assert_eq!(again.secret, None);
    Actor::anonymous(&again)
        .get("/health/ready")
        .await
        .expect(200);
    drop((again, database));
}

#[tokio::test]
async fn openapi_describes_every_route_with_its_permission() {
    let world = World::new().await;
    let document = world.nobody().get("/openapi.json").await.body;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 35, "{}", paths.len());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let public = operation["security"] == serde_json::json!([]);
            assert!(
                public || operation["x-permission"].is_string(),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn without_server_binaries_the_way_out_is_named() {
    let folder = TempDir::new().unwrap();
    let server = Setting::default().command("serve", folder.path()).unwrap();
    // A mount namespace of its own, in which the place where they are installed is empty.
    let script = "mount -t tmpfs none /usr/lib/postgresql 2>/dev/null || ! test -d /usr/lib/postgresql || exit 99; exec \"$0\" serve";
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .arg(server.get_program());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output();
    let code = output.as_ref().ok().and_then(|output| output.status.code());
    if matches!(code, None | Some(1 | 99 | 126 | 127)) {
        eprintln!(
            "SKIPPED: without_server_binaries_the_way_out_is_named: no mount namespace may be made here"
        );
        return;
    }
    assert_eq!(code, Some(4));
    let told = text(&output.unwrap().stderr);
    assert!(
        told.contains("no PostgreSQL server binaries found") && told.contains("apt-get install"),
        "{told}"
    );
}

#[tokio::test]
async fn the_plan_of_a_migration_says_what_is_to_come_and_changes_nothing() {
    let plan = |database: &hub_testkit::TestDb| {
        let told = std::process::Command::new(hub_testkit::hub::binary().unwrap())
            .args(["migrate", "--plan"])
            .env("DATABASE_URL", &database.url_app)
            .env("HUB_DATABASE_OWNER_URL", &database.url_owner)
            .env("HUB_KEYS_FILE", "/not/needed")
            .output()
            .unwrap();
        (told.status.code(), String::from_utf8(told.stdout).unwrap())
    };
    let database = hub_testkit::database().await;
    let (code, said) = plan(&database);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        !said.contains("to come") && said.contains("0001_foundation  applied"),
        "{said}"
    );
    let database = database.unmigrated().await;
    for _ in 0..2 {
        let (code, said) = plan(&database);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("0001_foundation  to come"), "{said}");
    }
}
