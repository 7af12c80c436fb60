//! The server with nothing around it: a database of its own, made at the first start and stopped with the hub.

use std::process::Output;

use hub_testkit::hub::Setting;
use reqwest::Method;
use tempfile::TempDir;

use crate::world::{Actor, start};

async fn run(setting: &Setting, verb: &str, folder: &TempDir) -> Output {
    let mut command = setting.command(verb, folder.path()).unwrap();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    output.await.unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32, told: &[&str]) {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in told {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_hub_with_a_database_of_its_own_begins_serves_and_begins_again() {
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let setting = Setting::default().with("HUB_LISTEN", &address);
    let nobody = run(&setting, "health", &folder).await;
    ends(&nobody, 4, &[&format!("nobody listens on {address}")]);
    let first = run(&setting, "init", &folder).await;
    ends(&first, 0, &["enrolment secret (shown once): she_"]);
    let again = run(&setting, "init", &folder).await;
    ends(&again, 0, &["initialised before"]);
    let planned = run(&setting.clone().argument("--plan"), "migrate", &folder).await;
    ends(&planned, 0, &["0001_foundation  applied"]);

    let mut hub = start(setting.clone(), folder.path()).await;
    assert_eq!(hub.secret, None, "the secret was shown before");
    ends(&run(&setting, "health", &folder).await, 0, &["ready"]);
    Actor::anonymous(&hub)
        .get("/health/ready")
        .await
        .expect(200);
    // A second one on the same data is refused by the port, and by the data.
    ends(
        &run(&setting, "serve", &folder).await,
        4,
        &["cannot listen on"],
    );
    let beside = Setting::default().with("HUB_LISTEN", "127.0.0.1:0");
    let beside = run(&beside, "serve", &folder).await;
    ends(&beside, 4, &["another security-hub already uses"]);

    hub.terminate().unwrap();
    let status = tokio::task::spawn_blocking(move || (hub.wait().unwrap(), hub));
    let (status, hub) = status.await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", hub.log());
    assert!(hub.log().contains("\"stopped\""), "{}", hub.log());
    ends(&run(&setting, "health", &folder).await, 4, &[]);
}

#[tokio::test]
async fn a_key_ring_is_made_once_and_never_over_another() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys.json");
    let keys = Setting::default().argument(file.to_str().unwrap());
    ends(
        &run(&keys, "keys", &folder).await,
        0,
        &["a new key ring is in", "HUB_KEYS_FILE"],
    );
    let before = std::fs::read(&file).unwrap();
    ends(&run(&keys, "keys", &folder).await, 4, &["keys.json"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let version = run(&Setting::default(), "version", &folder).await;
    ends(&version, 0, &["security-hub 0."]);
    let lost = Setting::default()
        .argument("--config")
        .argument("/nowhere/hub.toml");
    let lost = run(&lost, "serve", &folder).await;
    ends(
        &lost,
        2,
        &["cannot read the configuration `/nowhere/hub.toml`"],
    );
}

/// Others may write to it: whoever can put a file there would own the hub's database.
#[tokio::test]
async fn a_data_directory_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let refused = run(&Setting::default(), "init", &folder).await;
    ends(&refused, 4, &["cannot be used", "others may write to it"]);
}

#[tokio::test]
async fn assets_of_the_console_are_kept_by_browsers_for_as_long_as_they_are_the_same() {
    let database = hub_testkit::database().await;
    let folder = TempDir::new().unwrap();
    let hub = start(Setting::on(&database), folder.path()).await;
    let nobody = Actor::anonymous(&hub);
    let page = nobody.get("/console/sign-in").await;
    let page = page.expect(200).body.as_str().unwrap().to_owned();
    let path = page
        .split('"')
        .find(|part| part.ends_with("/console.css"))
        .unwrap();
    let style = nobody.request(Method::GET, path).send().await.unwrap();
    assert_eq!(
        (
            style.status().as_u16(),
            style.headers()["content-type"].to_str().unwrap()
        ),
        (200, "text/css; charset=utf-8")
    );
    let cache = style.headers()["cache-control"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(cache.contains("immutable"), "{cache}");
    nobody
        .get("/console/assets/000000000000/console.css")
        .await
        .expect(404);
    nobody.get("/console/assets/console.css").await.expect(404);
}
