//! The run in the hub's console: each line is told as it happens, and what people answer there is heard. Best effort: what could
//! not be told is told with what comes next, and the run never waits long for the hub.

use std::collections::VecDeque;
use std::time::Duration;

use hub_operate::runbook::{At, Run, Told};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, field, list};
use crate::exit::{Exit, Failure};

/// Whoever waits for the hub waits so long at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked for answers.
const LOOK: Duration = Duration::from_secs(1);
/// A hub that did not answer is left alone for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// Lines told at once.
const AT_ONCE: usize = 100;

/// Whose turn it is: the line since which the run is in that section, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) entered: usize,
    pub(super) at: At,
}

/// What somebody answered who is not at this terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) by: String,
    /// A decision's word.
    pub(super) choice: Option<String>,
}

/// What is new in the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    Answer(Answered),
    Note {
        number: u32,
        by: String,
        text: String,
    },
}

/// The console as the run's desk sees it.
#[derive(Debug)]
pub(super) struct Console {
    ask: Option<UnboundedSender<Ask>>,
    task: Option<JoinHandle<()>>,
    faults: UnboundedReceiver<String>,
}

/// Somebody at the desk wants something of the hub, after everything before it was told.
#[derive(Debug)]
enum Ask {
    /// What was answered and noted.
    Said(oneshot::Sender<Value>),
    /// The answer given here is to be the first one; what the hub says to it.
    First(Value, oneshot::Sender<bool>),
}

impl Console {
    /// Begins to tell, if there is a credential.
    pub(super) fn open(run: &mut Run, client: &Client) -> Self {
        let (to, faults) = unbounded_channel();
        if !client.has_token() {
            return Self {
                ask: None,
                task: None,
                faults,
            };
        }
        let (lines, told) = unbounded_channel();
        run.tell(lines);
        let (ask, asked) = unbounded_channel();
        let teller = Teller {
            client: client.clone(),
            id: run.id().to_string(),
            beginning: json!({"id": run.id(), "runbook": run.book.name, "text": run.book.text, "by": run.by(),
                "began": run.began(), "incident": run.incident()}),
            has_begun: false,
            lines: VecDeque::new(),
            quiet_until: None,
            is_given_up: false,
            faults: to,
        };
        Self {
            ask: Some(ask),
            task: Some(tokio::spawn(teller.work(told, asked))),
            faults,
        }
    }

    /// Why nothing can be told, once.
    pub(super) fn fault(&mut self) -> Option<String> {
        self.faults.try_recv().ok()
    }

    async fn said(&self) -> Option<Value> {
        let (to, said) = oneshot::channel();
        self.ask.as_ref()?.send(Ask::Said(to)).ok()?;
        timeout(PATIENCE, said).await.ok()?.ok()
    }

    /// Waits until the console has something new: an answer to `turn`, a note after number `notes`.
    pub(super) async fn hears(&self, turn: Option<Turn>, notes: u32) -> News {
        loop {
            if let Some(said) = self.said().await
                && let Some(news) = news(&said, turn, notes)
            {
                return news;
            }
            sleep(LOOK).await;
        }
    }

    /// Says that this is the answer. Somebody else's, if that was first.
    pub(super) async fn first(
        &self,
        turn: Turn,
        choice: Option<&str>,
        by: &str,
    ) -> Option<Answered> {
        let wish = json!({"entered": turn.entered, "section": turn.at.section, "item": turn.at.item, "choice": choice,
            "by": by});
        let (to, said) = oneshot::channel();
        self.ask.as_ref()?.send(Ask::First(wish, to)).ok()?;
        let is_first = timeout(PATIENCE, said).await.ok()?.ok()?;
        if is_first {
            return None;
        }
        match news(&self.said().await?, Some(turn), u32::MAX)? {
            News::Answer(answer) => Some(answer),
            News::Note { .. } => None,
        }
    }

    /// Tells what is left, but does not wait long for it. `run` tells no more.
    pub(super) async fn close(mut self) {
        self.ask = None;
        if let Some(task) = self.task.take() {
            let end = task.abort_handle();
            if timeout(PATIENCE, task).await.is_err() {
                end.abort();
            }
        }
    }
}

fn news(said: &Value, turn: Option<Turn>, notes: u32) -> Option<News> {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
    let unseen = list(said, "notes")
        .into_iter()
        .find(|note| number(note, "number").is_some_and(|number| number > u64::from(notes)));
    if let Some(note) = unseen {
        return Some(News::Note {
            number: u32::try_from(number(&note, "number")?).ok()?,
            by: field(&note, "by"),
            text: field(&note, "text"),
        });
    }
    let turn = turn?;
    let wanted = [
        ("entered", turn.entered),
        ("section", turn.at.section),
        ("item", turn.at.item),
    ];
    let is_it = |answer: &Value| {
        let mut wanted = wanted.iter();
        wanted.all(|(name, wanted)| number(answer, name) == Some(*wanted as u64))
    };
    let answer = list(said, "answers").into_iter().find(is_it)?;
    Some(News::Answer(Answered {
        by: field(&answer, "by"),
        choice: answer.get("choice")?.as_str().map(str::to_owned),
    }))
}

