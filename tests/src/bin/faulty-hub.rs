//! A release that is bad in one way, for the deploy's tests: the real server behind a door that misbehaves.
//!
//! It takes the server's arguments. Beside it lie `real`, the server, and `fault`: `unready`, `errors N SECONDS` (every Nth
//! request fails, from so long after its start on), `slow MILLISECONDS`, `crash SECONDS`, or `route` (`/broken` fails).
#![expect(clippy::print_stderr, reason = "what it dies of stands in its log")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy)]
enum Fault {
    Unready,
    Errors(u64, Duration),
    Slow(Duration),
    Crash(Duration),
    Route,
}

struct Door {
    fault: Fault,
    real: SocketAddr,
    http: reqwest::Client,
    began: Instant,
    asked: AtomicU64,
    failed: AtomicU64,
}

impl Door {
    /// True for every `each`th question.
    fn is_each(&self, each: u64) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) % each == each - 1
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = std::env::current_exe()?
        .parent()
        .map(PathBuf::from)
        .ok_or("no folder")?;
    let mut command = Command::new(folder.join("real"));
    if arguments.first().is_none_or(|verb| verb != "serve") {
        let status = command.args(&arguments).status().await?;
        std::process::exit(status.code().unwrap_or(1));
    }
    let at = arguments.iter().position(|word| word == "--listen");
    let at = at.map_or(0, |at| at + 1);
    let listen: SocketAddr = arguments.get(at).ok_or("--listen is missing")?.parse()?;
    let real = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut passed = arguments.clone();
    if let Some(word) = passed.get_mut(at) {
        *word = real.to_string();
    }
    let child = command.args(passed).kill_on_drop(true).spawn()?;
    let door = Arc::new(Door {
        fault: fault(&std::fs::read_to_string(folder.join("fault"))?).ok_or("no such fault")?,
        real,
        http: reqwest::Client::builder().no_proxy().build()?,
        began: Instant::now(),
        asked: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    serve(door, listen, child).await
}

fn fault(text: &str) -> Option<Fault> {
    let mut words = text.split_whitespace();
    let name = words.next()?;
    let mut number = || words.next().unwrap_or("0").parse::<u64>().ok();
    let (number, later) = (number()?, number()?);
    match name {
        "unready" => Some(Fault::Unready),
        "errors" => Some(Fault::Errors(number.max(1), Duration::from_secs(later))),
        "slow" => Some(Fault::Slow(Duration::from_millis(number))),
        "route" => Some(Fault::Route),
        "crash" => Some(Fault::Crash(Duration::from_secs(number))),
        _ => None,
    }
}

async fn serve(door: Arc<Door>, listen: SocketAddr, mut child: Child) -> Result<(), Failure> {
    let crash = match door.fault {
        Fault::Crash(after) => after,
        _ => Duration::MAX,
    };
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let app = Router::new().fallback(pass).with_state(door);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        _ = terminate.recv() => {}
        () = tokio::time::sleep(crash) => {
            child.kill().await?;
            eprintln!("it crashes, as it was told to");
            std::process::exit(101);
        }
    }
    child.kill().await?;
    Ok(())
}

async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let is_health = path.starts_with("/health") || path == "/metrics";
    match door.fault {
        Fault::Route if path == "/broken" => {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Fault::Unready if path == "/health/ready" => {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Fault::Errors(each, later)
            if !is_health && door.began.elapsed() >= later && door.is_each(each) =>
        {
            door.failed.fetch_add(1, Ordering::Relaxed);
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Fault::Errors(..) if path == "/metrics" => {
            let failed = door.failed.load(Ordering::Relaxed);
            let told = forward(&door, request).await;
            return told.map_or_else(
                |_| StatusCode::BAD_GATEWAY.into_response(),
                |told| owned_up(told, failed),
            );
        }
        Fault::Slow(by) if !is_health => tokio::time::sleep(by).await,
        _ => {}
    }
    forward(&door, request)
        .await
        .unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}

/// Whoever fails requests counts them, as the real server does.
fn owned_up(told: Response, failed: u64) -> Response {
    let line =
        format!("hub_requests_total{{method=\"GET\",route=\"/faulty\",status=\"500\"}} {failed}\n");
    let (mut head, body) = told.into_parts();
    head.headers.remove("content-length");
    let stream = futures_util::stream::once(async move { Ok::<_, std::io::Error>(line.into()) });
    let stream = futures_util::StreamExt::chain(
        stream,
        futures_util::TryStreamExt::map_err(body.into_data_stream(), std::io::Error::other),
    );
    Response::from_parts(head, Body::from_stream(stream))
}

async fn forward(door: &Door, request: Request) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let query = head
        .uri
        .path_and_query()
        .map_or("/", |query| query.as_str());
    let url = format!("http://{}{query}", door.real);
    let body = axum::body::to_bytes(body, 1 << 20).await?;
    let asked = door
        .http
        .request(head.method, url)
        .headers(head.headers)
        .body(body);
    let answer = asked.send().await?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "transfer-encoding" && name != "connection" {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Body::from(answer.bytes().await?))?)
}
