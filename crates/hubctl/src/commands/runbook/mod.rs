//! Runbooks: listed, gone through as a checklist in the terminal, rehearsed, reported.

mod answers;
mod channel;
mod check;
mod console;
mod drive;
mod say;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use hub_base::{OperationId, SystemClock, plain};
use hub_operate::runbook::{self, Past, Run, Start};
use serde_json::json;

use self::answers::Answers;
use self::channel::Channel;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// Go through runbooks step by step, with a record of who did what; rehearse them in a sandbox.
#[derive(Debug, Subcommand)]
pub(crate) enum Runbook {
    /// Which runbooks there are.
    List {
        #[command(flatten)]
        books: Books,
    },
    /// Go through one: shows each step, runs its commands, asks where a person must decide.
    Run(Begin),
    /// Go on with one after a lost terminal, a kill or a hand-over.
    Resume(Resume),
    /// Read them, and run every command block of them in a sandbox; 1 if one has a fault.
    Check(check::Check),
    /// What was done: every run, or one of them whole; 1 if an output that is kept was changed.
    Report(Report),
}

/// Which runbooks.
#[derive(Debug, Args)]
pub(crate) struct Books {
    /// A folder with runbooks, instead of those that come with this program.
    #[arg(long, value_name = "FOLDER", env = "HUB_RUNBOOKS")]
    dir: Option<PathBuf>,
}

/// Where runs are.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// Where runs are kept: give the same for `run`, `resume` and `report`.
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "runbook-runs",
        env = "HUB_RUNBOOK_STATE"
    )]
    state: PathBuf,
}

/// Who goes through it, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct Hands {
    /// Who you are, for the record; without it the name of your account on this machine.
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
    /// Answers from a file instead of the terminal, a line for each question, also for one that somebody in the
    /// console answers; `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// A TOML file with `[notify]` (slack, webhook, email; `deploy.toml` will do): told how it goes on.
    #[arg(long, value_name = "FILE", env = "HUB_NOTIFY_CONFIG")]
    notify: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Begin {
    /// Its name, as `list` shows it.
    name: String,
    #[command(flatten)]
    books: Books,
    #[command(flatten)]
    runs: Runs,
    #[command(flatten)]
    hands: Hands,
    /// A variable that its command blocks need; what is not given is asked when one does.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// The incident that this is for: its timeline is told how it goes on.
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Which run; without it the only one that is not over.
    id: Option<OperationId>,
    #[command(flatten)]
    runs: Runs,
    #[command(flatten)]
    hands: Hands,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Which run; without it all of them.
    id: Option<OperationId>,
    #[command(flatten)]
    runs: Runs,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Runbook {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::List { books } => show::list(&runbook::all(books.dir.as_deref())?, output),
            Self::Run(begin) => begin.run(client, output).await,
            Self::Resume(resume) => resume.run(client, output).await,
            Self::Check(check) => check.run(output).await,
            Self::Report(report) => {
                console::catch_up(&report.runs.state, client, output).await?;
                show::report(&report.runs.state, report.id, output)
            }
        }
    }
}

impl Begin {
    async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let book = runbook::find(self.books.dir.as_deref(), &self.name)?;
        let channel = Channel::open(self.hands.notify.as_deref(), client)?;
        let answers = Answers::open(self.hands.answers.as_deref())?;
        let by = self.hands.name()?;
        let start = Start {
            state: &self.runs.state,
            by: &by,
            variables: self.variables.into_iter().collect(),
            folder: std::env::current_dir()?,
            incident: self.incident,
        };
        console::catch_up(&self.runs.state, client, output).await?;
        let run = Run::begin(book, start, surroundings(), Arc::new(SystemClock))?;
        drive::whole(run, &self.runs.state, answers, channel, client, output).await
    }
}

impl Resume {
    async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let channel = Channel::open(self.hands.notify.as_deref(), client)?;
        let answers = Answers::open(self.hands.answers.as_deref())?;
        let by = self.hands.name()?;
        let state = &self.runs.state;
        let id = self.id.map_or_else(|| only(state), Ok)?;
        if let Some(past) = runbook::past(state, id)? {
            return ended(state, past, client, output).await;
        }
        console::catch_up(state, client, output).await?;
        let run = Run::resume(state, id, &by, surroundings(), Arc::new(SystemClock))?;
        if let Some(to) = run.awaited().filter(|to| *to != by) {
            output.note(&format!(
                "it was handed over to {to}; you are {by} (--as NAME)"
            ));
        }
        drive::whole(run, state, answers, channel, client, output).await
    }
}

/// A run that is over is not gone on with; but the console may not know how it ended.
async fn ended(
    state: &std::path::Path,
    past: Past,
    client: &Client,
    output: &Output,
) -> Result<Exit, Failure> {
    let (id, outcome) = (past.id, past.outcome.clone());
    let over = || {
        Failure::new(
            Exit::Usage,
            anyhow::anyhow!("the run {id} is over: {outcome}"),
        )
    };
    if !client.has_token() {
        return Err(over());
    }
    let fresh = console::tell(state, past, client).await?;
    console::catch_up(state, client, output).await?;
    if fresh == 0 {
        return Err(over());
    }
    if output.json {
        output.document(&json!({"id": id, "is_over": true, "told": fresh}))?;
    } else {
        output.line(&format!(
            "the run {id} is over: {outcome}; the console was told its last {fresh} lines"
        ))?;
    }
    Ok(Exit::Done)
}

/// The one run that is not over.
fn only(state: &std::path::Path) -> Result<OperationId, Failure> {
    let runs = runbook::runs(state)?;
    let mut open = runs.iter().filter(|run| !run.is_over);
    match (open.next(), open.next()) {
        (Some(run), None) => Ok(run.id),
        (None, _) => {
            let what = anyhow::anyhow!("no run is open in {}", state.display());
            Err(Failure::new(Exit::Usage, what)
                .help("`hubctl runbook run NAME` begins one; --state says where runs are"))
        }
        (Some(_), Some(_)) => {
            let what = anyhow::anyhow!("more than one run is open in {}", state.display());
            Err(Failure::new(Exit::Usage, what).help("name it: `hubctl runbook report` lists them"))
        }
    }
}

impl Hands {
    /// Who is at work.
    fn name(&self) -> Result<String, Failure> {
        let account = || {
            let user = nix::unistd::User::from_uid(nix::unistd::getuid());
            user.ok().flatten().map(|user| user.name)
        };
        // Who became root is who they were before.
        let before = || std::env::var("SUDO_USER").ok();
        let name = self.by.clone().or_else(before).or_else(account);
        let name = name.unwrap_or_default();
        if name.trim().is_empty() {
            let what = anyhow::anyhow!("nobody knows who you are");
            return Err(Failure::new(Exit::Usage, what).help("give --as NAME"));
        }
        // Others see it, on their terminals too.
        Ok(plain(&name).chars().take(LONGEST_NAME).collect())
    }
}

/// The environment of command blocks: ours, with this program found first under its name.
fn surroundings() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    let ours = std::env::vars_os();
    let mut around: BTreeMap<String, String> = ours
        .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
        .collect();
    let here = std::env::current_exe().ok();
    let here = here.as_deref().and_then(std::path::Path::parent);
    if let Some(here) = here {
        let path = around.entry("PATH".to_owned()).or_default();
        *path = format!("{}:{path}", here.display());
    }
    around
}
