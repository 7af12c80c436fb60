//! Removing what is no longer to be kept, and holding on to what must be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use hub_base::{Clock as _, SystemClock};
use hub_operate::cleanup::Policy;
use hub_operate::cleanup::hosts::{self, Old};
use hub_operate::operation::{Operation, OperationLog};
use hub_operate::{Config, Place};
use serde_json::{Value, json};

use super::progress::Progress;
use super::told::told;
use crate::client::{Client, field, list};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Remove what the retention policy says is no longer to be kept: in the hub, and with the options on this host. Shows first
/// what would go. Never the ledger, never what a legal hold covers.
#[derive(Debug, Args)]
pub(crate) struct Cleanup {
    /// Only show what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Also old releases of the target that this `deploy.toml` names.
    #[arg(long, value_name = "FILE")]
    deploy: Option<PathBuf>,
    /// Also old reports in this folder.
    #[arg(long, value_name = "FOLDER")]
    reports: Option<PathBuf>,
    /// The policy for files here, instead of the built-in one; the hub has its own (`content.retention`).
    #[arg(long, value_name = "FILE", env = "HUB_CLEANUP_CONFIG")]
    policy: Option<PathBuf>,
    /// Where what was done is kept until the hub's ledger knows of it, and the certificates.
    #[arg(long, value_name = "FOLDER", default_value = "cleanup")]
    state: PathBuf,
}

impl Cleanup {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let plan = client.get("/api/v2/cleanup").await?;
        let files = self.files().await?;
        // Files belong to no tenant: only a hold on everything keeps them.
        let holds = client.get("/api/v2/holds").await?;
        let held = list(&holds, "items")
            .into_iter()
            .find(|hold| field(hold, "covers").is_empty() && field(hold, "released_at").is_empty());
        let files_held = held.map(|hold| field(&hold, "reason"));
        if !output.json {
            show(output, &plan, &files, files_held.as_deref())?;
        }
        if self.dry_run {
            if output.json {
                output.document(&document(&plan, &files, files_held.as_deref()))?;
            }
            return Ok(Exit::Done);
        }
        let files = if files_held.is_some() {
            Vec::new()
        } else {
            files
        };
        self.remove(&files, client, output).await
    }

    async fn files(&self) -> Result<Vec<Old>, Failure> {
        let policy = Policy::load(self.policy.as_deref())?;
        let mut old = Vec::new();
        if let Some(path) = &self.deploy {
            let place = Place::open(&Config::read(path)?).await?;
            old.extend(hosts::releases(place.state(), &policy)?);
        }
        if let Some(folder) = &self.reports {
            old.extend(hosts::reports(folder, &policy, SystemClock.now())?);
        }
        Ok(old)
    }

    async fn remove(
        &self,
        files: &[Old],
        client: &Client,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let log = OperationLog::open(&self.state)?;
        let steps = Progress::new();
        let mut op = Operation::begin("cleanup", Arc::new(SystemClock), &steps);
        let done = removed(&mut op, files, &self.state, client).await;
        let why = done.as_ref().err().map(|failure| failure.error.to_string());
        let record = op.end("retention", why);
        log.keep(&record)?;
        told(client, log.untold()?, |id| log.tell(id), output).await?;
        let (rows, certificates) = done?;
        if output.json {
            let document =
                json!({"removed": rows, "files": files.len(), "certificates": certificates});
            output.document(&document)?;
        } else {
            output.line(&format!(
                "{rows} rows and {} files are gone; {certificates} certificates are in {}",
                files.len(),
                self.state.display()
            ))?;
        }
        Ok(Exit::Done)
    }
}

