//! The database as a pair of nodes: how it stands, and the two nodes changing places.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use hub_base::SystemClock;
use hub_operate::operation::{Operation, OperationLog};
use hub_operate::pair::{Change, Config, Lag, Loss, Pair, Plan, Standing};
use serde_json::json;

use super::backup::words;
use super::progress::Progress;
use super::told::told;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// See the pair of databases under Patroni; have the two change places.
#[derive(Debug, Subcommand)]
pub(crate) enum Database {
    /// Who leads, who follows and how far behind; 1 if anything is not as it should be.
    Status(Where),
    /// The leader hands over in good order, for maintenance: a second or two without writes, nothing lost.
    Switchover(Switchover),
    /// Make a node the leader when the leader is gone and Patroni does not act by itself.
    Failover(Failover),
}

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// Where the two nodes' Patroni are: see infrastructure/patroni/pair.example.toml.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "pair.toml",
        env = "HUB_PAIR_CONFIG"
    )]
    config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Switchover {
    #[command(flatten)]
    place: Where,
    /// The node that shall lead; without it the synchronous standby.
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    /// Show what would be done; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The name of the node that shall lead once more, so that nobody does it by mistake.
    #[arg(long, value_name = "NODE", required_unless_present = "dry_run")]
    confirm: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Failover {
    #[command(flatten)]
    how: Switchover,
    /// Also to a node that may lack what was acknowledged: when the other one is lost for good.
    #[arg(long)]
    accept_loss: bool,
}

impl Database {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Status(place) => {
                let pair = Pair::open(Config::read(&place.config)?)?;
                let standing = pair.standing().await?;
                let mut faults = standing.faults(pair.config());
                faults.extend(pair.unsafe_versions().await);
                shown(&standing, &faults, output)
            }
            Self::Switchover(how) => {
                how.run(Change::Switchover, Loss::Refused, client, output)
                    .await
            }
            Self::Failover(failover) => {
                let loss = if failover.accept_loss {
                    Loss::Accepted
                } else {
                    Loss::Refused
                };
                failover
                    .how
                    .run(Change::Failover, loss, client, output)
                    .await
            }
        }
    }
}

fn shown(standing: &Standing, faults: &[String], output: &Output) -> Result<Exit, Failure> {
    if output.json {
        output.document(
            &json!({"members": standing.members, "paused": standing.is_paused, "faults": faults}),
        )?;
    } else {
        let row = |one: &hub_operate::pair::Member| {
            let lag = match &one.lag {
                Lag::None => String::new(),
                Lag::Bytes(bytes) => format!("{bytes} bytes"),
                Lag::Unknown(word) => word.clone(),
            };
            let timeline = one
                .timeline
                .map_or_else(String::new, |number| number.to_string());
            vec![
                one.name.clone(),
                one.role.to_string(),
                one.state.clone(),
                timeline,
                lag,
            ]
        };
        output.table(
            &["Node", "Role", "State", "Timeline", "Behind"],
            standing.members.iter().map(row).collect(),
        )?;
        for fault in faults {
            output.line(&output.verdict(false, fault))?;
        }
        if faults.is_empty() {
            output.line(&format!(
                "{}: each acknowledged act is on both nodes",
                output.verdict(true, "good")
            ))?;
        }
    }
    Ok(if faults.is_empty() {
        Exit::Done
    } else {
        Exit::No
    })
}

impl Switchover {
    async fn run(
        self,
        change: Change,
        loss: Loss,
        client: &Client,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let pair = Pair::open(Config::read(&self.place.config)?)?;
        let plan = Plan::of(&pair.standing().await?, change, self.to.as_deref(), loss)?;
        if self.dry_run {
            return planned(&plan, output);
        }
        if self.confirm.as_deref() != Some(&plan.to) {
            let error = anyhow::anyhow!(
                "{} would lead from now on: confirm it with `--confirm {}`",
                plan.to,
                plan.to
            );
            return Err(Failure::new(Exit::Usage, error));
        }
        let log = OperationLog::open(&pair.config().state)?;
        let (done, record) = {
            let progress = Progress::new();
            let mut op = Operation::begin(change.name(), Arc::new(SystemClock), &progress);
            let done = pair.change(&plan, &mut op).await;
            let why = done.as_ref().err().map(|error| hub_base::chain(error));
            (done, op.end(plan.subject(), why))
        };
        log.keep(&record)?;
        told(client, log.untold()?, |id| log.tell(id), output).await?;
        let standing = done?;
        if output.json {
            output.document(&json!({"operation": record, "members": standing.members}))?;
        } else {
            output.line(&words(output, &record))?;
            output.line(
                "back up now, on the new leader: `hubctl backup run`; a new timeline has begun",
            )?;
        }
        Ok(Exit::Done)
    }
}

fn planned(plan: &Plan, output: &Output) -> Result<Exit, Failure> {
    if output.json {
        output.document(plan)?;
    } else {
        let from = plan.from.as_deref().unwrap_or("nobody");
        output.line(&format!(
            "{}: {} leads instead of {from}",
            plan.change.name(),
            plan.to
        ))?;
        output.line(if plan.has_everything {
            "it has everything that was acknowledged; writes wait meanwhile, a second or two"
        } else {
            "it MAY LACK what was acknowledged last: that is lost"
        })?;
    }
    Ok(Exit::Done)
}
