//! The accept loop: one task a connection, each with a permit, a handshake limit, and a watch that ends it when it
//! is silent; stopping without losing a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::activity::{Activity, Patience, Tracked, Verdict, Watched};
use super::capacity::{Capacity, Full};
use super::changes::{AT_ONCE, Changes};
use super::tls::Certificates;
use super::{Arrival, Scheme};
use crate::config::Config;
use crate::metrics::Metrics;

/// When stopping: for connections that wait in the kernel's queue.
const BACKLOG: Duration = Duration::from_millis(20);

/// Answers one request.
pub(crate) type Answer = Arc<
    dyn Fn(Request<Incoming>, Arrival) -> futures_util::future::BoxFuture<'static, Response<Body>>
        + Send
        + Sync,
>;

/// Everything the accept loop needs.
#[derive(Clone)]
pub(crate) struct Door {
    patience: Patience,
    capacity: Capacity,
    certificates: Option<Certificates>,
    answer: Answer,
    metrics: Metrics,
    /// `Some(when)` once the server is stopping.
    stopping: watch::Receiver<Option<Instant>>,
}

impl Door {
    pub(crate) fn new(
        config: &Config,
        certificates: Option<Certificates>,
        answer: Answer,
        metrics: Metrics,
        stopping: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let limits = &config.limits;
        let all = limits.connections.min(descriptors());
        // One address never takes more than half of the house, however small the house is.
        let per_address = limits.connections_per_address.min((all / 2).max(1));
        let patience = Patience {
            head: limits.header_timeout,
            idle: limits.idle_timeout,
            stopping: Duration::from_secs(1),
            stall: limits.stall_timeout,
        };
        Self {
            patience,
            capacity: Capacity::new(all, per_address, &config.trusted_proxies),
            certificates,
            answer,
            metrics,
            stopping,
        }
    }

    /// Serves until told to stop, then finishes what is in progress, for at most `drain`.
    /// Returns the number of connections that were cut off.
    pub(crate) async fn serve(self, listener: TcpListener, drain: Duration) -> usize {
        let tasks = TaskTracker::new();
        let mut stopping = self.stopping.clone();
        loop {
            tokio::select! {
                biased;
                () = told(&mut stopping) => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => self.welcome(&tasks, socket, peer),
                    Err(error) => self.cannot_accept(&error).await,
                },
            }
        }
        // Who was connected by the kernel already has perhaps sent a request: closing now would reset it.
        let until = Instant::now() + BACKLOG;
        while let Ok(Ok((socket, peer))) = tokio::time::timeout_at(until, listener.accept()).await {
            self.welcome(&tasks, socket, peer);
        }
        drop(listener);
        tasks.close();
        let _drained = timeout(drain, tasks.wait()).await;
        tasks.len()
    }

    /// Out of descriptors, most likely: look again soon, the watches are freeing some.
    async fn cannot_accept(&self, error: &std::io::Error) {
        self.metrics.connections_refused("accept");
        tracing::warn!(error = %error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn welcome(&self, tasks: &TaskTracker, socket: TcpStream, peer: SocketAddr) {
        match self.capacity.admit(peer.ip().to_canonical()) {
            Ok(permit) => {
                self.metrics.connections_open(self.capacity.open());
                let door = self.clone();
                let changes = Changes::new(tasks.clone(), permit);
                tasks.spawn(async move {
                    door.keep(socket, peer, changes).await;
                    door.metrics.connections_open(door.capacity.open());
                });
            }
            Err(Full::House) => self.metrics.connections_refused("house_full"),
            Err(Full::Address) => self.metrics.connections_refused("address_full"),
        }
    }

    async fn keep(&self, socket: TcpStream, peer: SocketAddr, changes: Changes) {
        let _slower = socket.set_nodelay(true);
        let Some(certificates) = &self.certificates else {
            let arrival = Arrival {
                peer,
                scheme: Scheme::Http,
            };
            return self.converse(socket, arrival, changes).await;
        };
        match timeout(self.patience.head, certificates.acceptor().accept(socket)).await {
            Ok(Ok(socket)) => {
                let arrival = Arrival {
                    peer,
                    scheme: Scheme::Https,
                };
                self.converse(socket, arrival, changes).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_late) => self.metrics.connections_refused("handshake_timeout"),
        }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        socket: S,
        arrival: Arrival,
        changes: Changes,
    ) {
        let activity = Activity::new();
        let service = {
            let (activity, door) = (Arc::clone(&activity), self.clone());
            hyper::service::service_fn(move |request: Request<Incoming>| {
                let in_progress = activity.begin();
                let changes = (!request.method().is_safe()).then(|| changes.clone());
                let answering = (door.answer)(request, arrival);
                let stopping = door.stopping.clone();
                async move {
                    let mut response = match changes {
                        Some(changes) => changes.make(answering).await,
                        None => answering.await,
                    };
                    if stopping.borrow().is_some() && response.version() < http::Version::HTTP_2 {
                        response.headers_mut().insert(
                            http::header::CONNECTION,
                            http::HeaderValue::from_static("close"),
                        );
                    }
                    Ok::<_, std::convert::Infallible>(
                        response.map(|body| Tracked::new(body, in_progress)),
                    )
                }
            })
        };
        let builder = builder(self.patience);
        let socket = TokioIo::new(Watched::new(socket, Arc::clone(&activity)));
        let connection = builder.serve_connection(socket, service);
        let mut connection = std::pin::pin!(connection);
        let mut stopping = self.stopping.clone();
        let mut closing = false;
        loop {
            let stopped_at = *stopping.borrow_and_update();
            let wait = match activity.judge(&self.patience, stopped_at, Instant::now()) {
                Verdict::Wait(until) => until,
                Verdict::Drop => return self.metrics.connections_refused("silent"),
                Verdict::Close if closing => return,
                Verdict::Close => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                    Instant::now() + Duration::from_secs(1)
                }
            };
            tokio::select! {
                _ended = connection.as_mut() => return,
                () = sleep_until(wait) => {}
                changed = stopping.changed(), if stopped_at.is_none() => {
                    if changed.is_err() { return; }
                }
            }
        }
    }
}

fn builder(patience: Patience) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // hyper counts the pause between requests as waiting for a head; the watch knows the difference.
    let backstop = patience.head.max(patience.idle) + Duration::from_secs(5);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(backstop)
        .max_headers(100)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(AT_ONCE as u32)
        .max_header_list_size(32 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Comes back when the server is stopping.
pub(crate) async fn told(stopping: &mut watch::Receiver<Option<Instant>>) {
    let _gone = stopping.wait_for(Option::is_some).await;
}

/// Descriptors for connections: the process's limit, raised as far as it may be, less what the rest needs.
fn descriptors() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 512;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(128)
        .max(16)
}