/// Batch after batch until nothing is due; killed in between, the next run goes on. How many rows, and how many certificates.
async fn removed(
    op: &mut Operation<'_>,
    files: &[Old],
    state: &Path,
    client: &Client,
) -> Result<(u64, u64), Failure> {
    let (mut rows, mut certificates) = (0, 0);
    let ask = json!({ "operation": op.id() });
    op.at("rows", "removing rows of the hub, batch by batch");
    loop {
        let answer = client.post("/api/v2/cleanup", ask.clone()).await?;
        let batches = list(&answer, "removed");
        if batches.is_empty() {
            break;
        }
        for batch in &batches {
            let count = batch.get("count").and_then(Value::as_u64).unwrap_or(0);
            rows += count;
            let text = field(batch, "certificate");
            if !text.is_empty() {
                let name = format!(
                    "removal-{}-{}-{}.note",
                    field(batch, "tenant"),
                    field(batch, "class"),
                    field(batch, "ids_sha256")
                        .chars()
                        .take(16)
                        .collect::<String>()
                );
                std::fs::write(state.join(name), text)?;
                certificates += 1;
            }
        }
        op.note(&format!("{rows} rows are gone"));
    }
    op.did(
        "rows",
        format!("{rows} rows are gone"),
        json!({ "rows": rows }),
    );
    op.at("files", "removing files of this host");
    for old in files {
        hosts::remove(old)?;
    }
    let bytes: u64 = files.iter().map(|old| old.bytes).sum();
    let said = format!("{} releases and reports are gone", files.len());
    op.did("files", said, json!({ "bytes": bytes }));
    Ok((rows, certificates))
}

fn document(plan: &Value, files: &[Old], held: Option<&str>) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|old| json!({"path": old.path, "bytes": old.bytes}))
        .collect();
    json!({"due": plan.get("due"), "policy_sha256": plan.get("policy_sha256"), "files": files, "files_held": held})
}

fn show(output: &Output, plan: &Value, files: &[Old], held: Option<&str>) -> Result<(), Failure> {
    let mut rows: Vec<Vec<String>> = list(plan, "due")
        .iter()
        .map(|due| {
            let columns = ["tenant", "class", "count", "oldest", "bytes", "held"];
            columns.map(|name| field(due, name)).to_vec()
        })
        .collect();
    rows.extend(files.iter().map(|old| {
        let held = held.unwrap_or_default().to_owned();
        let path = old.path.display().to_string();
        vec![
            "–".into(),
            path,
            "1".into(),
            String::new(),
            old.bytes.to_string(),
            held,
        ]
    }));
    output.table(
        &[
            "Tenant",
            "What",
            "How many",
            "Oldest",
            "Bytes",
            "Held because",
        ],
        rows,
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Place a hold on one's own tenant; operators on any, or on everything.
    Place {
        /// Why: the matter's name, who asked for it.
        #[arg(long)]
        reason: String,
        /// The tenant that it covers (operators).
        #[arg(long, value_name = "SLUG", conflicts_with = "everything")]
        tenant: Option<String>,
        /// It covers every tenant, and this installation's files (operators).
        #[arg(long)]
        everything: bool,
    },
    /// Release a hold: the retention policy takes effect again.
    Release {
        id: String,
        /// Why it may go.
        #[arg(long)]
        reason: String,
    },
    /// Every hold, those that were released too.
    List,
}

impl Hold {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Place {
                reason,
                tenant,
                everything,
            } => {
                let covers = if everything {
                    Some("*".to_owned())
                } else {
                    tenant
                };
                let wish = json!({"reason": reason, "covers": covers});
                let hold = client.post("/api/v2/holds", wish).await?;
                if output.json {
                    output.document(&hold)?;
                } else {
                    output.line(&format!("held: {}", field(&hold, "id")))?;
                }
            }
            Self::Release { id, reason } => {
                let path = format!("/api/v2/holds/{id}/release");
                client.post(&path, json!({ "reason": reason })).await?;
                if output.json {
                    output.document(&json!({ "released": id }))?;
                } else {
                    output.line(&format!("released: {id}"))?;
                }
            }
            Self::List => {
                let holds = client.get("/api/v2/holds").await?;
                if output.json {
                    output.document(&holds)?;
                } else {
                    let row = |hold: &Value| {
                        let columns = [
                            "id",
                            "covers",
                            "reason",
                            "placed_by",
                            "placed_at",
                            "released_at",
                        ];
                        columns.map(|name| field(hold, name)).to_vec()
                    };
                    let head = ["Id", "Covers", "Reason", "By", "Placed", "Released"];
                    output.table(&head, list(&holds, "items").iter().map(row).collect())?;
                }
            }
        }
        Ok(Exit::Done)
    }
}
