//! Exchanging keys, passwords and certificates while everything serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use hub_base::{Clock as _, SystemClock, Timestamp};
use hub_operate::Error;
use hub_operate::operation::{Operation, OperationLog};
use hub_operate::rotate::{
    self, Config, Due, Issued, Journal, Journey, Offered, Rotation, Stage, Thing,
};
use serde_json::{Value, json};

use super::progress::Progress;
use super::told::told;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The kind of these operations in the ledger.
const KIND: &str = "key_rotation";

/// Exchange keys, passwords and certificates while everything serves; each step can be resumed after a kill, and taken back.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// What is in use, and what is under way.
    List(Where),
    /// Make a new one, have everybody know it, put it into use. Run again, it goes on where it stopped.
    Rotate(Rotate),
    /// Take the former one away, once nothing that it made is good any more.
    Retire(Retire),
    /// Go back to the former one, as long as it was not taken away.
    Undo(Undo),
}

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// Where the keys are and who uses them: see infrastructure/deploy/keys.example.toml.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "keys.toml",
        env = "HUB_KEYS_CONFIG"
    )]
    config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    place: Where,
    /// token-signing, checkpoint-signing, device-cookies, database, tls or redis.
    #[arg(value_name = "WHAT")]
    thing: Thing,
    /// For tls: PEM file with the new chain.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// For tls: PEM file with its private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Wait until the former one may go, and retire it.
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Retire {
    #[command(flatten)]
    place: Where,
    /// As in `rotate`.
    #[arg(value_name = "WHAT")]
    thing: Thing,
    /// At once: whatever the former one made is refused from then on. For a key that was stolen.
    #[arg(long)]
    now: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Undo {
    #[command(flatten)]
    place: Where,
    /// As in `rotate`.
    #[arg(value_name = "WHAT")]
    thing: Thing,
}

impl Keys {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::List(place) => list(&Config::read(&place.config)?, output).await,
            Self::Rotate(rotate) => rotate.run(client, output).await,
            Self::Retire(retire) => retire.run(client, output).await,
            Self::Undo(undo) => undo.run(client, output).await,
        }
    }
}

/// Everything that one exchange needs.
struct Site<'a> {
    thing: Thing,
    rotation: Rotation,
    log: OperationLog,
    steps: Progress,
    client: &'a Client,
    output: &'a Output,
}

impl<'a> Site<'a> {
    fn open(
        place: &Where,
        thing: Thing,
        issued: Option<Issued>,
        client: &'a Client,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        let config = Config::read(&place.config)?;
        let token = client.has_token().then(|| client.token().cloned());
        let offered = Offered {
            token: token.transpose()?,
            issued,
        };
        Ok(Self {
            thing,
            rotation: Rotation::open(&config, thing, offered, Arc::new(SystemClock))?,
            log: OperationLog::open(&config.state)?,
            steps: Progress::new(),
            client,
            output,
        })
    }

    /// Does one operation and has it written down, however it ends.
    async fn operation<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Rotation, &mut Operation<'_>) -> Result<T, Error>,
        outcome: Option<&str>,
    ) -> Result<T, Failure> {
        let mut op = Operation::begin(KIND, Arc::new(SystemClock), &self.steps);
        let done = work(&mut self.rotation, &mut op).await;
        let why = done.as_ref().err().map(|error| hub_base::chain(error));
        let is_done = why.is_none();
        // Refused before anything was begun: nothing was done to the installation.
        let refused = matches!(
            done,
            Err(Error::TooEarly(_)
                | Error::NoWayBack(_)
                | Error::Unfinished(..)
                | Error::Configuration { .. }
                | Error::Unissued)
        );
        let mut record = op.end(self.thing.name(), why);
        if let (Some(outcome), true) = (outcome, is_done) {
            outcome.clone_into(&mut record.outcome);
        }
        if !refused {
            self.log.keep(&record)?;
            let untold = self.log.untold()?;
            told(self.client, untold, |id| self.log.tell(id), self.output).await?;
        }
        done.map_err(|error| explained(error, self.thing))
    }
}

fn explained(error: Error, thing: Thing) -> Failure {
    let help = match &error {
        Error::Unsettled(_) => Some(format!(
            "the same command goes on; `hubctl keys undo {thing}` goes back; a server that is gone must go from `servers`"
        )),
        Error::Unfinished(..) => Some(format!(
            "`hubctl keys undo {thing}` goes back, `hubctl keys rotate {thing}` goes on"
        )),
        Error::TooEarly(_) => Some("--now takes it away all the same".to_owned()),
        _ => None,
    };
    let interrupted = matches!(error, Error::Unsettled(_) | Error::Unfinished(..));
    let no = matches!(error, Error::TooEarly(_));
    let failure = Failure::from(error);
    let failure = match help {
        Some(help) => failure.help(help),
        None => failure,
    };
    let exit = match (interrupted, no) {
        (true, _) => Exit::Interrupted,
        (_, true) => Exit::No,
        _ => failure.exit,
    };
    Failure { exit, ..failure }
}