/// Tells the hub, one thing after the other.
struct Teller {
    client: Client,
    id: String,
    beginning: Value,
    has_begun: bool,
    /// What was not told yet.
    lines: VecDeque<Told>,
    quiet_until: Option<Instant>,
    is_given_up: bool,
    faults: UnboundedSender<String>,
}

impl Teller {
    async fn work(mut self, mut told: UnboundedReceiver<Told>, mut asked: UnboundedReceiver<Ask>) {
        let mut is_open = true;
        loop {
            let pause = self.quiet_until;
            let waits = pause.filter(|_| !self.lines.is_empty() && !self.is_given_up);
            tokio::select! {
                line = told.recv() => {
                    let Some(line) = line else {
                        // The run is over: once more what is left, whatever happened before.
                        self.quiet_until = None;
                        self.flush().await;
                        return;
                    };
                    self.lines.push_back(line);
                }
                ask = asked.recv(), if is_open => match ask {
                    Some(ask) => {
                        while let Ok(line) = told.try_recv() {
                            self.lines.push_back(line);
                        }
                        self.flush().await;
                        self.answer(ask).await;
                        continue;
                    }
                    None => is_open = false,
                },
                () = until(waits), if waits.is_some() => {}
            }
            while let Ok(line) = told.try_recv() {
                self.lines.push_back(line);
            }
            self.flush().await;
        }
    }

    fn has_more(&self) -> bool {
        !self.has_begun || !self.lines.is_empty()
    }

    fn is_quiet(&self) -> bool {
        self.is_given_up || self.quiet_until.is_some_and(|until| Instant::now() < until)
    }

    /// Tells what was not told yet, unless the hub is left alone just now.
    async fn flush(&mut self) {
        let mut tries = 0;
        while self.has_more() && !self.is_quiet() {
            let told_lines = self.has_begun;
            match self.step().await {
                Ok(()) if told_lines => tries = 0,
                Ok(()) => {}
                Err(failure) if matches!(failure.exit, Exit::Unreachable | Exit::Bug) => {
                    self.quiet_until = Some(Instant::now() + PAUSE);
                }
                // Another hub, or one that was restored: from its beginning once more, then never again.
                Err(failure) => {
                    tries += 1;
                    if tries > 1 || !self.has_begun {
                        self.is_given_up = true;
                        let _unheard = self.faults.send(untold(&failure));
                    }
                    self.has_begun = false;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<(), Failure> {
        if !self.has_begun {
            let known = self
                .post("/api/v2/runbook-runs", self.beginning.clone())
                .await?;
            self.forget(&known);
            self.has_begun = true;
            return Ok(());
        }
        let lines = self.lines.iter().take(AT_ONCE).map(|told| {
            json!({"number": told.number, "at": told.line.at, "by": told.line.by, "what": told.line.what,
                "output": told.output})
        });
        let lines: Vec<Value> = lines.collect();
        let path = format!("/api/v2/runbook-runs/{}/lines", self.id);
        let known = self.post(&path, json!({ "lines": lines })).await?;
        self.forget(&known);
        Ok(())
    }

    /// What the hub knows needs not be told.
    fn forget(&mut self, known: &Value) {
        let known = known.get("lines").and_then(Value::as_u64).unwrap_or(0);
        self.lines.retain(|told| u64::from(told.number) >= known);
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let call = self.client.call(method, path, body);
        timeout(PATIENCE, call).await.unwrap_or_else(|_| {
            let late = anyhow::anyhow!("{} takes too long", self.client.url);
            Err(Failure::new(Exit::Unreachable, late))
        })
    }

    async fn answer(&mut self, ask: Ask) {
        if self.is_quiet() {
            // Dropping it says that nothing is known.
            return;
        }
        let path = format!("/api/v2/runbook-runs/{}/answers", self.id);
        let result = match ask {
            Ask::Said(to) => {
                let said = self.send(Method::GET, &path, None).await;
                said.map(|said| drop(to.send(said)))
            }
            Ask::First(wish, to) => match self.post(&path, wish).await {
                Ok(_) => {
                    let _gone = to.send(true);
                    Ok(())
                }
                Err(failure) if failure.exit == Exit::Usage => {
                    let _gone = to.send(false);
                    Ok(())
                }
                Err(failure) => Err(failure),
            },
        };
        if result.is_err() {
            self.quiet_until = Some(Instant::now() + PAUSE);
        }
    }
}

/// Why the console is not told, and what to do about it.
fn untold(failure: &Failure) -> String {
    let why = format!("the console is not told of this run: {}", failure.error);
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
