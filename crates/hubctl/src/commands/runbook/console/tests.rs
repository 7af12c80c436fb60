use std::sync::{Arc, Mutex};

use hub_base::{SystemClock, Timestamp};
use hub_operate::runbook::{Event, Line, Told};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::client::Connection;

/// What a hub is asked: method and path with the body; and what it answers.
type Rule = dyn Fn(&str, &Value) -> (u16, String) + Send + Sync;

/// A hub that is nothing but a rule, and what it was asked.
struct Hub {
    client: Client,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    async fn new(rule: impl Fn(&str, &Value) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, rule): (_, Arc<Rule>) = (Arc::clone(&asked), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answered(stream, Arc::clone(&log), Arc::clone(&rule)));
            }
        });
        let token_file = None;
        let client = Client::new(&Connection { url, token_file }).unwrap();
        Self { client, asked }
    }

    fn count(&self, what: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| one.starts_with(what)).count()
    }
}

async fn answered(mut stream: TcpStream, log: Arc<Mutex<Vec<String>>>, rule: Arc<Rule>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = text.split_once("\r\n\r\n").filter(|(head, body)| {
            let length = head.to_lowercase();
            let length = length.split_once("content-length: ");
            let length = length.and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if let Some((head, body)) = whole {
            let what: Vec<&str> = head.split(' ').take(2).collect();
            let what = what.join(" ");
            log.lock().unwrap().push(what.clone());
            let body = serde_json::from_str(body).unwrap_or(Value::Null);
            let (status, answer) = rule(&what, &body);
            let length = answer.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            );
            let _gone = stream.write_all(answer.as_bytes()).await;
            return;
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
        }
    }
}

fn told(number: u32) -> Told {
    let (at, by) = (Timestamp::from_unix_millis(0), "ada".to_owned());
    Told {
        number,
        line: Line {
            at,
            by,
            what: Event::Resumed,
        },
        output: None,
    }
}

/// A desk that has told so many lines.
fn desk(hub: &Hub, lines: u32) -> (Console, UnboundedSender<Told>) {
    patient(hub, lines, Duration::from_secs(5))
}

/// The same, which leaves a hub that does not answer alone for so long.
fn patient(hub: &Hub, lines: u32, pause: Duration) -> (Console, UnboundedSender<Told>) {
    let (to, faults) = unbounded_channel();
    let (tell, told_lines) = unbounded_channel();
    let (ask, asked) = unbounded_channel();
    for number in 0..lines {
        tell.send(told(number)).unwrap();
    }
    let id = hub_base::OperationId::new(&SystemClock);
    let mut teller = Teller::new(hub.client.clone(), id, json!({}), to);
    teller.pause = pause;
    let task = Some(tokio::spawn(teller.work(told_lines, asked)));
    let ask = Some(ask);
    (Console { ask, task, faults }, tell)
}

