//! Clients that hang up in the middle of what they asked for: nobody else notices, and a change is made whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::export::export;
use crate::world::{Actor, PASSWORD, World, make_tenant, until};

/// Asks as `actor` and hangs up without waiting for the answer; whether it was there all the same.
async fn hang_up(to: SocketAddr, actor: &Actor, line: &str, body: &str, after: Duration) -> bool {
    let token = actor.token.clone().unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(to).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    timeout(after, socket.readable()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_at_any_moment_disturb_no_other_tenant() {
    let world = World::with(|setting| {
        let setting = setting.with("HUB_LIMITS_REQUESTS_PER_SECOND", "100000");
        setting.with("HUB_LIMITS_BURST", "100000")
    })
    .await;
    let tenant = make_tenant(&world.operator, "other").await;
    let other = world.nobody().signed_in("other", "ada").await;
    until("its ledger", || async {
        let head = other.get("/api/v2/ledger/head").await;
        (head.expect(200).body["size"] != 0).then_some(())
    })
    .await;
    let to: SocketAddr = world.hub.address().parse().unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let mut rude = JoinSet::new();
    for number in 0..6_u64 {
        let (actor, enough) = (world.owner.clone(), Arc::clone(&enough));
        rude.spawn(async move {
            let line = r#"{"time":"2026-11-23T10:00:00Z","said":"and gone"}"#;
            let mut cut = 0;
            for turn in 0.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                let after = Duration::from_micros((number * 80 + turn) * 37 % 12_000);
                let (asked, body) = match turn % 3 {
                    0 => ("GET /api/v2/ledger/export", ""),
                    _ => ("POST /api/v2/events?format=json", line),
                };
                cut += usize::from(!hang_up(to, &actor, asked, body, after).await);
                // Fewer than the hub can answer: this is about where they are cut, not how many.
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            cut
        });
    }
    let ask = async || {
        let me = other.get("/api/v2/me").await;
        assert_eq!(me.expect(200).text("tenant_id"), tenant);
        let line = json!({"time": "2026-11-23T10:00:00Z", "said": "and waited"});
        let path = "/api/v2/events?format=json";
        other.post(path, line).await.expect(202);
        let ledger = export(&other).await;
        let head: Value = serde_json::from_str(ledger.lines().next().unwrap()).unwrap();
        assert_eq!(head["tenant"], tenant.as_str());
    };
    for _ in 0..20 {
        ask().await;
    }
    enough.store(true, Ordering::Relaxed);
    let cut: usize = rude.join_all().await.iter().sum();
    assert!(cut > 50, "only {cut} hung up");
    // What they left is met by whoever comes next.
    for _ in 0..20 {
        ask().await;
    }
    let log = world.hub.log();
    for word in [
        "already a transaction in progress",
        "during COPY",
        "protocol error",
        "read-only transaction",
        "testing the connection on-release",
    ] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}

#[tokio::test]
async fn a_change_that_was_begun_is_made_whole_when_its_client_hangs_up() {
    let world = World::new().await;
    let to: SocketAddr = world.hub.address().parse().unwrap();
    // How long the hub takes to begin is not known: later each time, until one is made that was not answered.
    for after in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
        let name = format!("walter{after}");
        let body = json!({"username": name, "email": format!("{name}@acme.example"), "display_name": name,
            "password": PASSWORD, "roles": ["member"]});
        let after = Duration::from_millis(after);
        let line = "POST /api/v2/users";
        if hang_up(to, &world.owner, line, &body.to_string(), after).await {
            continue;
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            let people = world.owner.get("/api/v2/users").await;
            let people = people.expect(200).body["items"].as_array().unwrap();
            if people.iter().any(|one| one["username"] == name.as_str()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    panic!("a change whose client hung up is not made");
}
