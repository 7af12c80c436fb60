//! Bringing a release into production, and taking it back.

mod display;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hub_base::{Clock as _, SystemClock};
use hub_operate::deploy::{Check, Engine, Journal, Journey, Target as _};
use hub_operate::records::Record;
use hub_operate::{Config, Error, Place, Release};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::display::{Progress, ended, gates, line, rows, shown};
use super::release::parse;
use super::told::told;
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

    /// Lets others deploy, unless something is left half done here. The hold ends by itself where this fails.
    async fn let_go(&self, journal: &Journal, output: &Output) {
        if journal.current().is_some() {
            return;
        }
        if let Err(error) = self.target.let_go().await {
            output.note(&error.to_string());
        }
    }

    /// Tells people that a deploy begins.
    async fn begin(
        &mut self,
        journal: &mut Journal,
        release: &Release,
        output: &Output,
    ) -> Result<(), Error> {
        let mut engine = self.engine(journal, never(), Vec::new());
        let begun = engine.plan("deploy", release).await?;
        self.notify(&begun, output).await;
        Ok(())
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
        let abort = aborts()?;
        site.target.hold(SystemClock.now()).await?;
        // From here on whatever fails lets others go on.
        let mut begun = Ok(());
        if journal.current().is_none() {
            begun = site.begin(&mut journal, &release, output).await;
        }
        let outcome = match begun {
            Ok(()) => {
                let mut engine = site.engine(&mut journal, abort, checks);
                engine.deploy(&release).await
            }
            Err(error) => Err(error),
        };
        site.let_go(&journal, output).await;
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
        let release = if journal.current().is_some() && self.to.is_none() {
            None
        } else {
            let dir = match self.to {
                Some(dir) => dir,
                None => before(&state)?,
            };
            Some(site.release(&dir)?)
        };
        site.target.hold(SystemClock.now()).await?;
        let mut engine = site.engine(&mut journal, never(), Vec::new());
        let outcome = match release {
            Some(release) => engine.return_to(&release).await,
            None => engine.undo("the operator took it back").await,
        };
        site.let_go(&journal, output).await;
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
        site.target.hold(SystemClock.now()).await?;
        let said = site.target.migrate(&release).await;
        site.let_go(&journal, output).await;
        let said = said?;
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

/// Tells the hub's ledger what ended.
async fn tell(client: &Client, journal: &Journal, output: &Output) -> Result<(), Failure> {
    let untold = journal.untold()?;
    let records = untold.into_iter().filter_map(Record::of).collect();
    told(client, records, |id| journal.tell(id), output).await
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
