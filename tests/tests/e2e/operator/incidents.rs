//! Incidents at the terminal: read, contained by hand, released, closed.

use super::{Desk, Said};
use crate::incidents::spray;
use crate::world::{Actor, World};

const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

/// The id of the action on that target, as the tables have it.
fn action(shown: &Said, target: &str) -> String {
    (*shown.row(target).last().unwrap()).to_owned()
}

#[tokio::test]
async fn an_incident_is_read_contained_by_hand_released_and_closed() {
    let world = World::new().await;
    let incident = spray(&world).await;
    let id = incident["id"].as_str().unwrap();
    let desk = Desk::at(&world.hub.url, world.owner.token.as_deref());
    let (table, list) = desk.both(&["incident", "list"]).await;
    let row = table.ends(0, &["Severity", "Techniques"]).row("1");
    assert_eq!(
        (row[2], row[3], row[6]),
        ("Password spraying: 127.66.0.9", "T1110.003", id)
    );
    assert_eq!(list["items"][0]["id"], id);

    let (shown, case) = desk.both(&["incident", "show", id]).await;
    shown.ends(
        0,
        &[
            "Incident 1: Password spraying: 127.66.0.9 (high, contained)",
            "Timeline",
            "Evidence",
        ],
    );
    assert_eq!(
        shown.row("127.66.0.9")[..3],
        ["block_address", "127.66.0.9", "applied"]
    );
    let sha256 = case["evidence"][0]["sha256"].as_str().unwrap();
    shown.row(sha256);

    // By hand: an accomplice's address, whose next request is refused at once.
    let accomplice = Actor::at(&world.hub, [127, 66, 0, 10]);
    accomplice
        .sign_in("acme", "ada", "a guess")
        .await
        .expect(401);
    let contain = [
        "incident",
        "contain",
        id,
        "--action",
        "block_address",
        "--target",
        "127.66.0.10",
    ];
    let contain = [&contain[..], &["--ttl", "1h", "--reason", "the same hand"]].concat();
    desk.run(&contain).await.ends(0, &["recorded"]);
    accomplice
        .sign_in("acme", "ada", "a guess")
        .await
        .expect(403);
    desk.run(&contain)
        .await
        .ends(2, &["already has this action on `127.66.0.10`"]);
    let shown = desk.run(&["incident", "show", id]).await;
    let (row, order) = (shown.row("127.66.0.10"), action(&shown, "127.66.0.10"));
    assert!(row[2] == "applied" && !row[3].is_empty(), "{row:?}");
    shown.ends(0, &["the same hand"]);

    let release = [
        "incident",
        "release",
        id,
        &order,
        "--reason",
        "a colleague after all",
    ];
    desk.run(&release).await.ends(0, &["recorded"]);
    accomplice
        .sign_in("acme", "ada", "a guess")
        .await
        .expect(401);
    desk.run(&release)
        .await
        .ends(2, &["only an applied action can be released"]);

    let close = [
        "incident",
        "close",
        id,
        "--verdict",
        "true_positive",
        "--note",
        "told the provider",
    ];
    let closed = desk.run(&[&["--json"], &close[..]].concat()).await;
    assert_eq!(closed.ends(0, &[]).document()["verdict"], "true_positive");
    desk.run(&["incident", "show", id])
        .await
        .ends(0, &["(high, closed)", "told the provider"]);
    desk.run(&["incident", "list", "--status", "open"])
        .await
        .ends(0, &["Nothing to show."]);
    desk.run(&["incident", "list", "--status", "closed"])
        .await
        .ends(0, &[id]);
}

#[tokio::test]
async fn what_is_no_order_is_refused_with_the_reason() {
    let world = World::new().await;
    let incident = spray(&world).await;
    let id = incident["id"].as_str().unwrap();
    let desk = Desk::at(&world.hub.url, world.owner.token.as_deref());
    let cases: [(&[&str], i32, &str); 8] = [
        (
            &["list", "--status", "sleeping"],
            2,
            "status: `sleeping` is not known",
        ),
        (&["show", UNKNOWN], 2, UNKNOWN),
        (&["show", "not-an-id"], 2, "error: "),
        (
            &["close", id, "--verdict", "nice"],
            2,
            "verdict: `nice` is not known",
        ),
        (&["close", UNKNOWN, "--verdict", "benign"], 2, UNKNOWN),
        (&["release", id, UNKNOWN, "--reason", "x"], 2, UNKNOWN),
        (
            &[
                "contain", id, "--action", "exorcise", "--target", "x", "--reason", "x",
            ],
            2,
            "exorcise",
        ),
        (
            &[
                "contain",
                id,
                "--action",
                "block_address",
                "--target",
                "x",
                "--reason",
                "x",
                "--ttl",
                "soon",
            ],
            2,
            "soon",
        ),
    ];
    for (arguments, code, words) in cases {
        desk.run(&[&["incident"], arguments].concat())
            .await
            .ends(code, &[words]);
    }
    let targets = [
        ("block_address", "127.0.0.1", "holds your own address"),
        ("block_address", "10.0.0.0/8", "is too wide"),
        ("block_address", "the neighbour", "is not an address"),
        ("lock_account", "eve", "is not a user's id"),
        ("end_sessions", "session:none", "is not a session's id"),
        ("end_sessions", "eve", "is not a user's id"),
        ("revoke_api_key", "ci", "is not an API key's id"),
    ];
    for (action, target, words) in targets {
        let order = [
            "incident", "contain", id, "--action", action, "--target", target,
        ];
        desk.run(&[&order[..], &["--reason", "x"]].concat())
            .await
            .ends(2, &[words]);
    }
    let endless = [
        "incident",
        "contain",
        id,
        "--action",
        "end_sessions",
        "--target",
        UNKNOWN,
    ];
    let endless = [&endless[..], &["--reason", "x", "--ttl", "1h"]].concat();
    desk.run(&endless)
        .await
        .ends(2, &["`end_sessions` has no end in time"]);
    // A member sees nothing of all this.
    let (member, _) = world.person("mia", &["member"]).await;
    let desk = Desk::at(&world.hub.url, member.token.as_deref());
    desk.run(&["incident", "show", id])
        .await
        .ends(3, &["error: "]);
}
