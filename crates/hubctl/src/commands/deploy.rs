//! Bringing a release into production, and taking it back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hub_base::{Clock as _, SystemClock};
use hub_operate::deploy::{
    Check, Engine, Entry, Figures, Journal, Journey, Observer, Outcome, Standing, Target as _,
};
use hub_operate::records::Record;
use hub_operate::{Config, Error, Place, Release};
use indicatif::ProgressBar;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::release::parse;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The target and how carefully: see operations/runbooks/deployment-runbook.md.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "deploy.toml",
        env = "HUB_DEPLOY_CONFIG"
    )]
    config: PathBuf,
}

/// Everything an operation on a target needs.
struct Site {
    config: Config,
    target: Place,
    progress: Progress,
}

impl Site {
    async fn open(place: &Where) -> Result<Self, Failure> {
        let config = Config::read(&place.config)?;
        let target = Place::open(&config).await?;
        Ok(Self {
            config,
            target,
            progress: Progress::new(),
        })
    }

    fn release(&self, dir: &Path) -> Result<Release, Failure> {
        let trust = self.config.gates.trust.as_deref().map(parse).transpose()?;
        Ok(Release::open(dir, trust.as_ref())?)
    }

    async fn checks(&mut self, release: &Release) -> Result<Vec<Check>, Failure> {
        let standing = self.target.standing().await?;
        let state = self.target.state();
        let now = SystemClock.now();
        let mut checks = self
            .config
            .gates
            .check(release, &standing, state, now)
            .await;
        let fits = self.target.fits(release);
        checks.push(Check {
            gate: "artefact",
            holds: fits.is_ok(),
            said: match fits {
                Ok(()) => "the release has what this target runs".to_owned(),
                Err(error) => error.to_string(),
            },
        });
        Ok(checks)
    }

    /// Tells people. Whoever cannot be told holds nothing up.
    async fn notify(&self, journey: &Journey, output: &Output) {
        for fault in self.config.notify.tell(journey).await {
            output.note(&fault);
        }
    }

    fn engine<'a>(
        &'a mut self,
        journal: &'a mut Journal,
        abort: watch::Receiver<bool>,
        gates: Vec<Check>,
    ) -> Engine<'a, Place> {
        Engine {
            target: &mut self.target,
            journal,
            policy: &self.config.policy,
            clock: Arc::new(SystemClock),
            observer: &self.progress,
            gates,
            abort,
        }
    }
}

/// Bring a release in: blue-green, in steps, judged beside the old one; it takes itself back if it is worse.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    #[command(flatten)]
    place: Where,
    /// Folder of the release; the same one again goes on with a deploy that was cut off.
    #[arg(long, value_name = "DIR")]
    release: PathBuf,
    /// Show gates and steps, change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Deploy {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let release = site.release(&self.release)?;
        let checks = site.checks(&release).await?;
        let holds = checks.iter().all(|check| check.holds);
        if self.dry_run {
            let state = site.target.state().to_owned();
            let mut journal = Journal::open(&state)?;
            let policy = site.config.policy.clone();
            let plan = site
                .engine(&mut journal, never(), Vec::new())
                .plan("deploy", &release)
                .await?;
            shown(output, &plan, &checks, &policy)?;
            return Ok(if holds { Exit::Done } else { Exit::No });
        }
        if !holds {
            if output.json {
                output.document(&json!({"checks": checks}))?;
            } else {
                gates(output, &checks)?;
            }
            output.note("nothing was begun");
            return Ok(Exit::No);
        }
        let state = site.target.state().to_owned();
        let mut journal = Journal::open(&state)?;
        if journal.current().is_none() {
            let mut engine = site.engine(&mut journal, never(), Vec::new());
            let begun = engine.plan("deploy", &release).await?;
            site.notify(&begun, output).await;
        }
        let outcome = site
            .engine(&mut journal, aborts()?, checks)
            .deploy(&release)
            .await;
        let outcome = outcome.map_err(resumable)?;
        site.notify(&outcome.journey, output).await;
        tell(client, &journal, output).await?;
        ended(output, outcome)
    }
}

