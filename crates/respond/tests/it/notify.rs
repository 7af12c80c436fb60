//! Against real receivers: an HTTP server and an SMTP server on loopback sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hub_base::HumanDuration;
use hub_respond::RespondConfig;
use hub_respond::config::{EmailConfig, MailTls, Secret, WebhookConfig};
use hub_respond::notify::{Channel, Notifier, State, deliver_pending};
use hub_testkit::mail::MailServer;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::world::World;

const SECRET: &str = "0123456789abcdef";

/// What a receiver got: the head's lines, the body.
type Got = Arc<Mutex<Vec<(Vec<String>, String)>>>;

/// An HTTP server that answers each request with the next of `answers`, the last for ever.
async fn http(answers: &'static [&'static str]) -> (SocketAddr, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let got: Got = Arc::default();
    let all = Arc::clone(&got);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            let length = head
                .iter()
                .find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
            stream.read_exact(&mut body).await.unwrap();
            let mut all = all.lock().await;
            all.push((head, String::from_utf8(body).unwrap()));
            let answer = answers[(all.len() - 1).min(answers.len() - 1)];
            let answer =
                format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, got)
}

fn webhook(address: SocketAddr) -> WebhookConfig {
    WebhookConfig {
        url: Secret::new(format!("http://{address}/hook")),
        secret: Secret::new(SECRET),
        plain_http_hosts: Vec::new(),
        timeout: HumanDuration(Duration::from_secs(5)),
    }
}

fn email(address: SocketAddr) -> EmailConfig {
    EmailConfig {
        host: address.ip().to_string(),
        port: address.port(),
        tls: MailTls::None,
        username: None,
        password: None,
        from: "Security Hub <hub@example.org>".to_owned(),
        to: vec![
            "oncall@example.org".to_owned(),
            "boss@example.org".to_owned(),
        ],
        timeout: HumanDuration(Duration::from_secs(5)),
    }
}

/// A world with one contained incident whose summaries wait in the outbox.
async fn world(config: RespondConfig) -> (World, Notifier, hub_base::IncidentId) {
    assert_eq!(config.validate(), Ok(()));
    let notifier = Notifier::new(&config).unwrap();
    let world = World::with(config).await;
    let found = world.finding("T1110.003", "address:192.0.2.1", &["address:192.0.2.1"]);
    let id = world.absorb(&[found]).await[0];
    world.run().await;
    (world, notifier, id)
}

fn header<'a>(head: &'a [String], name: &str) -> &'a str {
    head.iter()
        .find_map(|line| {
            line.split_once(": ")
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        })
        .map_or("", |(_, value)| value)
}

#[tokio::test]
async fn a_webhook_gets_a_signed_summary() {
    let (address, got) = http(&["204 No Content"]).await;
    let config = RespondConfig {
        webhook: Some(webhook(address)),
        ..RespondConfig::default()
    };
    let (world, notifier, id) = world(config).await;
    assert_eq!(
        deliver_pending(&world.store, world.tenant, &notifier)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        deliver_pending(&world.store, world.tenant, &notifier)
            .await
            .unwrap(),
        0
    );
    let got = got.lock().await;
    let (head, body) = &got[0];
    let signed = format!(
        "{}.{}.{body}",
        header(head, "webhook-id"),
        header(head, "webhook-timestamp")
    );
    let tag = STANDARD
        .decode(
            header(head, "webhook-signature")
                .strip_prefix("v1,")
                .unwrap(),
        )
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    assert_eq!(header(head, "webhook-id"), header(head, "idempotency-key"));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["incident"]["id"], id.to_string());
    assert_eq!(
        body["incident"]["status"], "contained",
        "people are told after containment"
    );
    assert_eq!(body["actions"][0]["state"], "applied");
    assert_eq!(world.acts("notification.send").await, 1);
    let case = world.case(id).await;
    assert_eq!(case.notifications[0].state, State::Sent);
    assert!(case.timeline.iter().any(|e| e.text == "webhook: sent"));
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_with_the_same_key() {
    let (address, got) = http(&["503 Busy", "302 Elsewhere\r\nlocation: /other", "200 OK"]).await;
    let config = RespondConfig {
        webhook: Some(webhook(address)),
        ..RespondConfig::default()
    };
    let (world, notifier, _) = world(config).await;
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(
            deliver_pending(&world.store, world.tenant, &notifier)
                .await
                .unwrap(),
        );
        world.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(sent, [0, 0, 1]);
    let got = got.lock().await;
    assert_eq!(got.len(), 3, "a redirection is not followed");
    assert!(
        got.iter()
            .all(|(head, _)| header(head, "webhook-id") == header(&got[0].0, "webhook-id"))
    );
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_given_up_and_shown() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let config = RespondConfig {
        webhook: Some(webhook(unused)),
        attempts: 2,
        ..RespondConfig::default()
    };
    let (world, notifier, id) = world(config).await;
    for _ in 0..3 {
        assert_eq!(
            deliver_pending(&world.store, world.tenant, &notifier)
                .await
                .unwrap(),
            0
        );
        world.clock.advance(Duration::from_mins(1));
    }
    let case = world.case(id).await;
    assert_eq!(
        (case.notifications[0].state, case.notifications[0].attempts),
        (State::Failed, 2)
    );
    let shown = case
        .timeline
        .iter()
        .find(|e| e.text.contains("failed after 2 tries"))
        .unwrap();
    assert!(
        !shown.text.contains("/hook"),
        "the URL may carry a token: {}",
        shown.text
    );
}

#[tokio::test]
async fn a_mail_server_gets_a_readable_mail() {
    let server = MailServer::start().await.unwrap();
    let config = RespondConfig {
        email: Some(email(server.address)),
        ..RespondConfig::default()
    };
    let (world, notifier, id) = world(config).await;
    assert_eq!(
        deliver_pending(&world.store, world.tenant, &notifier)
            .await
            .unwrap(),
        1
    );
    let got = server.mails();
    let (envelope, text) = (got[0].envelope.join("\n"), &got[0].text);
    for part in [
        "MAIL FROM:<hub@example.org>",
        "RCPT TO:<oncall@example.org>",
        "RCPT TO:<boss@example.org>",
    ] {
        assert!(envelope.contains(part), "{envelope}");
    }
    for part in [
        "Subject: [Security Hub] high incident 1:",
        "T1110.003",
        "block_address",
        "192.0.2.1: applied",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(
        world.case(id).await.notifications[0].channel,
        Channel::Email
    );
}

#[tokio::test]
async fn without_a_channel_that_is_what_is_recorded() {
    let (world, notifier, id) = world(RespondConfig::default()).await;
    assert_eq!(
        deliver_pending(&world.store, world.tenant, &notifier)
            .await
            .unwrap(),
        0
    );
    let case = world.case(id).await;
    assert_eq!(case.notifications[0].state, State::NotConfigured);
    let told = case
        .actions
        .iter()
        .find(|a| a.kind == hub_respond::actions::Kind::Notify)
        .unwrap();
    assert_eq!(told.state, hub_respond::actions::State::Skipped);
}
