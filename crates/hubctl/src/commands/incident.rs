//! Incidents: see, decide, contain, release.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, field, list};
use crate::exit::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    /// Incidents, newest first.
    List {
        /// Only this state: open, new, triaged, contained, eradicated, recovered, closed.
        #[arg(long)]
        status: Option<String>,
    },
    /// One incident whole.
    Show { id: String },
    /// Close an incident with a verdict.
    Close {
        id: String,
        /// true_positive, false_positive, benign, …
        #[arg(long)]
        verdict: String,
        #[arg(long)]
        note: Option<String>,
    },
    /// Order a containment by hand.
    Contain {
        id: String,
        /// block_address, lock_account, end_sessions or revoke_api_key.
        #[arg(long)]
        action: String,
        /// The address, or the id of the user or key.
        #[arg(long)]
        target: String,
        /// How long: `1h`.
        #[arg(long)]
        ttl: Option<hub_base::HumanDuration>,
        #[arg(long)]
        reason: String,
    },
    /// Take a containment back.
    Release {
        id: String,
        /// The action's id.
        action: String,
        #[arg(long)]
        reason: String,
    },
}

impl Incident {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let body = match self {
            Self::List { status } => {
                let query = [
                    ("limit", "100"),
                    ("status", status.as_deref().unwrap_or_default()),
                ];
                let body = client.all("/api/v2/incidents", &query).await?;
                return listed(output, &body);
            }
            Self::Show { id } => {
                let body = client.get(&format!("/api/v2/incidents/{id}")).await?;
                return shown(output, &body);
            }
            Self::Close { id, verdict, note } => {
                let change = json!({"status": "closed", "verdict": verdict, "note": note});
                client
                    .call(
                        Method::PATCH,
                        &format!("/api/v2/incidents/{id}"),
                        Some(change),
                    )
                    .await?
            }
            Self::Contain {
                id,
                action,
                target,
                ttl,
                reason,
            } => {
                let order = json!({"kind": action, "target": target, "ttl": ttl, "reason": reason});
                client
                    .post(&format!("/api/v2/incidents/{id}/actions"), order)
                    .await?
            }
            Self::Release { id, action, reason } => {
                let path = format!("/api/v2/incidents/{id}/actions/{action}/release");
                client.post(&path, json!({"reason": reason})).await?
            }
        };
        if output.json {
            output.document(&body)?;
        } else {
            output.line("recorded")?;
        }
        Ok(Exit::Done)
    }
}

fn words(value: &Value, name: &str) -> String {
    list(value, name)
        .iter()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn listed(output: &Output, body: &Value) -> Result<Exit, Failure> {
    if output.json {
        output.document(body)?;
        return Ok(Exit::Done);
    }
    let rows = list(body, "items").into_iter().map(|incident| {
        let text = |name| field(&incident, name);
        vec![
            text("number"),
            text("severity"),
            text("title"),
            words(&incident, "techniques"),
            text("status"),
            text("opened_at"),
            text("id"),
        ]
    });
    output.table(
        &[
            "Nº",
            "Severity",
            "Incident",
            "Techniques",
            "State",
            "Opened",
            "Id",
        ],
        rows.collect(),
    )?;
    Ok(Exit::Done)
}

fn shown(output: &Output, body: &Value) -> Result<Exit, Failure> {
    if output.json {
        output.document(body)?;
        return Ok(Exit::Done);
    }
    let text = |name| field(body, name);
    output.line(&format!(
        "Incident {}: {} ({}, {})",
        text("number"),
        text("title"),
        text("severity"),
        text("status")
    ))?;
    output.line(&format!("Techniques: {}", words(body, "techniques")))?;
    output.line("\nTimeline")?;
    let rows = list(body, "timeline")
        .iter()
        .map(|e| vec![field(e, "at"), field(e, "actor"), field(e, "text")])
        .collect();
    output.table(&["When", "Who", "What"], rows)?;
    output.line("\nActions")?;
    let rows = list(body, "actions").into_iter().map(|action| {
        let target = action
            .get("target")
            .map_or_else(String::new, |target| field(target, "value"));
        vec![
            field(&action, "kind"),
            target,
            field(&action, "state"),
            field(&action, "until"),
            field(&action, "id"),
        ]
    });
    output.table(&["Action", "On", "State", "Until", "Id"], rows.collect())?;
    output.line("\nEvidence")?;
    let rows = list(body, "evidence")
        .iter()
        .map(|e| vec![field(e, "sha256"), field(e, "size"), field(e, "id")])
        .collect();
    output.table(&["SHA-256", "Bytes", "Id"], rows)?;
    Ok(Exit::Done)
}