async fn list(config: &Config, output: &Output) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    let mut document = Vec::new();
    for &thing in Thing::ALL {
        let Some(standing) = rotate::standing(config, thing).await? else {
            continue;
        };
        let journey = Journal::peek(&config.state, thing)?;
        rows.push(vec![
            thing.to_string(),
            standing.in_use.clone(),
            standing.since.map_or_else(String::new, |at| at.to_string()),
            journey.as_ref().map_or_else(String::new, words),
        ]);
        document.push(json!({"thing": thing, "in_use": standing.in_use, "since": standing.since, "under_way": journey}));
    }
    if output.json {
        output.document(&document)?;
    } else {
        output.table(&["What", "In use", "Since", "Under way"], rows)?;
    }
    Ok(Exit::Done)
}

fn words(journey: &Journey) -> String {
    match (journey.stage, journey.until) {
        (Stage::Settled | Stage::Returned, Some(until)) => {
            format!("{}; retire the other from {until}", journey.stage)
        }
        (Stage::Settled | Stage::Returned, None) => format!("{}; retire the other", journey.stage),
        _ => format!("stopped {}", journey.stage),
    }
}

impl Rotate {
    async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let issued = self.cert.zip(self.key);
        let issued = issued.map(|(cert, key)| Issued { cert, key });
        let mut site = Site::open(&self.place, self.thing, issued, client, output)?;
        let journey = site
            .operation(async |rotation, op| rotation.rotate(op).await, None)
            .await?;
        output.note(
            "back up now (`hubctl backup run`): the bundles of before hold only the former one",
        );
        if self.wait {
            wait(&site.steps, journey.until).await;
            retired(&mut site, Due::Awaited).await?;
            let fresh = journey.fresh.unwrap_or_default();
            return said(output, &json!({"in_use": fresh, "former": "gone"}), || {
                format!("{fresh} is in use, {} is gone", journey.former)
            });
        }
        settled(output, &journey)
    }
}

impl Retire {
    async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place, self.thing, None, client, output)?;
        let due = if self.now { Due::Now } else { Due::Awaited };
        let id = retired(&mut site, due).await?;
        said(output, &json!({ "retired": id }), || {
            format!("{id} is gone")
        })
    }
}

async fn retired(site: &mut Site<'_>, due: Due) -> Result<String, Failure> {
    let work =
        async |rotation: &mut Rotation, op: &mut Operation<'_>| rotation.retire(due, op).await;
    site.operation(work, None).await
}

impl Undo {
    async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place, self.thing, None, client, output)?;
        let back = site
            .operation(
                async |rotation, op| rotation.undo(op).await,
                Some("rolled_back"),
            )
            .await?;
        match back {
            Some(journey) => settled(output, &journey),
            None => said(output, &json!({"fresh": "gone"}), || {
                "nobody had used the new one; it is gone".to_owned()
            }),
        }
    }
}

/// Everybody uses one, and the other is accepted still.
fn settled(output: &Output, journey: &Journey) -> Result<Exit, Failure> {
    let fresh = journey.fresh.clone().unwrap_or_default();
    let (used, other) = match journey.stage {
        Stage::Returned => (&journey.former, &fresh),
        _ => (&fresh, &journey.former),
    };
    let document = json!({"in_use": used, "other": other, "other_accepted_until": journey.until});
    said(output, &document, || {
        let thing = journey.thing;
        match journey.until {
            Some(until) => format!(
                "{used} is in use. What {other} made is good until {until}: `hubctl keys retire {thing}` then"
            ),
            None => format!("{used} is in use. `hubctl keys retire {thing}` takes {other} away"),
        }
    })
}

fn said(
    output: &Output,
    document: &Value,
    words: impl FnOnce() -> String,
) -> Result<Exit, Failure> {
    if output.json {
        output.document(document)?;
    } else {
        output.line(&words())?;
    }
    Ok(Exit::Done)
}

/// Until the former one may go.
async fn wait(steps: &Progress, until: Option<Timestamp>) {
    let Some(until) = until else { return };
    loop {
        let left = until.since(SystemClock.now());
        if left.is_zero() {
            return;
        }
        steps.note(&format!(
            "what the former one made is good for {} s more",
            left.as_secs() + 1
        ));
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
    }
}
