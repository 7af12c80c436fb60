//! What goes into a bundle, and in which order.

use std::collections::BTreeMap;

use hub_base::{ApiKeyId, BatchId, EntryId, UserId};
use hub_detect::EntityKind;
use hub_store::{Tx, sequence};
use serde_json::{Value, json};

use super::{FORMAT, MOST_BYTES, repo};
use crate::accounts::repo as accounts;
use crate::actions;
use crate::error::Error;
use crate::incidents::{self, Attached, Incident, Involved};

/// Bytes kept free for the end line.
const RESERVE: usize = 64 * 1024;
/// Entities, findings and events of one bundle at most.
const MOST_ENTITIES: i64 = 200;
const MOST_FINDINGS: i64 = 200;
const MOST_EVENTS: usize = 2000;
/// Uids that the end line names as not found.
const MOST_MISSING: usize = 200;

pub(super) struct Collected {
    pub(super) bytes: Vec<u8>,
    pub(super) complete: bool,
    pub(super) items: Value,
}

/// Lines up to the limit; what does not fit is counted.
struct Lines {
    bytes: Vec<u8>,
    counts: BTreeMap<&'static str, u64>,
    left_out: u64,
}

impl Lines {
    fn add(&mut self, kind: &'static str, mut item: Value) -> Result<(), Error> {
        if let Value::Object(fields) = &mut item {
            fields.insert("kind".to_owned(), json!(kind));
        }
        let line = serde_json::to_vec(&item).map_err(Error::Unprintable)?;
        if self.bytes.len() + line.len() + 1 > MOST_BYTES - RESERVE {
            self.left_out += 1;
            return Ok(());
        }
        self.bytes.extend(line);
        self.bytes.push(b'\n');
        *self.counts.entry(kind).or_default() += 1;
        Ok(())
    }
}

/// Everything that is known of the incident now.
pub(super) async fn collect(tx: &mut Tx, incident: &Incident) -> Result<Collected, Error> {
    let mut lines = Lines {
        bytes: Vec::new(),
        counts: BTreeMap::new(),
        left_out: 0,
    };
    lines.add("header", header(tx, incident))?;
    let involved = incidents::repo::entities(tx, incident.id, MOST_ENTITIES).await?;
    for one in &involved {
        entity(tx, &mut lines, one).await?;
    }
    for action in actions::repo::list(tx, incident.id).await? {
        let item = json!({
            "id": action.id, "action": action.kind.name(), "target": action.target.value,
            "target_kind": action.target.kind, "state": action.state.name(), "reason": action.reason,
        });
        lines.add("action", item)?;
    }
    let findings = incidents::repo::findings(tx, incident.id, MOST_FINDINGS).await?;
    for finding in &findings {
        lines.add(
            "finding",
            json!({"attached_at": finding.attached_at, "finding": finding.body}),
        )?;
    }
    let missing = events(tx, &mut lines, &findings).await?;
    if let Some(head) = sequence::head(tx).await? {
        lines.add(
            "ledger_head",
            json!({"size": head.size, "checkpoint": head.checkpoint}),
        )?;
    }
    Ok(end(lines, &missing))
}

fn header(tx: &Tx, incident: &Incident) -> Value {
    json!({
        "format": FORMAT,
        "tenant": tx.tenant(),
        "incident": incident.id,
        "number": incident.number,
        "title": incident.title,
        "severity": incident.severity.name(),
        "techniques": incident.techniques,
        "collected_at": tx.now(),
        "method": "read from the hub's database in one transaction, before containment",
    })
}