fn turn(choices: &[&str]) -> Turn {
    let at = At {
        section: 1,
        item: 0,
    };
    Turn {
        entered: 3,
        at,
        choices: choices.iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// A hub as it is, with what people say to it.
fn plain_hub(
    known: Arc<Mutex<u64>>,
    said: Value,
) -> impl Fn(&str, &Value) -> (u16, String) + Send + Sync + 'static {
    move |what, body| {
        let mut known = known.lock().unwrap();
        if what.starts_with("GET") {
            return (200, said.to_string());
        }
        if what.ends_with("/lines") {
            let lines = body["lines"].as_array().unwrap();
            if lines[0]["number"].as_u64().unwrap() > *known {
                let detail = format!("line {known} was not told yet");
                return (409, json!({ "detail": detail }).to_string());
            }
            *known = lines.last().unwrap()["number"].as_u64().unwrap() + 1;
        }
        (200, json!({"lines": *known}).to_string())
    }
}

/// It came back from its last backup: what it said that it has is gone.
#[tokio::test]
async fn a_restored_hub_is_told_again_what_it_lost() {
    let known = Arc::new(Mutex::new(0));
    let hub = Hub::new(plain_hub(Arc::clone(&known), json!({}))).await;
    let (console, tell) = desk(&hub, 6);
    console.said().await.unwrap();
    assert_eq!(*known.lock().unwrap(), 6);
    *known.lock().unwrap() = 2;
    tell.send(told(6)).unwrap();
    console.said().await.unwrap();
    assert_eq!(*known.lock().unwrap(), 7);
    drop(tell);
    assert!(console.close().await);
}

/// What it does not want to be told does not keep it from being heard.
#[tokio::test]
async fn a_hub_that_takes_no_lines_is_heard_all_the_same_and_said_once() {
    let id = NoteId::new(&SystemClock);
    let said = json!({"notes": [{"id": id, "by": "ben\u{1b}[2K", "text": "look\r\n\u{1b}]0;x\u{7}here"}],
        "answers": [{"entered": 3, "section": 1, "item": 0, "choice": null, "by": "eve\u{202e}"}]});
    let hub = Hub::new(move |what, _| match what {
        _ if what.starts_with("GET") => (200, said.to_string()),
        _ if what.ends_with("/lines") => (409, json!({"title": "no\u{1b}[1A"}).to_string()),
        _ => (200, json!({"lines": 0}).to_string()),
    })
    .await;
    let (mut console, _tell) = desk(&hub, 3);
    let mut taken = HashSet::new();
    let News::Note(note) = console.hears(Some(&turn(&[])), &taken).await else {
        panic!("no note");
    };
    // Nothing that gives a terminal orders.
    let shown = (note.by.as_str(), note.text.as_str());
    assert_eq!(shown, ("ben\u{fffd}[2K", "look\n\u{fffd}]0;x\u{fffd}here"));
    taken.insert(id);
    let News::Answer(answer) = console.hears(Some(&turn(&[])), &taken).await else {
        panic!("no answer");
    };
    assert_eq!(answer.by, "eve\u{fffd}");
    // One that is no word of the decision is none.
    assert_eq!(console.answer(&turn(&["yes"])).await, None);
    assert_eq!(hub.count("POST"), 4);
    let fault = console.fault().unwrap();
    assert!(fault.ends_with("no\u{fffd}[1A"), "{fault}");
    assert_eq!(console.fault(), None);
}

/// Somebody else told a line in our place: as many lines as ours are not ours.
#[tokio::test]
async fn a_line_that_the_hub_has_otherwise_is_said_and_the_run_is_not_told() {
    let hub = Hub::new(|what, _| match what {
        _ if what.ends_with("/lines") => {
            let why = "line 1 of the run was told as another one";
            (409, json!({"title": "no", "detail": why}).to_string())
        }
        _ => (200, json!({"lines": 3}).to_string()),
    })
    .await;
    let (mut console, tell) = desk(&hub, 3);
    console.said().await;
    let fault = console.fault().unwrap();
    assert!(fault.ends_with("was told as another one"), "{fault}");
    drop(tell);
    assert!(!console.close().await);
}

/// A page of a proxy, a hub whose count stands still.
#[tokio::test]
async fn an_answer_that_makes_no_sense_is_not_asked_for_without_end() {
    for answer in ["<html>", "{}", "{\"lines\": 0}", "{\"lines\": 9}"] {
        let hub = Hub::new(move |_, _| (200, answer.to_owned())).await;
        let (console, tell) = desk(&hub, 2);
        for _ in 0..3 {
            console.said().await;
        }
        assert!(hub.count("POST") <= 2, "{answer}: {}", hub.count("POST"));
        drop(tell);
        assert!(!console.close().await);
    }
}

/// Once is a mishap, again and again is said.
#[tokio::test]
async fn a_hub_that_makes_the_same_mistake_again_and_again_is_named() {
    let hub = Hub::new(|what, _| match what {
        _ if what.ends_with("/lines") => (500, json!({"title": "a mistake"}).to_string()),
        _ => (200, json!({"lines": 0}).to_string()),
    })
    .await;
    let (mut console, _tell) = patient(&hub, 1, Duration::from_millis(20));
    let fault = timeout(Duration::from_secs(20), async {
        loop {
            console.said().await;
            if let Some(fault) = console.fault() {
                return fault;
            }
        }
    });
    let fault = fault.await.unwrap();
    assert!(fault.ends_with("a mistake"), "{fault}");
    // The beginning, and one that was not the first.
    assert!(hub.count("POST") > 2, "{}", hub.count("POST"));
}

#[tokio::test]
async fn who_was_first_is_known_from_the_refusal_itself() {
    let first = json!({"by": "ben\u{7}", "choice": "yes"});
    let refusal = json!({"detail": "ben was first: yes", "first": first}).to_string();
    let hub = Hub::new(move |what, _| match what {
        // What would be asked afterwards takes too long.
        _ if what.starts_with("GET") => (503, String::new()),
        _ if what.ends_with("/answers") => (409, refusal.clone()),
        _ => (200, json!({"lines": 1}).to_string()),
    })
    .await;
    let (console, _tell) = desk(&hub, 1);
    let began = Instant::now();
    let turn = turn(&["yes", "no"]);
    let answer = console.first(&turn, Some("no"), "ada").await.unwrap();
    assert_eq!(
        (answer.by.as_str(), answer.choice.as_deref()),
        ("ben\u{fffd}", Some("yes"))
    );
    assert!(began.elapsed() < PATIENCE);
}
