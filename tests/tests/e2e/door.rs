//! The front door: spoofed addresses, silent connections, TLS, leaving in good order.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hub_testkit::hub::Setting;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::world::{Actor, PASSWORD, World, until};

async fn addresses(world: &World) -> Vec<String> {
    let sessions = world.owner.get("/api/v2/sessions").await.body;
    let items = sessions["items"].as_array().unwrap().clone();
    items
        .iter()
        .filter_map(|session| session["address"].as_str().map(str::to_owned))
        .collect()
}

async fn sign_in_forwarded(actor: &Actor, header: &str, value: &str) {
    let body = json!({"tenant": "acme", "username": "ada", "password": PASSWORD});
    let request = actor
        .request(Method::POST, "/api/v2/login")
        .header(header, value)
        .json(&body);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_spoofed_address_is_ignored() {
    let world = World::new().await;
    sign_in_forwarded(&world.nobody(), "x-forwarded-for", "203.0.113.7").await;
    sign_in_forwarded(&world.nobody(), "forwarded", "for=203.0.113.7").await;
    let seen = addresses(&world).await;
    assert!(
        seen.iter().all(|address| address == "127.0.0.1"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_trusted_proxys_word_counts_and_only_its_own() {
    let world = World::with(|setting| setting.with("HUB_TRUSTED_PROXIES", "127.0.0.77/32")).await;
    let proxy = Actor::at(&world.hub, [127, 0, 0, 77]);
    sign_in_forwarded(&proxy, "x-forwarded-for", "198.51.100.1, 203.0.113.8").await;
    sign_in_forwarded(&world.nobody(), "x-forwarded-for", "203.0.113.9").await;
    let seen = addresses(&world).await;
    assert!(seen.contains(&"203.0.113.8".to_owned()), "{seen:?}");
    assert!(
        !seen.contains(&"198.51.100.1".to_owned()) && !seen.contains(&"203.0.113.9".to_owned()),
        "{seen:?}"
    );
}

#[tokio::test]
async fn only_the_configured_header_of_a_proxy_counts() {
    let world = World::with(|setting| {
        setting
            .with("HUB_TRUSTED_PROXIES", "127.0.0.77/32")
            .with("HUB_TRUSTED_HEADER", "forwarded")
    })
    .await;
    let proxy = Actor::at(&world.hub, [127, 0, 0, 77]);
    // The proxy passes on what the client wrote into the header that it does not know.
    sign_in_forwarded(&proxy, "x-forwarded-for", "198.51.100.1").await;
    sign_in_forwarded(&proxy, "forwarded", "for=203.0.113.8").await;
    let seen = addresses(&world).await;
    assert!(seen.contains(&"203.0.113.8".to_owned()), "{seen:?}");
    assert!(!seen.contains(&"198.51.100.1".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn metrics_for_the_machine_itself_are_not_for_who_comes_through_a_proxy_on_it() {
    let world = World::with(|setting| setting.with("HUB_METRICS_LOOPBACK", "true")).await;
    let ask = || world.nobody().request(Method::GET, "/metrics");
    assert_eq!(ask().send().await.unwrap().status(), 200);
    for header in ["x-forwarded-for", "forwarded", "via"] {
        let answer = ask().header(header, "203.0.113.7").send().await.unwrap();
        assert_eq!(answer.status(), 401, "{header}");
    }
}

#[tokio::test]
async fn who_asks_for_much_and_takes_nothing_is_dropped() {
    let world = World::with(|setting| setting.with("HUB_LIMITS_STALL_TIMEOUT", "500ms")).await;
    // Each byte becomes six in JSON: some 20 MB, more than the buffers between us hold.
    let lines = format!("{}\n", "\u{1}".repeat(8000)).repeat(450);
    let sent = world
        .owner
        .request(Method::POST, "/api/v2/events?format=json");
    assert_eq!(sent.body(lines).send().await.unwrap().status(), 202);
    let token = world.owner.token.clone().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let to: SocketAddr = world.hub.address().parse().unwrap();
    let mut socket = socket.connect(to).await.unwrap();
    let ask = format!(
        "GET /api/v2/events/quarantine?limit=500 HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    socket.write_all(ask.as_bytes()).await.unwrap();
    until("the end of it", || async {
        let metrics = world.operator.get("/metrics").await.body;
        let dropped = "hub_connections_refused_total{result=\"silent\"} 1";
        metrics.as_str()?.contains(dropped).then_some(())
    })
    .await;
    let mut taken = Vec::new();
    // What was under way before still comes, then the end or a reset.
    let _ended = socket.read_to_end(&mut taken).await;
    assert!(taken.len() < 15_000_000, "{}", taken.len());
}

async fn silent(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

#[tokio::test]
async fn ten_thousand_silent_connections_stop_nobody() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let wanted = 10_000_usize.min(
        usize::try_from(hard)
            .unwrap_or(usize::MAX)
            .saturating_sub(500),
    );
    if wanted < 10_000 {
        eprintln!(
            "SKIPPED: {} of 10000 silent connections: the hard limit of descriptors is {hard}",
            10_000 - wanted
        );
    }
    let world = World::with(|setting| setting.with("HUB_LIMITS_HEADER_TIMEOUT", "30s")).await;
    let to: SocketAddr = world.hub.address().parse().unwrap();
    let mut open = Vec::with_capacity(wanted);
    for number in 0..wanted {
        let block = u8::try_from(number / 400).unwrap();
        open.push(silent(IpAddr::from([127, 90, block, 1]), to).await.unwrap());
    }
    let asked = Instant::now();
    world.nobody().get("/health/ready").await.expect(200);
    world.owner.get("/api/v2/me").await.expect(200);
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    let metrics = world.operator.get("/metrics").await.body;
    let line = metrics
        .as_str()
        .unwrap()
        .lines()
        .find(|line| line.starts_with("hub_connections_open "))
        .unwrap();
    let held: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(held >= wanted, "{held} of {wanted}");
}

#[tokio::test]
async fn silence_and_trickles_are_ended_and_one_address_cannot_take_the_house() {
    let world = World::with(|setting| {
        setting
            .with("HUB_LIMITS_HEADER_TIMEOUT", "500ms")
            .with("HUB_LIMITS_CONNECTIONS_PER_ADDRESS", "5")
    })
    .await;
    let to: SocketAddr = world.hub.address().parse().unwrap();
    let from = IpAddr::from([127, 91, 0, 1]);
    let mut quiet = silent(from, to).await.unwrap();
    assert_eq!(quiet.read(&mut [0; 8]).await.unwrap_or(0), 0);
    let mut slow = silent(from, to).await.unwrap();
    let began = Instant::now();
    let ended = loop {
        if slow.write_all(b"G").await.is_err() || began.elapsed() > Duration::from_secs(5) {
            break began.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(ended < Duration::from_secs(4), "{ended:?}");
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(silent(from, to).await.unwrap());
    }
    world.nobody().get("/health/ready").await.expect(200);
}

#[tokio::test]
async fn stopping_finishes_the_request_in_progress_and_refuses_new_connections() {
    let mut world = World::new().await;
    let to: SocketAddr = world.hub.address().parse().unwrap();
    let mut socket = TcpStream::connect(to).await.unwrap();
    let body = json!({"tenant": "acme", "username": "ada", "password": PASSWORD}).to_string();
    let head = format!(
        "POST /api/v2/login HTTP/1.1\r\nhost: hub\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (first, rest) = body.split_at(10);
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(first.as_bytes()).await.unwrap();
    // Whether the server has read the head by now or not: what was accepted is served.
    world.hub.terminate().unwrap();
    until("the closed port", || async {
        TcpStream::connect(to).await.is_err().then_some(())
    })
    .await;
    socket.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    let status = tokio::task::spawn_blocking(move || world.hub.wait().unwrap())
        .await
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn tls_with_given_certificates_and_their_exchange() {
    let folder = tempfile::TempDir::new().unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let write = || {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
                .unwrap();
        std::fs::File::create(&cert)
            .unwrap()
            .write_all(made.cert.pem().as_bytes())
            .unwrap();
        std::fs::File::create(&key)
            .unwrap()
            .write_all(made.signing_key.serialize_pem().as_bytes())
            .unwrap();
    };
    write();
    let with_tls = |setting: Setting| {
        setting
            .with("HUB_TLS_CERT", cert.to_str().unwrap())
            .with("HUB_TLS_KEY", key.to_str().unwrap())
    };
    let world = World::with(with_tls).await;
    assert!(world.hub.url.starts_with("https://"));
    let response = world
        .nobody()
        .request(Method::GET, "/health/ready")
        .send()
        .await
        .unwrap();
    assert!(response.headers().contains_key("strict-transport-security"));
    let login = json!({"tenant": "acme", "username": "ada", "password": PASSWORD});
    let login = world
        .nobody()
        .request(Method::POST, "/api/v2/login")
        .json(&login)
        .send()
        .await
        .unwrap();
    assert!(
        login.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .contains("; Secure")
    );
    write();
    world.hub.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
    until("the exchange", || async {
        world
            .hub
            .log()
            .contains("certificates were read again")
            .then_some(())
    })
    .await;
    Actor::anonymous(&world.hub)
        .get("/health/ready")
        .await
        .expect(200);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let mut socket = std::net::TcpStream::connect(world.hub.address()).unwrap();
    let head = format!(
        "GET / HTTP/1.1\r\nhost: hub\r\nx: {}\r\n\r\n",
        "a".repeat(200_000)
    );
    let _cut = socket.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _reset = socket.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let ready: Value = runtime.block_on(async { world.nobody().get("/health/ready").await.body });
    assert_eq!(ready["status"], "pass");
}
