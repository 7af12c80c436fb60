//! The load balancer of the compose file, started for real.

use super::{compose, folder, words};

/// HAProxy's health check asks the program that serves: it answers with no server behind it, and is silent when it is gone.
#[test]
fn the_load_balancer_tells_of_itself() {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    let file = compose();
    let asked = words(&file, "/services/haproxy/healthcheck/test");
    let path = asked
        .last()
        .and_then(|url| url.split_once(":8443"))
        .unwrap()
        .1;
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("states"), "").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = free.local_addr().unwrap().to_string();
    drop(free);
    let mut haproxy = Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(folder().join("../haproxy/haproxy.cfg"))
        .envs([("LB_BIND", at.as_str()), ("LB_LOG", "127.0.0.1:9")])
        .envs([("LB_BLUE", "127.0.0.1:9"), ("LB_GREEN", "127.0.0.1:9")])
        .env("LB_SOCKET", place.path().join("socket"))
        .env("LB_STATES", place.path().join("states"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&at).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1).map(str::to_owned)
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut answer = None;
    while answer.is_none() && std::time::Instant::now() < until {
        answer = ask(path);
        std::thread::yield_now();
    }
    let behind = ask("/");
    haproxy.kill().unwrap();
    haproxy.wait().unwrap();
    assert_eq!(answer.as_deref(), Some("200"), "{path}");
    assert_eq!(behind.as_deref(), Some("503"), "no server is there");
    assert_eq!(ask(path), None, "it is gone");
}
