//! From the secret of the first start to tenants, people and keys.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hub_testkit::hub::{Hub, Setting};
use hub_testkit::{TestDb, database};

use super::Desk;
use crate::world::{PASSWORD, World, start};

/// A hub that nobody has enrolled at.
async fn fresh() -> (Hub, Desk, TestDb) {
    let database = database().await;
    let folder = tempfile::tempdir().unwrap();
    let hub = start(Setting::on(&database), folder.path()).await;
    let desk = Desk {
        folder,
        ..Desk::at(&hub.url, None)
    };
    (hub, desk, database)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const ENROL: [&str; 5] = ["enrol", "--username", "root", "--email", "root@hub.example"];
const LOGIN: [&str; 5] = ["login", "--save", "token", "--username", "root"];

#[tokio::test]
async fn the_first_administrator_enrols_signs_in_and_makes_a_tenant() {
    let (hub, desk, _database) = fresh().await;
    desk.run(&["health"]).await.ends(0, &["ready"]);
    desk.file("secret", hub.secret.as_deref().unwrap());
    desk.file("password", PASSWORD);
    let enrol = |secret: &'static str, password: &'static str| {
        let files = ["--secret-file", secret, "--password-file", password];
        [&ENROL[..], &files].concat()
    };
    desk.file("wrong", "she_not_the_secret");
    let refused = desk.run(&enrol("wrong", "password")).await;
    refused.ends(3, &["error: ", "enrolment secret", "help: "]);
    let missing = desk.run(&enrol("nowhere", "password")).await;
    missing.ends(2, &["cannot read nowhere"]);
    let done = desk.told(&enrol("secret", "-"), PASSWORD).await;
    done.ends(
        0,
        &["`root` is the first administrator of the tenant `system`"],
    );
    desk.run(&enrol("secret", "password"))
        .await
        .ends(3, &["used before"]);

    let login = |password: &'static str| [&LOGIN[..], &["--password-file", password]].concat();
    let refused = desk.run(&login("wrong")).await;
    refused.ends(3, &["error: ", "hubctl login"]);
    assert!(
        !desk.path("token").exists(),
        "a refused sign-in keeps nothing"
    );
    desk.run(&login("password"))
        .await
        .ends(0, &["the access token is in token and good for"]);
    assert_eq!(mode(&desk.path("token")), 0o600);
    // Whoever could read the file before cannot any more.
    std::fs::set_permissions(desk.path("token"), Permissions::from_mode(0o644)).unwrap();
    let again = desk
        .run(&[&["--json"], &login("password")[..]].concat())
        .await;
    assert_eq!(again.ends(0, &[]).document()["saved"], "token");
    assert_eq!(mode(&desk.path("token")), 0o600);

    let with = ["--token-file", "token", "tenant"];
    let owner = [
        "--username",
        "ada",
        "--email",
        "ada@example.org",
        "--password-file",
        "password",
    ];
    let create = [&with[..], &["create", "acme", "--name", "Acme"], &owner].concat();
    desk.run(&create)
        .await
        .ends(0, &["tenant `acme` is made; `ada` owns it"]);
    desk.run(&create).await.ends(2, &["error: "]);
    let (table, list) = desk.both(&[&with[..], &["list"]].concat()).await;
    assert_eq!(table.ends(0, &["Slug"]).row("acme")[1], "Acme");
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
}

/// Somebody who may not, and somebody who is not there.
#[tokio::test]
async fn each_refusal_has_its_exit_code_and_a_word_of_help() {
    let world = World::new().await;
    let owner = Desk::at(&world.hub.url, world.owner.token.as_deref());
    owner.run(&["tenant", "list"]).await.ends(3, &["error: "]);
    let stranger = Desk::at(&world.hub.url, None);
    stranger
        .run(&["user", "list"])
        .await
        .ends(3, &["the credential is missing", "hubctl login"]);
    let forged = Desk::at(&world.hub.url, Some("shk_forged"));
    forged
        .run(&["key", "list"])
        .await
        .ends(3, &["expired or revoked"]);
    let nowhere = Desk::at("http://127.0.0.1:1", Some("x"));
    nowhere
        .run(&["user", "list"])
        .await
        .ends(4, &["http://127.0.0.1:1 does not answer", "--url"]);
    let unknown = "00000000-0000-7000-8000-000000000000";
    let lock = owner
        .run(&["user", "lock", unknown, "--reason", "left"])
        .await;
    lock.ends(2, &["no such user in this tenant"]);
    owner
        .run(&["user", "lock", "eve", "--reason", "left"])
        .await
        .ends(2, &["error: "]);
    owner
        .run(&["key", "revoke", unknown])
        .await
        .ends(2, &["no such"]);
    owner
        .run(&["user", "lock", unknown])
        .await
        .ends(2, &["--reason"]);
}

#[tokio::test]
async fn a_person_is_made_locked_out_and_let_in_again() {
    let world = World::new().await;
    let desk = Desk::at(&world.hub.url, world.owner.token.as_deref());
    desk.file("password", PASSWORD);
    let person = [
        "--username",
        "eve",
        "--email",
        "eve@acme.example",
        "--password-file",
        "password",
    ];
    let create = [&["user", "create"], &person[..]].concat();
    let wizard = [&create[..], &["--role", "wizard"]].concat();
    desk.run(&wizard).await.ends(2, &["wizard"]);
    let member = [&create[..], &["--role", "member"]].concat();
    desk.run(&member).await.ends(0, &["`eve` is made"]);
    desk.run(&member).await.ends(2, &["error: "]);

    let (table, list) = desk.both(&["user", "list"]).await;
    let row = table.row("eve");
    let (id, locked) = (row[1].to_owned(), row[3]);
    assert_eq!((row[2], locked), ("eve@acme.example", ""));
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");

    let login = [
        "login",
        "--tenant",
        "acme",
        "--username",
        "eve",
        "--save",
        "token",
    ];
    let login = [&login[..], &["--password-file", "password"]].concat();
    desk.run(&login).await.ends(0, &[]);
    desk.run(&["user", "lock", &id, "--reason", "lost her laptop"])
        .await
        .ends(0, &["locked"]);
    desk.run(&login).await.ends(3, &[]);
    assert_ne!(desk.run(&["user", "list"]).await.row("eve")[3], "");
    desk.run(&["user", "unlock", &id, "--reason", "found it"])
        .await
        .ends(0, &["unlocked"]);
    desk.run(&login).await.ends(0, &[]);
    let again = desk
        .run(&["--json", "user", "lock", &id, "--reason", "lost it again"])
        .await;
    assert_eq!(again.ends(0, &[]).document()["username"], "eve");
}

#[tokio::test]
async fn a_key_works_from_its_file_until_it_is_revoked() {
    let world = World::new().await;
    let desk = Desk::at(&world.hub.url, world.owner.token.as_deref());
    let create = [
        "key",
        "create",
        "ci",
        "--scope",
        "users.read",
        "--save",
        "key",
    ];
    desk.run(&create).await.ends(0, &["the key is in key"]);
    assert_eq!(mode(&desk.path("key")), 0o600);
    let (table, list) = desk.both(&["key", "list"]).await;
    let row = table.ends(0, &["Scopes"]).row("ci");
    assert!(
        row[2].contains("users.read") && row[3].is_empty(),
        "{row:?}"
    );
    let id = row[1].to_owned();
    assert_eq!(list["items"][0]["id"], id.as_str());

    let with = ["--token-file", "key", "user", "list"];
    desk.run(&with).await.ends(0, &["ada"]);
    let beyond = ["--token-file", "key", "key", "list"];
    desk.run(&beyond).await.ends(3, &["error: "]);
    desk.run(&["key", "revoke", &id])
        .await
        .ends(0, &["revoked"]);
    desk.run(&with).await.ends(3, &["expired or revoked"]);
    assert_ne!(desk.run(&["key", "list"]).await.row("ci")[3], "");
    let more = [
        "--json",
        "key",
        "create",
        "two",
        "--scope",
        "users.read",
        "--save",
        "key",
    ];
    assert_eq!(
        desk.run(&more).await.ends(0, &[]).document()["saved"],
        "key"
    );
    desk.run(&with).await.ends(0, &["ada"]);
}

/// The key is shown once: one that could not be written down was made, and nobody had it.
#[tokio::test]
async fn a_key_that_cannot_be_kept_is_not_made() {
    let world = World::new().await;
    let desk = Desk::at(&world.hub.url, world.owner.token.as_deref());
    let create = [
        "key",
        "create",
        "ci",
        "--scope",
        "users.read",
        "--save",
        "no/such/folder/key",
    ];
    desk.run(&create)
        .await
        .ends(2, &["cannot write no/such/folder/key"]);
    desk.run(&["key", "list"])
        .await
        .ends(0, &["Nothing to show."]);
    // The other way about: one that was not made leaves no file, and no other file is touched.
    let wizardry = [
        "key", "create", "ci", "--scope", "wizardry", "--save", "key",
    ];
    desk.run(&wizardry).await.ends(2, &["wizardry"]);
    assert!(!desk.path("key").exists());
    desk.file("key", "what was there before\n");
    desk.run(&wizardry).await.ends(2, &[]);
    let kept = std::fs::read_to_string(desk.path("key")).unwrap();
    assert_eq!(kept, "what was there before\n");
}

#[tokio::test]
async fn health_waits_for_a_hub_that_comes_up_and_says_no_of_one_that_does_not() {
    let database = database().await;
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let desk = Desk::at(&format!("http://{address}"), None);
    desk.run(&["health", "--wait", "300ms"])
        .await
        .ends(4, &["does not answer"]);
    let mut waiting = desk.command(&["--json", "health", "--wait", "60s"]);
    let waiting = tokio::task::spawn_blocking(move || waiting.output().unwrap());
    let setting = Setting::on(&database).with("HUB_LISTEN", &address);
    let _hub = start(setting, folder.path()).await;
    let output = waiting.await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["status"], "pass", "{document}");
}
