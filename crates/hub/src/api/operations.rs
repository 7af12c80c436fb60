//! What was done to the installation: told by `hubctl`, kept in the ledger.

use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{OperationId, Timestamp};
use hub_operate::deploy::Entry;
use hub_operate::dora::Dora;
use hub_operate::records::{self, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::{Caller, Given, Json, List, Reply};
use super::table::Api;

/// Operations shown at once.
const SHOWN: i64 = 100;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/operations",
        (
            Action::OperationsRead,
            "Deploys, backups, drills and other operations, newest first",
        ),
        list,
    )
    .gives::<List<OperationView>>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/operations/dora",
        (
            Action::OperationsRead,
            "The four DORA figures of the last 30 days, from the deploys in the ledger",
        ),
        dora,
    )
    .gives::<DoraView>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/operations",
        (
            Action::OperationsRecord,
            "Tell what was done; the same one again is taken once",
        ),
        record,
    )
    .takes::<OperationView>()
    .gives::<Recorded>(StatusCode::OK);
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OperationView {
    #[schemars(with = "String")]
    id: OperationId,
    /// `deploy`, `rollback`, `migration`, `backup`, `restore`, `drill`, `key_rotation`, `cleanup`, `runbook`, `switchover`
    /// or `failover`.
    kind: String,
    /// What it was done to: a release's name, a backup's label.
    subject: String,
    /// `deployed`, `done`, `rolled_back` or `failed`.
    outcome: String,
    /// Why it failed or was taken back.
    #[serde(default)]
    why: Option<String>,
    began: Timestamp,
    ended: Timestamp,
    steps: Vec<StepView>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepView {
    at: Timestamp,
    step: String,
    said: String,
    took_ms: u64,
    #[serde(default)]
    figures: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DoraView {
    /// Deploys that were begun.
    deploys: usize,
    /// Of them, those that were taken back, by themselves or later by a rollback.
    failed: usize,
    /// Deploys a day.
    frequency: f64,
    /// Fraction.
    change_failure_rate: f64,
    /// Median seconds from commit to production.
    lead_time_s: Option<u64>,
    /// Median seconds from a bad release's first request until another one had all of them again.
    time_to_restore_s: Option<u64>,
}

impl From<Dora> for DoraView {
    fn from(dora: Dora) -> Self {
        Self {
            deploys: dora.deploys,
            failed: dora.failed,
            frequency: dora.frequency,
            change_failure_rate: dora.change_failure_rate,
            lead_time_s: dora.lead_time_s,
            time_to_restore_s: dora.time_to_restore_s,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Recorded {
    /// False if it was known already.
    recorded: bool,
}

impl From<Record> for OperationView {
    fn from(record: Record) -> Self {
        let step = |entry: Entry| StepView {
            at: entry.at,
            step: entry.step,
            said: entry.said,
            took_ms: entry.took_ms,
            figures: entry.figures,
        };
        Self {
            id: record.id,
            kind: record.kind,
            subject: record.subject,
            outcome: record.outcome,
            why: record.why,
            began: record.began,
            ended: record.ended,
            steps: record.steps.into_iter().map(step).collect(),
        }
    }
}

impl From<OperationView> for Record {
    fn from(view: OperationView) -> Self {
        let entry = |step: StepView| Entry {
            at: step.at,
            step: step.step,
            said: step.said,
            took_ms: step.took_ms,
            figures: step.figures,
        };
        Self {
            id: view.id,
            kind: view.kind,
            subject: view.subject,
            outcome: view.outcome,
            why: view.why,
            began: view.began,
            ended: view.ended,
            steps: view.steps.into_iter().map(entry).collect(),
        }
    }
}

async fn list(Caller(cx): Caller) -> Reply<List<OperationView>> {
    let records = records::list(&mut *cx.read().await?, SHOWN).await?;
    let views = records.into_iter().map(OperationView::from);
    Ok(Json(List::whole(views)))
}

async fn dora(Caller(cx): Caller) -> Reply<DoraView> {
    let dora = records::dora(&mut *cx.read().await?).await?;
    Ok(Json(dora.into()))
}

async fn record(Caller(cx): Caller, Given(told): Given<OperationView>) -> Reply<Recorded> {
    let recorded = records::record(&cx, &told.into()).await?;
    Ok(Json(Recorded { recorded }))
}
