//! Tells the hub the lines of one run, one thing after the other, and asks it what was said. It keeps every line: a hub that comes
//! back from a backup may know fewer than it said before.

use std::time::Duration;

use hub_base::{OperationId, plain};
use hub_operate::runbook::Told;
use hub_operate::runbook::shared::{MOST_AT_ONCE, MOST_LINES};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::PATIENCE;
use crate::client::Client;
use crate::exit::{Exit, Failure};

/// A hub that did not answer is left alone for so long; one that refused is told again after so long.
const PAUSE: Duration = Duration::from_secs(5);
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// Mistakes of the hub in a row that nobody needs to know of.
const FORGIVEN: u32 = 2;

/// Somebody at the desk wants something of the hub, after everything before it was told.
#[derive(Debug)]
pub(super) enum Ask {
    /// What was answered and noted.
    Said(oneshot::Sender<Value>),
    /// The answer given here is to be the first one; the other one if it was not.
    First(Value, oneshot::Sender<Option<Value>>),
}

pub(super) struct Teller {
    client: Client,
    id: OperationId,
    beginning: Value,
    /// All of them.
    lines: Vec<Told>,
    /// How many of them the hub has as they are here; `None` before it was asked.
    known: Option<usize>,
    /// How many it took from here: what it has besides is told all the same, so that a line that somebody else told is found.
    taken: usize,
    /// How many it had when it was asked.
    had: usize,
    /// How long a hub that did not answer is left alone.
    pub(super) pause: Duration,
    /// Until then it is not told.
    silent: Option<Instant>,
    /// Until then it is not asked either.
    deaf: Option<Instant>,
    /// How often in a row it refused a line, and how often it made a mistake.
    refused: u32,
    mistakes: u32,
    has_said_so: bool,
    faults: UnboundedSender<String>,
}

