//! Evidence: what was known when the incident was contained, kept byte for byte, with its hash in the ledger.
//!
//! Collected before containment (RFC 3227: what vanishes first, first): live sessions and accounts, then the
//! events and findings, then where the ledger stood.

mod bundle;
pub(crate) mod repo;

use hub_base::{ActionId, EvidenceId, IncidentId, ManualClock, Timestamp};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, WriteTx};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::actions::Action;
use crate::error::Error;
use crate::incidents::Incident;
use crate::timeline;

/// The bundle's format: NDJSON; a header, one line per item, an end line that counts them.
pub const FORMAT: &str = "security-hub-evidence/1";
/// Bytes of one bundle at most.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A piece of evidence, without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    pub id: EvidenceId,
    pub incident: IncidentId,
    pub action: ActionId,
    pub collected_at: Timestamp,
    pub format: String,
    pub size: i64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// False if something named by a finding was not found, or did not fit; the end line says what.
    pub complete: bool,
    /// How many items of each kind.
    pub items: Value,
}

/// A piece of evidence with its bytes, whose hash was just checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub evidence: Evidence,
    pub bytes: Vec<u8>,
}

/// The bytes of a piece of evidence. They are hashed again before they are given out.
///
/// # Errors
/// [`Error::UnknownEvidence`]; [`Error::EvidenceChanged`] if the stored bytes are not those that were hashed.
pub async fn show(cx: &Cx, incident: IncidentId, id: EvidenceId) -> Result<Bundle, Error> {
    let mut tx = cx.read().await?;
    let (evidence, bytes) = repo::find(&mut tx, incident, id)
        .await?
        .ok_or(Error::UnknownEvidence(id))?;
    if hex::encode(Sha256::digest(&bytes)) != evidence.sha256 {
        return Err(Error::EvidenceChanged(id));
    }
    Ok(Bundle { evidence, bytes })
}

/// Collects and stores a bundle; its hash goes into the act. Returns the action's effect.
pub(crate) async fn preserve(
    tx: &mut WriteTx,
    incident: &Incident,
    action: &Action,
) -> Result<Value, Error> {
    let collected = bundle::collect(tx, incident).await?;
    let sha256: [u8; 32] = Sha256::digest(&collected.bytes).into();
    let hash = hex::encode(sha256);
    let now = tx.now();
    let evidence = Evidence {
        id: EvidenceId::new(&ManualClock::at(now)),
        incident: incident.id,
        action: action.id,
        collected_at: now,
        format: FORMAT.to_owned(),
        size: i64::try_from(collected.bytes.len()).unwrap_or(i64::MAX),
        sha256: hash.clone(),
        complete: collected.complete,
        items: collected.items,
    };
    repo::insert(tx, &evidence, &sha256, &collected.bytes).await?;
    let text = format!("evidence preserved: {} bytes, sha256 {hash}", evidence.size);
    let (kind, actor) = (timeline::Kind::Evidence, "security hub (respond)");
    timeline::repo::add(tx, incident.id, now, kind, actor, &text, &[]).await?;
    let preserved = Act::new(
        "evidence.preserve",
        Class::RemediationActivity,
        99,
        "response",
    )
    .on(Subject::new("evidence", evidence.id))
    .with("command_uid", "preserve_evidence")
    .with("unmapped.incident.uid", incident.id.to_string())
    .with("unmapped.action.uid", action.id.to_string())
    .with("unmapped.evidence.sha256", hash.as_str())
    .with("unmapped.evidence.size", evidence.size)
    .with("unmapped.evidence.format", FORMAT)
    .with("unmapped.evidence.complete", evidence.complete)
    .with("unmapped.evidence.items", evidence.items.clone());
    tx.record(preserved).await?;
    Ok(json!({"evidence": evidence.id, "sha256": hash, "size": evidence.size}))
}
