//! The ledger and other systems' logs at the terminal.

use serde_json::Value;

use super::Desk;
use crate::world::World;

async fn key(world: &World) -> String {
    let key = world.owner.get("/api/v2/ledger/key").await;
    key.expect(200).text("key").to_owned()
}

#[tokio::test]
async fn an_entry_is_found_shown_and_proven() {
    let world = World::new().await;
    let (_, eve) = world.person("eve", &["member"]).await;
    let desk = Desk::at(&world.hub.url, world.owner.token.as_deref());
    let (table, found) = desk
        .both(&[
            "ledger",
            "search",
            "--operation",
            "user.create",
            "--wait",
            "30s",
        ])
        .await;
    assert_eq!(
        table.ends(0, &["Operation"]).row("user.create")[2],
        "user.create"
    );
    let index = found["items"][0]["index"].to_string();
    desk.run(&["ledger", "search", "--text", &eve])
        .await
        .ends(0, &["user.create"]);
    let nothing = ["ledger", "search", "--operation", "no.such.thing"];
    desk.run(&nothing).await.ends(0, &["Nothing to show."]);
    // Waiting has an end, and what comes meanwhile is shown.
    let nothing = [&nothing[..], &["--wait", "300ms"]].concat();
    desk.run(&nothing).await.ends(0, &["Nothing to show."]);
    let late = ["ledger", "search", "--operation", "user.lock"];
    desk.run(&late).await.ends(0, &["Nothing to show."]);
    let late = [&late[..], &["--wait", "30s"]].concat();
    let reason = serde_json::json!({"reason": "their device was lost"});
    let path = format!("/api/v2/users/{eve}/lock");
    let (shown, locked) = tokio::join!(desk.run(&late), world.owner.post(&path, reason));
    locked.expect(200);
    shown.ends(0, &["user.lock"]);

    let (entry, document) = desk.both(&["ledger", "show", &index]).await;
    let body: Value = serde_json::from_str(&entry.ends(0, &[]).out).unwrap();
    assert_eq!(body["body"]["api"]["operation"], "user.create", "{body}");
    assert_eq!(document["index"].to_string(), index);
    let (words, proof) = desk.both(&["ledger", "proof", &index]).await;
    words.ends(0, &[&format!("entry {index} is in the signed ledger of ")]);
    assert_eq!(proof["verified"], true, "{proof}");
    for verb in ["show", "proof"] {
        desk.run(&["ledger", verb, "999999"])
            .await
            .ends(2, &["error: "]);
        desk.run(&["ledger", verb, "first"])
            .await
            .ends(2, &["first"]);
    }
    let stranger = Desk::at(&world.hub.url, None);
    stranger
        .run(&["ledger", "head"])
        .await
        .ends(3, &["hubctl login"]);
}

#[tokio::test]
async fn an_export_is_held_to_the_published_key_and_to_what_was_signed_before() {
    let world = World::new().await;
    let desk = Desk::at(&world.hub.url, world.owner.token.as_deref());
    let (head, document) = desk.both(&["ledger", "head"]).await;
    assert!(document["size"].as_u64() > Some(0), "{document}");
    let earlier = desk.file("earlier", head.ends(0, &["security-hub/"]).out.as_str());
    world.person("eve", &["member"]).await;
    desk.run(&["ledger", "export", "book"])
        .await
        .ends(0, &[" bytes in book"]);
    let again = desk
        .run(&["--json", "ledger", "export", "book"])
        .await
        .document();
    let size = std::fs::metadata(desk.path("book")).unwrap().len();
    assert_eq!(again["bytes"], size, "{again}");
    assert!(!desk.path("book.part").exists());

    // With no hub and no credential: the file, a key, and an old checkpoint.
    let away = Desk::at("http://127.0.0.1:1", None);
    let (book, key) = (desk.path("book"), key(&world).await);
    let verify = ["ledger", "verify", book.to_str().unwrap()];
    let with = |more: &[&str]| {
        let arguments = [&verify, more].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let away = &away;
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            away.run(&arguments).await
        }
    };
    with(&["--key", &key, "--earlier", &earlier])
        .await
        .ends(0, &["whole and signed"]);
    with(&["--key", "not a key"]).await.ends(2, &["error: "]);
    with(&["--earlier", "nowhere"])
        .await
        .ends(2, &["cannot read nowhere"]);
    let other = World::new().await;
    let theirs = self::key(&other).await;
    with(&["--key", &theirs]).await.ends(1, &["line 1: "]);
    let desk = Desk::at(&other.hub.url, other.owner.token.as_deref());
    let head = desk.run(&["ledger", "head"]).await;
    let foreign = desk.file("foreign", &head.out);
    with(&["--earlier", &foreign]).await.ends(1, &[]);
    desk.run(&["ledger", "export", "no/such/folder/book"])
        .await
        .ends(2, &["cannot write no/such/folder/book"]);
}

const LINES: &str = "{\"time\":\"2026-11-23T10:00:00Z\",\"message\":\"one\"}\nnot json\n";

#[tokio::test]
async fn a_log_is_sent_from_a_file_a_folder_or_standard_input() {
    let world = World::new().await;
    let (_, key) = crate::tool::key(&world, &["events.ingest"]).await;
    let desk = Desk::at(&world.hub.url, Some(&key));
    desk.file("logs/one.log", LINES);
    desk.file("logs/deeper/two.log", &LINES.replace("one", "two"));
    let ingest = ["ingest", "--format", "json", "--source", "nginx/access"];
    let of = |path: &'static str| [&ingest[..], &[path]].concat();
    let stored = |events: u64, lines: u64| {
        format!("{events} events stored in {events} batches; {lines} lines quarantined")
    };
    desk.run(&of("logs")).await.ends(0, &[&stored(2, 2)]);
    desk.told(&of("-"), &LINES.replace("one", "three"))
        .await
        .ends(0, &[&stored(1, 1)]);
    let again = desk
        .run(&[&["--json"], &of("logs/one.log")[..]].concat())
        .await;
    assert_eq!(again.ends(0, &[]).document()["batches"], 1);
    // What was sent twice is stored once: the hub knows the batch.
    let (reader, _) = crate::tool::key(&world, &["events.read"]).await;
    let kept = reader.get("/api/v2/events/quarantine").await;
    assert_eq!(kept.expect(200).body["items"].as_array().unwrap().len(), 3);

    desk.run(&of("nowhere"))
        .await
        .ends(2, &["cannot read nowhere"]);
    let year = ["ingest", "--format", "sshd", "--year", "soon", "logs"];
    desk.run(&year).await.ends(2, &["soon"]);
    let (_, other) = crate::tool::key(&world, &["users.read"]).await;
    let desk = Desk {
        token: Some(other),
        ..desk
    };
    desk.run(&of("logs"))
        .await
        .ends(3, &["error: ", "run the same command again"]);
}
