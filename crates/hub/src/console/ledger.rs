//! The ledger: search, and one entry with its inclusion proof, checked before the reader's eyes.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use hub_base::{ErrorKind, Timestamp};
use hub_ledger::proof;
use hub_store::sequence::{self, LedgerEntry, Search};
use serde::Deserialize;
use serde_json::Value;

use super::door::{page, render};
use super::page::Place;
use super::view::{self, EntryRow, short};
use crate::api::extract::Caller;
use crate::problem::Problem;
use crate::state::App;

const ROWS: usize = 50;

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    operation: String,
    after: Option<i64>,
}

fn given(text: &str) -> Option<String> {
    Some(text.trim().chars().take(200).collect::<String>()).filter(|text| !text.is_empty())
}

pub(crate) async fn list(
    State(app): State<App>,
    Caller(cx): Caller,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let search = Search {
        operation: given(&asked.operation),
        text: given(&asked.q),
        before: asked.after,
        limit: ROWS as i64 + 1,
    };
    let (mut found, head) = {
        let mut tx = cx.read().await?;
        (
            sequence::search(&mut tx, &search).await?,
            sequence::head(&mut tx).await?,
        )
    };
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let page = page(&app, Some(&cx), Some(Place::Ledger)).await;
    let shown = view::Ledger {
        page: page.clone(),
        tenant: page
            .who
            .as_ref()
            .map_or_else(String::new, |who| who.tenant.clone()),
        size: head.as_ref().map_or(0, |head| head.size),
        root: head.map_or_else(String::new, |head| head.root.to_string()),
        query: search.text.unwrap_or_default(),
        operation: search.operation.unwrap_or_default(),
        next: found
            .last()
            .filter(|_| more)
            .map(|entry| entry.index.to_string()),
        entries: found
            .into_iter()
            .map(|entry| row(entry, cx.now()))
            .collect(),
    };
    Ok(render(&page, &shown))
}

fn row(entry: LedgerEntry, now: Timestamp) -> EntryRow {
    let event: Value = serde_json::from_str(&entry.body).unwrap_or(Value::Null);
    let text = |path: &str| {
        let found = path
            .split('.')
            .try_fold(event.get("body")?, |value, part| value.get(part));
        found.and_then(Value::as_str).map(str::to_owned)
    };
    let first = |paths: &[&str]| {
        paths
            .iter()
            .find_map(|path| text(path))
            .unwrap_or_else(|| "–".to_owned())
    };
    EntryRow {
        index: entry.index,
        at: entry.occurred_at.to_string(),
        at_short: short(entry.occurred_at, now),
        operation: entry.operation,
        actor: first(&["actor.user.name", "actor.app_name", "actor.user.type"]),
        subject: first(&["user.name", "resource.name", "user.uid", "resource.uid"]),
        address: first(&["src_endpoint.ip"]),
        outcome: first(&["status"]),
    }
}

pub(crate) async fn entry(
    State(app): State<App>,
    Caller(cx): Caller,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    let index: i64 = index
        .parse()
        .map_err(|_| Problem::of(ErrorKind::NotFound))?;
    let inclusion = {
        let mut tx = cx.read().await?;
        sequence::inclusion_proof(&mut tx, index).await?
    };
    let inclusion = inclusion.ok_or_else(|| Problem::of(ErrorKind::NotFound))?;
    let (entry, head) = (inclusion.entry, inclusion.head);
    // Hashed anew from the text: a row that was changed in the database shows itself here.
    let leaf = hub_ledger::leaf_hash(entry.body.as_bytes());
    let checked = proof::verify_inclusion(
        leaf,
        index.unsigned_abs(),
        head.size,
        &inclusion.path,
        &head.root,
    );
    let pretty = serde_json::from_str::<Value>(&entry.body)
        .and_then(|value| serde_json::to_string_pretty(&value));
    let page = page(&app, Some(&cx), Some(Place::Ledger)).await;
    let shown = view::Entry {
        page: page.clone(),
        index: index.unsigned_abs(),
        operation: entry.operation,
        verified: checked.is_ok(),
        size: head.size,
        body: pretty.unwrap_or(entry.body),
        leaf: leaf.to_string(),
        root: head.root.to_string(),
        path: inclusion.path.iter().map(ToString::to_string).collect(),
        checkpoint: head.checkpoint,
    };
    Ok(render(&page, &shown))
}