fn lasts(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

impl Teller {
    pub(super) const fn new(
        client: Client,
        id: OperationId,
        beginning: Value,
        faults: UnboundedSender<String>,
    ) -> Self {
        Self {
            client,
            id,
            beginning,
            lines: Vec::new(),
            known: None,
            taken: 0,
            had: 0,
            pause: PAUSE,
            silent: None,
            deaf: None,
            refused: 0,
            mistakes: 0,
            has_said_so: false,
            faults,
        }
    }

    /// Whether all was told at the end.
    pub(super) async fn work(
        mut self,
        mut told: UnboundedReceiver<Told>,
        mut asked: UnboundedReceiver<Ask>,
    ) -> bool {
        let mut is_open = true;
        loop {
            let pause = self.silent.filter(|_| self.has_more());
            let mut wanted = None;
            tokio::select! {
                line = told.recv() => {
                    let Some(line) = line else {
                        // The run is over: once more what is left, whatever happened before.
                        self.silent = None;
                        self.flush().await;
                        return !self.has_more();
                    };
                    self.keep(line);
                }
                ask = asked.recv(), if is_open => {
                    is_open = ask.is_some();
                    wanted = ask;
                }
                () = until(pause), if pause.is_some() => {}
            }
            while let Ok(line) = told.try_recv() {
                self.keep(line);
            }
            self.flush().await;
            if let Some(ask) = wanted {
                self.answer(ask).await;
            }
        }
    }

    fn keep(&mut self, line: Told) {
        if self.lines.len() < MOST_LINES {
            self.lines.push(line);
        }
    }

    fn has_more(&self) -> bool {
        self.known.is_none_or(|known| known < self.lines.len())
    }

    /// Tells what was not told yet, unless the hub is left alone just now.
    async fn flush(&mut self) {
        while self.has_more() && !lasts(self.silent) {
            if let Err(failure) = self.step().await {
                self.failed(&failure);
            }
        }
    }

    fn failed(&mut self, failure: &Failure) {
        let soon = Some(Instant::now() + self.pause);
        match failure.exit {
            Exit::Unreachable => (self.silent, self.deaf) = (soon, soon),
            Exit::Bug => {
                self.silent = soon;
                self.mistakes += 1;
                if self.mistakes > FORGIVEN {
                    self.say(failure);
                }
            }
            // Another hub, or one that was restored: from what it has once more. Then it must have changed its mind first.
            _ => {
                self.refused += 1;
                if self.refused > 1 || self.known.is_none() {
                    self.silent = Some(Instant::now() + LONG_PAUSE);
                    self.say(failure);
                }
                self.known = None;
            }
        }
    }

    fn say(&mut self, failure: &Failure) {
        if !self.has_said_so {
            self.has_said_so = true;
            let _unheard = self.faults.send(untold(failure));
        }
    }

    async fn step(&mut self) -> Result<(), Failure> {
        let Some(known) = self.known else {
            let path = "/api/v2/runbook-runs";
            let answer = self.send(Method::POST, path, Some(self.beginning.clone()));
            self.had = self.count(&answer.await?)?;
            self.known = Some(self.had.min(self.taken));
            return Ok(());
        };
        let batch = self.lines.iter().skip(known).take(MOST_AT_ONCE);
        let until = known + batch.len();
        let lines = batch.map(|told| {
            json!({"number": told.number, "at": told.line.at, "by": told.line.by, "what": told.line.what,
                "output": told.output})
        });
        let lines: Vec<Value> = lines.collect();
        let path = format!("/api/v2/runbook-runs/{}/lines", self.id);
        let answer = self.send(Method::POST, &path, Some(json!({ "lines": lines })));
        let now = self.count(&answer.await?)?.min(until);
        if now <= known {
            return Err(nonsense("it takes lines and does not keep them"));
        }
        (self.known, self.taken) = (Some(now), now);
        (self.refused, self.mistakes) = (0, 0);
        Ok(())
    }

    /// How many lines the hub has.
    fn count(&self, answer: &Value) -> Result<usize, Failure> {
        let count = answer.get("lines").and_then(Value::as_u64);
        let count = count.and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or_else(|| nonsense("it does not answer as a hub does"))?;
        if count > self.lines.len() {
            return Err(nonsense("it has lines that this run's journal has not"));
        }
        Ok(count)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let call = self.client.call(method, path, body);
        timeout(PATIENCE, call)
            .await
            .unwrap_or_else(|_| Err(self.late()))
    }

    fn late(&self) -> Failure {
        let late = anyhow::anyhow!("{} takes too long", self.client.url);
        Failure::new(Exit::Unreachable, late)
    }

    /// Whether it could be told or not: what people answer is heard.
    async fn answer(&mut self, ask: Ask) {
        if lasts(self.deaf) {
            // Dropping it says that nothing is known.
            return;
        }
        let path = format!("/api/v2/runbook-runs/{}/answers", self.id);
        let result = match ask {
            Ask::Said(to) => {
                let said = self.send(Method::GET, &path, None).await;
                said.map(|said| drop(to.send(said)))
            }
            Ask::First(wish, to) => {
                let call = self.client.whatever(Method::POST, &path, wish);
                let answer = timeout(PATIENCE, call).await;
                let answer = answer.unwrap_or_else(|_| Err(self.late()));
                // One that it does not take for another reason is taken here: the journal decides.
                answer.map(|answer| drop(to.send(answer.get("first").cloned())))
            }
        };
        if result.is_err() {
            self.deaf = Some(Instant::now() + self.pause);
        }
    }

    /// Tells all of a run that is over. How many lines were new to the hub.
    pub(super) async fn whole(mut self, lines: Vec<Told>) -> Result<usize, Failure> {
        self.lines = lines;
        self.step().await?;
        while self.has_more() {
            self.step().await?;
        }
        Ok(self.lines.len() - self.had)
    }
}

fn nonsense(what: &str) -> Failure {
    Failure::new(Exit::Bug, anyhow::anyhow!("is --url the hub's? {what}"))
}

/// Why the console is not told, and what to do about it.
fn untold(failure: &Failure) -> String {
    let why = plain(&format!(
        "the console is not told of this run: {}",
        failure.error
    ));
    if failure.exit == Exit::NotPermitted {
        return format!(
            "{why}; give an API key with the scope `operations.record`, which outlasts a run as an access token does not, and \
             `resume`"
        );
    }
    why
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
