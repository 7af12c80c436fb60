//! Findings as they are kept: written once by the worker, read by analysts.

pub(crate) mod repo;

use hub_base::{FindingId, Page, PageRequest};
use hub_events::{Act, Class, Subject};
use hub_store::Tx;

use crate::error::Error;
use crate::finding::Finding;

/// Findings, newest first.
pub async fn list(
    tx: &mut Tx,
    page: &PageRequest<FindingId>,
) -> Result<Page<Finding, FindingId>, Error> {
    repo::list(tx, page).await
}

pub async fn show(tx: &mut Tx, id: FindingId) -> Result<Option<Finding>, Error> {
    Ok(repo::by_ids(tx, &[id]).await?.pop())
}

/// Those of `ids` that exist (an incident's findings, which `respond` knows by id), oldest first.
pub async fn by_ids(tx: &mut Tx, ids: &[FindingId]) -> Result<Vec<Finding>, Error> {
    repo::by_ids(tx, ids).await
}

/// The ledger's word of a new finding.
pub(crate) fn act(finding: &Finding) -> Act {
    Act::new("finding.create", Class::DetectionFinding, 1, "response")
        .severity(finding.severity)
        .on(Subject::new("finding", finding.id).named(finding.title.clone()))
        .with("finding_info.uid", finding.id.to_string())
        .with("finding_info.title", finding.title.clone())
        .with("finding_info.analytic.uid", finding.rule.clone())
        .with(
            "finding_info.first_seen_time",
            finding.first_event_at.unix_millis(),
        )
        .with(
            "finding_info.last_seen_time",
            finding.last_event_at.unix_millis(),
        )
        .with("unmapped.finding.primary.kind", finding.primary.kind.name())
        .with(
            "unmapped.finding.primary.value",
            finding.primary.value.clone(),
        )
        .with("unmapped.finding.techniques", finding.techniques.clone())
        .with("unmapped.finding.count", finding.count)
}