/// Take back an unfinished deploy, or return to the release before (or to any that was kept).
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    place: Where,
    /// Folder of a kept release; without it, what is unfinished is taken back, or the release before returns.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl Rollback {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let state = site.target.state().to_owned();
        let mut journal = Journal::open(&state)?;
        let outcome = if journal.current().is_some() && self.to.is_none() {
            let why = "the operator took it back";
            site.engine(&mut journal, never(), Vec::new())
                .undo(why)
                .await
        } else {
            let dir = match self.to {
                Some(dir) => dir,
                None => before(&state)?,
            };
            let release = site.release(&dir)?;
            site.engine(&mut journal, never(), Vec::new())
                .return_to(&release)
                .await
        };
        let outcome = outcome.map_err(resumable)?;
        site.notify(&outcome.journey, output).await;
        tell(client, &journal, output).await?;
        // To be back is what was asked for.
        let asked = outcome.is_deployed() || outcome.journey.kind == "deploy";
        ended(output, outcome)?;
        Ok(if asked { Exit::Done } else { Exit::No })
    }
}

/// Bring the target's database to a release's schema without deploying it. Migrations only expand: what runs goes on.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    place: Where,
    /// Folder of the release.
    #[arg(long, value_name = "DIR")]
    release: PathBuf,
}

impl Migrate {
    pub(crate) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let release = site.release(&self.release)?;
        // Nobody deploys meanwhile.
        let journal = Journal::open(site.target.state())?;
        if let Some(waiting) = journal.current() {
            let what = format!("the {} of {}", waiting.kind, waiting.to.name);
            return Err(resumable(Error::Unfinished(
                what,
                waiting.stage.to_string(),
            )));
        }
        let said = site.target.migrate(&release).await?;
        if output.json {
            output.document(&json!({"release": release.name(), "said": said}))?;
        } else {
            output.line(&said)?;
        }
        Ok(Exit::Done)
    }
}

/// The release that ran before the one that runs.
fn before(state: &Path) -> Result<PathBuf, Failure> {
    let history = Journal::history(state)?;
    let last = history
        .iter()
        .rev()
        .find(|journey| journey.outcome.as_deref() == Some("deployed"));
    let from = last.and_then(|journey| journey.from.clone());
    let none = Error::NoWayBack("no release ran before this one; name a kept one with --to DIR");
    Ok(from.ok_or(none)?.dir)
}

/// What runs where, what is unfinished, what was done, and the DORA figures.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    place: Where,
}

impl Status {
    pub(crate) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let state = site.target.state().to_owned();
        let standing = site.target.standing().await?;
        let current = Journal::peek(&state)?;
        let history = Journal::history(&state)?;
        let dora = hub_operate::dora::figures(&history, SystemClock.now());
        let well = standing.iter().any(|colour| colour.is_up) && current.is_none();
        if output.json {
            output.document(&json!({
                "colours": standing, "unfinished": current, "history": history, "dora": dora,
            }))?;
        } else {
            output.table(&["Colour", "Release", "Share", "Up"], rows(&standing))?;
            if let Some(journey) = &current {
                output.line(&format!(
                    "unfinished: the {} of {} stopped {}; `hubctl deploy` with the same release goes on, `hubctl rollback` takes it back",
                    journey.kind, journey.to.name, journey.stage
                ))?;
            }
            let last = history.iter().rev().take(10).map(line);
            output.table(
                &["Began", "What", "Release", "Outcome", "Why"],
                last.collect(),
            )?;
            output.line(&dora.to_string())?;
        }
        Ok(if well { Exit::Done } else { Exit::No })
    }
}

fn rows(standing: &[Standing]) -> Vec<Vec<String>> {
    let row = |colour: &Standing| {
        vec![
            colour.colour.to_string(),
            colour.release.clone().unwrap_or_default(),
            format!("{} %", colour.share),
            if colour.is_up { "yes" } else { "no" }.to_owned(),
        ]
    };
    standing.iter().map(row).collect()
}

fn line(journey: &Journey) -> Vec<String> {
    vec![
        journey.began.to_string(),
        journey.kind.clone(),
        journey.to.name.clone(),
        journey.outcome.clone().unwrap_or_default(),
        journey.back.clone().unwrap_or_default(),
    ]
}

fn gates(output: &Output, checks: &[Check]) -> Result<(), Failure> {
    let rows = checks.iter().map(|check| {
        let word = if check.holds { "holds" } else { "FAILS" };
        vec![
            check.gate.to_owned(),
            output.verdict(check.holds, word),
            check.said.clone(),
        ]
    });
    output.table(&["Gate", "", "What was found"], rows.collect())
}

