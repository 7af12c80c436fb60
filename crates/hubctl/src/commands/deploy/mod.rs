//! Bringing a release into production, and taking it back.

mod abort;
mod display;
mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hub_base::{Clock as _, SystemClock};
use hub_operate::deploy::{
    Check, Engine, Journal, Journey, Outcome, Standing, Target as _, kept, migrations,
};
use hub_operate::operation::{Operation, OperationLog};
use hub_operate::records::Record;
use hub_operate::{Config, Error, Place, Release};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::abort::{aborts, never};
use self::display::{Progress, ended, gates, shown};
pub(crate) use self::status::Status;
use super::progress::Progress as Steps;
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

#[derive(Debug, Args)]
struct Hold {
    /// On Kubernetes: take the Lease from whoever deploys there, at once. They stop and change nothing more; what they
    /// began is judged by what runs.
    #[arg(long)]
    take_over: bool,
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

    /// Nobody else deploys from here on. That somebody was, is said and kept in the record.
    async fn hold(&mut self, hold: &Hold, output: &Output) -> Result<Option<Check>, Error> {
        let from = self.target.hold(hold.take_over).await?;
        let check = from.map(|from| Check {
            gate: "lease",
            holds: true,
            said: format!("taken over from {from}"),
        });
        if let Some(check) = &check {
            output.note(&format!("the Lease was {}", check.said));
        }
        Ok(check)
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
        match self.target.capacity(Standing::next(&standing)).await {
            Ok(check) => checks.extend(check),
            // Who cannot be asked has not agreed.
            Err(error) => checks.push(Check {
                gate: "quota",
                holds: false,
                said: error.to_string(),
            }),
        }
        checks.push(self.migrations(release, &standing).await);
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

    /// What of the gates concerns the database alone.
    async fn checks_of_migration(&mut self, release: &Release) -> Result<Vec<Check>, Failure> {
        let standing = self.target.standing().await?;
        let gates = &self.config.gates;
        let mut checks = gates.check_migration(release, SystemClock.now()).await;
        checks.push(self.migrations(release, &standing).await);
        Ok(checks)
    }

    async fn migrations(&mut self, release: &Release, standing: &[Standing; 2]) -> Check {
        let pending = self.target.pending(release).await;
        let demanded = self.config.gates.migrations;
        migrations::check(release, standing, pending, demanded)
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

    /// Tells people that a deploy begins, unless they know.
    async fn begin(
        &mut self,
        journal: &mut Journal,
        release: &Release,
        output: &Output,
    ) -> Result<Option<Journey>, Error> {
        if journal.current().is_some() {
            return Ok(None);
        }
        let mut engine = self.engine(journal, never(), Vec::new());
        let begun = engine.plan("deploy", release).await?;
        self.notify(&begun, output).await;
        Ok(Some(begun))
    }

    /// Lets others go on and tells people and the ledger how it ended, however it ended.
    async fn settle(
        &self,
        client: &Client,
        journal: &Journal,
        ended: Result<Outcome, Error>,
        begun: Option<Journey>,
        output: &Output,
    ) -> Result<Outcome, Failure> {
        self.let_go(journal, output).await;
        match ended {
            Ok(outcome) => {
                self.notify(&outcome.journey, output).await;
                tell(client, journal, output).await?;
                Ok(outcome)
            }
            // What had been left before is as it was; or somebody is at it already.
            Err(error @ (Error::Unfinished(..) | Error::TakenOver(_))) => {
                Err(resumable(error, journal.current()))
            }
            Err(error) => {
                if let Some(journey) = journal.current().or(begun.as_ref()) {
                    let why = hub_base::chain(&error);
                    for fault in self.config.notify.tell_stuck(journey, &why).await {
                        output.note(&fault);
                    }
                }
                Err(resumable(error, journal.current()))
            }
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
    #[command(flatten)]
    hold: Hold,
}

impl Deploy {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let release = site.release(&self.release)?;
        if self.dry_run {
            let checks = site.checks(&release).await?;
            let holds = checks.iter().all(|check| check.holds);
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
        let state = site.target.state().to_owned();
        let mut journal = Journal::open(&state)?;
        // What is found holds for as long as nobody else deploys.
        let taken = site.hold(&self.hold, output).await?;
        // From here on whatever fails lets others go on.
        let mut checks = match site.checks(&release).await {
            Ok(checks) if checks.iter().all(|check| check.holds) => checks,
            found => {
                site.let_go(&journal, output).await;
                return refused(output, &found?);
            }
        };
        checks.extend(taken);
        // Until here nothing was begun, and a signal just ends it.
        let abort = aborts()?;
        let (begun, outcome) = match site.begin(&mut journal, &release, output).await {
            Ok(begun) => {
                let mut engine = site.engine(&mut journal, abort, checks);
                (begun, engine.deploy(&release).await)
            }
            Err(error) => (None, Err(error)),
        };
        let outcome = site
            .settle(client, &journal, outcome, begun, output)
            .await?;
        ended(output, outcome)
    }
}

/// Take back an unfinished deploy, or return to the release before (or to any that was kept).
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    place: Where,
    /// Folder of a kept release; without it, an unfinished deploy is taken back, an unfinished rollback is gone on with, or
    /// the release before returns.
    #[arg(long, value_name = "DIR", conflicts_with = "unfinished")]
    to: Option<PathBuf>,
    /// Only what is left half done: where nothing is, nothing is changed and that is well. For a pipeline that was cut off;
    /// waits for a `hubctl` that is still at it.
    #[arg(long)]
    unfinished: bool,
    #[command(flatten)]
    hold: Hold,
}

/// For how long one that was told to end may still be at it: it takes a whole deploy back.
const STILL_AT_IT: Duration = Duration::from_mins(15);

impl Rollback {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let state = site.target.state().to_owned();
        let mut journal = self.journal(&state).await?;
        if self.unfinished && journal.current().is_none() {
            if output.json {
                output.document(&json!({"unfinished": null}))?;
            } else {
                output.line("nothing is left half done")?;
            }
            return Ok(Exit::Done);
        }
        let history = Journal::history(&state)?;
        let release = match self.destination(&journal, &history)? {
            Some((dir, name)) => {
                let release = site.release(&dir)?;
                if let Some(name) = name.filter(|name| *name != release.name()) {
                    let what = format!("its folder holds {} now", release.name());
                    return Err(Error::NotBack(name, what).into());
                }
                kept::ran(&history, &release)?;
                Some(release)
            }
            None => None,
        };
        let taken = site.hold(&self.hold, output).await?;
        let mut engine = site.engine(&mut journal, never(), taken.into_iter().collect());
        let outcome = match release {
            Some(release) => engine.return_to(&release).await,
            None => engine.undo("the operator took it back").await,
        };
        let outcome = site.settle(client, &journal, outcome, None, output).await?;
        // To be back is what was asked for.
        let asked = outcome.is_deployed() || !outcome.journey.is_rollback();
        ended(output, outcome)?;
        Ok(if asked { Exit::Done } else { Exit::No })
    }

    async fn journal(&self, state: &Path) -> Result<Journal, Error> {
        let deadline = Instant::now() + STILL_AT_IT;
        loop {
            match Journal::open(state) {
                Err(Error::Held(_)) if self.unfinished && Instant::now() < deadline => {
                    sleep(Duration::from_millis(500)).await;
                }
                opened => return opened,
            }
        }
    }

    /// The folder of the release to return to, and its name where that is not for the folder to say; nothing if what is under way is
    /// to be taken back.
    fn destination(
        &self,
        journal: &Journal,
        history: &[Journey],
    ) -> Result<Option<(PathBuf, Option<String>)>, Failure> {
        match (&self.to, journal.current()) {
            (Some(dir), _) => Ok(Some((dir.clone(), None))),
            (None, None) => {
                let held = kept::before(history)?;
                Ok(Some((held.dir, Some(held.name))))
            }
            // To take a rollback back would be to bring in again what was to go.
            (None, Some(waiting)) if waiting.is_rollback() && waiting.back.is_none() => {
                Ok(Some((waiting.to.dir.clone(), None)))
            }
            (None, Some(_)) => Ok(None),
        }
    }
}

/// Bring the target's database to a release's schema without deploying it. None takes away what runs uses: that goes on.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    place: Where,
    /// Folder of the release.
    #[arg(long, value_name = "DIR")]
    release: PathBuf,
    #[command(flatten)]
    hold: Hold,
}

impl Migrate {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let release = site.release(&self.release)?;
        // Nobody deploys meanwhile.
        let journal = Journal::open(site.target.state())?;
        if let Some(waiting) = journal.current() {
            return Err(resumable(waiting.unfinished(), Some(waiting)));
        }
        let taken = site.hold(&self.hold, output).await?;
        let done = self.held(&mut site, &release, taken, output).await;
        site.let_go(&journal, output).await;
        let Some((record, done)) = done? else {
            return Ok(Exit::No);
        };
        let log = OperationLog::open(site.target.state())?;
        // What was done is done, whether or not it can be written down.
        match log.keep(&record) {
            Ok(()) => tell(client, &journal, output).await?,
            Err(error) => output.note(&hub_base::chain(&error)),
        }
        let said = done?;
        if output.json {
            output.document(&json!({"release": release.name(), "said": said}))?;
        } else {
            output.line(&said)?;
        }
        Ok(Exit::Done)
    }

