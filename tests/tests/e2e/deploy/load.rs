//! People at work while releases change, and what they see of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::StatusCode;

/// People at work: connections that are kept and connections made anew, until stopped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    done: Arc<Mutex<Report>>,
    began: Instant,
}

#[derive(Default)]
pub(super) struct Report {
    pub(super) answered: usize,
    /// What clients saw go wrong, and how often.
    pub(super) failed: BTreeMap<String, usize>,
    /// Kept connections that were closed without an answer: the client asks again, as RFC 9112 section 9.3.1 has it.
    pub(super) closed: usize,
    pub(super) rate: f64,
    /// When each was answered since the load began, and how long it took.
    pub(super) took: Vec<(Duration, Duration)>,
}

/// Without every single time: there are tens of thousands.
impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("answered", &self.answered)
            .field("failed", &self.failed)
            .field("closed", &self.closed)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

/// How hard people work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Clients that keep their connection.
    pub(super) keepers: usize,
    /// Clients that make a new one each time.
    pub(super) strangers: usize,
    /// Clients that write over a connection that they keep, and never twice: what fails once has failed.
    pub(super) writers: usize,
    /// Between two requests of one client.
    pub(super) pause: Duration,
}

impl Pace {
    /// About 500 requests a second.
    pub(super) const STEADY: Self = Self {
        keepers: KEEPERS,
        strangers: 2,
        writers: 1,
        pause: Duration::from_millis(12),
    };

    /// About 150: as many as it takes to see a gap, and the processor is free for what deploys.
    pub(super) const LIGHT: Self = Self {
        pause: Duration::from_millis(50),
        ..Self::STEADY
    };

    /// The same as steady while a release is bad: what it fails to write, nobody else is asked to.
    pub(super) const READING: Self = Self {
        writers: 0,
        ..Self::STEADY
    };
}

#[derive(Clone, Copy, PartialEq)]
enum Client {
    Keeper,
    Stranger,
    Writer,
}

impl Client {
    fn request(self, http: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
        match self {
            Self::Keeper | Self::Stranger => http.get(format!("{url}/api/v2/me")),
            Self::Writer => http
                .post(format!("{url}/api/v2/events?format=json"))
                .body("{\"time\":\"2026-11-23T10:00:00Z\"}\n"),
        }
    }
}

/// Clients that keep their connection.
pub(super) const KEEPERS: usize = 6;

impl Load {
    pub(super) fn start(url: &str, token: &str) -> Self {
        Self::at(Pace::STEADY, url, token)
    }

    pub(super) fn at(pace: Pace, url: &str, token: &str) -> Self {
        let began = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let done: Arc<Mutex<Report>> = Arc::default();
        let client = |client: Client| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            let (url, token) = (url.to_owned(), token.to_owned());
            tokio::spawn(async move {
                let http = reqwest::Client::builder()
                    .no_proxy()
                    .pool_max_idle_per_host(usize::from(client != Client::Stranger))
                    .timeout(Duration::from_secs(20))
                    .build()
                    .unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let ask = || client.request(&http, &url).bearer_auth(&token).send();
                    let asked = Instant::now();
                    let mut answer = ask().await;
                    if client == Client::Keeper && answer.as_ref().is_err_and(was_closed) {
                        done.lock().unwrap().closed += 1;
                        answer = ask().await;
                    }
                    note(&done, answer.map(|answer| answer.status()));
                    let took = (began.elapsed(), asked.elapsed());
                    done.lock().unwrap().took.push(took);
                    if !pace.pause.is_zero() {
                        tokio::time::sleep(pace.pause).await;
                    }
                }
            })
        };
        let kinds = [
            (Client::Keeper, pace.keepers),
            (Client::Stranger, pace.strangers),
            (Client::Writer, pace.writers),
        ];
        let kinds = kinds.into_iter();
        let tasks = kinds
            .flat_map(|(kind, count)| std::iter::repeat_n(kind, count))
            .map(client)
            .collect();
        Self {
            stop,
            tasks,
            done,
            began,
        }
    }

    /// Once so many requests were answered.
    pub(super) async fn answered(self, count: usize) -> Report {
        while self.done.lock().unwrap().answered < count {
            tokio::time::sleep(Pace::STEADY.pause).await;
        }
        self.stop().await
    }

    pub(super) async fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let mut report = std::mem::take(&mut *self.done.lock().unwrap());
        report.rate = report.answered as f64 / self.began.elapsed().as_secs_f64();
        report
    }
}

/// Whether a kept connection ended before the first byte of the answer.
fn was_closed(error: &reqwest::Error) -> bool {
    format!("{error:?}").contains("IncompleteMessage")
}

fn note(done: &Mutex<Report>, answer: Result<StatusCode, reqwest::Error>) {
    let mut report = done.lock().unwrap();
    report.answered += 1;
    let wrong = match answer {
        Ok(StatusCode::OK | StatusCode::ACCEPTED) => return,
        Ok(status) => status.to_string(),
        Err(error) => format!("{error:?}"),
    };
    *report.failed.entry(wrong).or_default() += 1;
}