/// An entity as the incident knows it, and how its account, sessions, keys or blocks stand.
async fn entity(tx: &mut Tx, lines: &mut Lines, one: &Involved) -> Result<(), Error> {
    let entity = &one.entity;
    let known = json!({
        "entity": entity.kind.name(), "value": entity.value, "name": entity.name,
        "role": one.role.name(),
    });
    lines.add("entity", known)?;
    match entity.kind {
        EntityKind::User => {
            if let Ok(user) = entity.value.parse::<UserId>() {
                account(tx, lines, user).await?;
            }
        }
        EntityKind::ApiKey => {
            if let Ok(key) = entity.value.parse::<ApiKeyId>()
                && let Some(item) = accounts::api_key(tx, key).await?
            {
                lines.add("api_key", item)?;
            }
        }
        EntityKind::Address => {
            for item in repo::blocks_of(tx, &entity.value).await? {
                lines.add("block", item)?;
            }
        }
        EntityKind::Session
        | EntityKind::Campaign
        | EntityKind::Host
        | EntityKind::CloudIdentity => {}
    }
    Ok(())
}

async fn account(tx: &mut Tx, lines: &mut Lines, user: UserId) -> Result<(), Error> {
    if let Some(item) = accounts::user(tx, user).await? {
        lines.add("user", item)?;
    }
    for item in accounts::sessions(tx, user).await? {
        lines.add("session", item)?;
    }
    Ok(())
}

/// The events that the findings name; returns the uids of those that were not found.
async fn events(
    tx: &mut Tx,
    lines: &mut Lines,
    findings: &[Attached],
) -> Result<Vec<String>, Error> {
    let mut uids: Vec<&str> = findings
        .iter()
        .filter_map(|finding| finding.body.get("events")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    uids.sort_unstable();
    uids.dedup();
    let surplus = uids.len().saturating_sub(MOST_EVENTS);
    lines.left_out += surplus as u64;
    uids.truncate(MOST_EVENTS);
    let acts: Vec<EntryId> = uids.iter().filter_map(|uid| uid.parse().ok()).collect();
    let foreign: Vec<(BatchId, i32)> = uids.iter().filter_map(|uid| place(uid)).collect();
    let mut found = repo::acts(tx, &acts).await?;
    found.extend(repo::events(tx, &foreign).await?);
    let mut missing = Vec::new();
    for uid in uids {
        match found.remove(uid) {
            Some((index, text)) => {
                let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                lines.add(
                    "event",
                    json!({"uid": uid, "ledger_index": index, "event": body}),
                )?;
            }
            None => missing.push(uid.to_owned()),
        }
    }
    Ok(missing)
}

/// `<batch>/<ordinal>`.
fn place(uid: &str) -> Option<(BatchId, i32)> {
    let (batch, ordinal) = uid.split_once('/')?;
    Some((batch.parse().ok()?, ordinal.parse().ok()?))
}

fn end(mut lines: Lines, missing: &[String]) -> Collected {
    let complete = lines.left_out == 0 && missing.is_empty();
    let named: Vec<&str> = missing
        .iter()
        .take(MOST_MISSING)
        .map(|uid| uid.get(..uid.len().min(100)).unwrap_or("?"))
        .collect();
    let items = json!(lines.counts);
    let last = json!({
        "kind": "end", "items": items, "complete": complete, "did_not_fit": lines.left_out,
        "events_not_found": missing.len(), "first_not_found": named,
    });
    lines.bytes.extend(last.to_string().into_bytes());
    lines.bytes.push(b'\n');
    Collected {
        bytes: lines.bytes,
        complete,
        items,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_never_outgrows_its_limit_and_says_what_is_missing() {
        let mut lines = Lines {
            bytes: Vec::new(),
            counts: BTreeMap::new(),
            left_out: 0,
        };
        for _ in 0..100 {
            lines
                .add("event", json!({"text": "x".repeat(100_000)}))
                .unwrap();
        }
        let missing: Vec<String> = (0..10_000).map(|n| format!("{n:0200}")).collect();
        let collected = end(lines, &missing);
        assert!(collected.bytes.len() <= MOST_BYTES);
        assert!(!collected.complete);
        let last = collected
            .bytes
            .split(|b| *b == b'\n')
            .rfind(|line| !line.is_empty())
            .unwrap();
        let last: Value = serde_json::from_slice(last).unwrap();
        assert_eq!(last["events_not_found"], 10_000);
        assert_eq!(
            last["did_not_fit"].as_u64().unwrap() + last["items"]["event"].as_u64().unwrap(),
            100
        );
    }
}