    /// What nobody else does meanwhile, and what is written down of it; nothing if a gate does not hold.
    async fn held(
        &self,
        site: &mut Site,
        release: &Release,
        taken: Option<Check>,
        output: &Output,
    ) -> Result<Option<(Record, Result<String, Error>)>, Failure> {
        let mut checks = site.checks_of_migration(release).await?;
        if !checks.iter().all(|check| check.holds) {
            refused(output, &checks)?;
            return Ok(None);
        }
        checks.extend(taken);
        let progress = Steps::new();
        let mut operation = Operation::begin("migration", Arc::new(SystemClock), &progress);
        operation.at("gates", "what must hold");
        let said = format!("{} gates hold", checks.len());
        operation.did("gates", said, json!(checks));
        operation.at("migrate", "the database");
        let done = site.target.migrate(release).await;
        if let Ok(said) = &done {
            operation.did("migrate", said.as_str(), Value::Null);
        }
        let why = done.as_ref().err().map(|error| hub_base::chain(error));
        Ok(Some((operation.end(release.name(), why), done)))
    }
}

/// Which gates hold, and that nothing was done.
fn refused(output: &Output, checks: &[Check]) -> Result<Exit, Failure> {
    if output.json {
        output.document(&json!({"checks": checks}))?;
    } else {
        gates(output, checks)?;
    }
    output.note("nothing was begun");
    Ok(Exit::No)
}

/// Tells the hub's ledger what ended.
async fn tell(client: &Client, journal: &Journal, output: &Output) -> Result<(), Failure> {
    let journeys = journal.untold()?.into_iter().filter_map(Record::of);
    // Migrations by themselves, which are told of in the same folder.
    let mut records = OperationLog::open(journal.dir())?.untold()?;
    records.extend(journeys);
    records.sort_by_key(|record| record.began);
    told(client, records, |id| journal.tell(id), output).await
}

fn resumable(error: Error, left: Option<&Journey>) -> Failure {
    let failure = Failure::from(error);
    match left {
        None => failure,
        Some(journey) => Failure {
            exit: Exit::Interrupted,
            ..failure
        }
        .help(way_on(journey)),
    }
}

/// What goes on with it.
fn way_on(journey: &Journey) -> &'static str {
    match (&journey.back, journey.is_rollback()) {
        (Some(_), _) => "`hubctl rollback` goes on with the way back",
        (None, true) => "`hubctl rollback` goes on with it",
        (None, false) => {
            "`hubctl deploy` with the same release goes on, `hubctl rollback` takes it back"
        }
    }
}
