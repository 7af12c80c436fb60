//! A tenant's ledger as an auditor has it: exported over the API, verified here, against what was published before.

use std::collections::HashSet;

use hub_ledger::export::{Expect, Line};
use hub_ledger::{Checkpoint, Report, VerifierKey};

use super::door::Door;
use super::installation::Tenant;

/// What stands outside the hub.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) key: VerifierKey,
    /// Oldest first.
    pub(super) checkpoints: Vec<Checkpoint>,
}

impl Published {
    /// The newest checkpoint of a ledger of at most `size` entries.
    fn up_to(&self, size: u64) -> Option<Checkpoint> {
        let mut newest = self.checkpoints.iter().rev();
        newest.find(|one| one.size <= size).cloned()
    }
}

/// A whole ledger.
#[derive(Debug)]
pub(super) struct Export(String);

impl Export {
    pub(super) async fn of(door: &Door, tenant: &Tenant) -> Result<Self, String> {
        let answer = door.get("/api/v2/ledger/export", &tenant.key).await?;
        match answer.status {
            200 => Ok(Self(answer.text)),
            status => Err(format!(
                "the export of {} answered {status}: {}",
                tenant.slug, answer.text
            )),
        }
    }

    /// Held against the key, and the newest checkpoint of at most `size` entries.
    pub(super) fn verify(&self, published: &Published, size: u64) -> Report {
        let expect = Expect {
            key: Some(published.key.clone()),
            earlier: published.up_to(size),
        };
        hub_ledger::verify(self.0.as_bytes(), &expect)
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.0.lines().skip(1);
        lines.filter_map(|line| serde_json::from_str(line).ok())
    }

    /// The batches that have an entry.
    pub(super) fn batches(&self) -> HashSet<String> {
        let batch = |line: Line<'_>| {
            let body: serde_json::Value = serde_json::from_str(&line.body).ok()?;
            let uid = body.pointer("/body/unmapped/batch/uid")?.as_str()?;
            Some(uid.to_owned())
        };
        self.lines().filter_map(batch).collect()
    }

    pub(super) fn body(&self, index: u64) -> Option<String> {
        let mut lines = self.lines();
        let line = lines.find(|line| line.index == index)?;
        Some(line.body.into_owned())
    }
}

/// Keeps the ledger's head outside the hub.
pub(super) async fn publish(door: &Door, tenant: &mut Tenant) -> Result<(), String> {
    let head = door.get("/api/v2/ledger/head", &tenant.key).await?;
    let note = head.field("checkpoint");
    let checkpoint = Checkpoint::open(&note, &tenant.published.key)
        .map_err(|error| format!("the head of {}: {error}", tenant.slug))?;
    tenant.published.checkpoints.push(checkpoint);
    Ok(())
}

pub(super) async fn key(door: &Door, token: &secrecy::SecretString) -> Result<VerifierKey, String> {
    let answer = door.get("/api/v2/ledger/key", token).await?;
    VerifierKey::parse(&answer.field("key")).map_err(|error| error.to_string())
}