fn shown(
    output: &Output,
    plan: &Journey,
    checks: &[Check],
    policy: &hub_operate::deploy::Policy,
) -> Result<(), Failure> {
    if output.json {
        return output.document(&json!({"plan": plan, "checks": checks, "policy": policy}));
    }
    gates(output, checks)?;
    let from = plan
        .from
        .as_ref()
        .map_or("nothing", |from| from.name.as_str());
    let steps: Vec<String> = policy
        .steps
        .iter()
        .map(|share| format!("{share} %"))
        .collect();
    output.line(&format!(
        "1. migrate the database to {to} (expand only)\n\
         2. start {to} as {colour}, wait until it is ready (at most {ready:?}), smoke test\n\
         3. shift the traffic from {from}: {steps}, each watched for {step:?}\n\
         4. watch it with all the traffic for {bake:?}\n\
         5. stop {other} after at most {drain:?}\n\
         Worse at any step: all the traffic returns to {other}, {colour} is stopped.",
        to = plan.to.name,
        colour = plan.colour,
        other = plan.colour.other(),
        ready = policy.ready,
        steps = steps.join(" → "),
        step = policy.step,
        bake = policy.bake,
        drain = policy.drain,
    ))
}

/// Tells the hub's ledger what ended. What cannot be told now is told after the next operation: the hub may be the very
/// thing that is down.
async fn tell(client: &Client, journal: &Journal, output: &Output) -> Result<(), Failure> {
    let untold = journal.untold()?;
    if !client.has_token() {
        let count = untold.len();
        output.note(&format!(
            "{count} operations are not in the hub's ledger yet: give --url and --token-file (an API key with the scope operations.record)"
        ));
        return Ok(());
    }
    for journey in untold {
        let Some(record) = Record::of(journey.clone()) else {
            continue;
        };
        let told = json!({
            "id": record.id, "kind": record.kind, "subject": record.subject, "outcome": record.outcome,
            "why": record.why, "began": record.began, "ended": record.ended, "steps": record.steps,
        });
        if let Err(failure) = client.post("/api/v2/operations", told).await {
            output.note(&format!(
                "the hub's ledger could not be told; it is tried again after the next operation: {}",
                failure.error
            ));
            return Ok(());
        }
        journal.tell(&journey)?;
    }
    Ok(())
}

fn ended(output: &Output, outcome: Outcome) -> Result<Exit, Failure> {
    let good = outcome.is_deployed();
    if output.json {
        output.document(&outcome)?;
    } else {
        let seconds = |ms: Option<u64>| {
            ms.map_or_else(
                || "–".to_owned(),
                |ms| format!("{:.1} s", ms as f64 / 1000.0),
            )
        };
        let word = output.verdict(good, if good { "deployed" } else { "taken back" });
        let total = seconds(Some(outcome.total_ms));
        let name = &outcome.journey.to.name;
        output.line(&match &outcome.journey.back {
            None => format!(
                "{word}: {name} in {total}, the switch took {}",
                seconds(outcome.switch_ms)
            ),
            Some(why) => format!(
                "{word}: {name} in {total}, the old release had all the traffic again after {}: {why}",
                seconds(outcome.back_ms)
            ),
        })?;
    }
    Ok(if good { Exit::Done } else { Exit::No })
}

fn resumable(error: Error) -> Failure {
    let failure = Failure::from(error);
    if matches!(failure.error.downcast_ref(), Some(Error::Unfinished(..))) {
        return Failure {
            exit: Exit::Interrupted,
            ..failure
        }
        .help("`hubctl deploy` with the same release goes on, `hubctl rollback` takes it back");
    }
    failure
}

fn never() -> watch::Receiver<bool> {
    watch::Sender::new(false).subscribe()
}

/// Turns true at the first Ctrl-C or SIGTERM: the deploy is taken back, not left.
fn aborts() -> Result<watch::Receiver<bool>, Failure> {
    let (send, receive) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        send.send_replace(true);
        // The receiver asks how it stands as long as it lives.
        std::future::pending::<()>().await;
    });
    Ok(receive)
}

/// Progress on standard error: a line for each step; on a terminal the figures of the share that is watched.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Self {
        Self(Output::is_live().then(ProgressBar::new_spinner))
    }
}

impl Observer for Progress {
    fn did(&self, entry: &Entry) {
        let text = format!(
            "{:<10} {} ({:.1} s)",
            entry.step,
            entry.said,
            entry.took_ms as f64 / 1000.0
        );
        match &self.0 {
            Some(bar) => bar.println(text),
            None => Output::new(false).note(&text),
        }
    }

    fn watches(&self, share: u8, left: Duration, new: &Figures, old: &Figures) {
        let Some(bar) = &self.0 else { return };
        bar.set_message(format!(
            "{share} %, {} s left · new: {} requests, {} errors, p95 {} ms · old: {}, {}, {} ms",
            left.as_secs(),
            new.requests,
            new.errors,
            new.p95,
            old.requests,
            old.errors,
            old.p95
        ));
        bar.tick();
    }
}
