//! What the rules found.

use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{FindingId, PageRequest, Timestamp};
use hub_detect::{Entity, Finding, findings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Asked, Caller, List};
use super::table::Api;
use crate::problem::Problem;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/findings",
        (Action::FindingsRead, "Findings, newest first"),
        list,
    )
    .asks::<FindingsQuery>()
    .gives::<List<FindingView>>(StatusCode::OK);
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FindingsQuery {
    after: Option<FindingId>,
    limit: Option<u16>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FindingView {
    id: String,
    rule: String,
    title: String,
    severity: &'static str,
    techniques: Vec<String>,
    tactics: Vec<String>,
    primary: EntityView,
    entities: Vec<EntityView>,
    events: Vec<String>,
    first_event_at: Timestamp,
    last_event_at: Timestamp,
    detected_at: Timestamp,
    count: u64,
    authors: Option<String>,
    summary: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EntityView {
    kind: &'static str,
    value: String,
    name: Option<String>,
}

impl From<Entity> for EntityView {
    fn from(entity: Entity) -> Self {
        Self {
            kind: entity.kind.name(),
            value: entity.value,
            name: entity.name,
        }
    }
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        Self {
            id: finding.id.to_string(),
            rule: finding.rule,
            title: finding.title,
            severity: finding.severity.name(),
            techniques: finding.techniques,
            tactics: finding.tactics,
            primary: finding.primary.into(),
            entities: finding.entities.into_iter().map(EntityView::from).collect(),
            events: finding.events,
            first_event_at: finding.first_event_at,
            last_event_at: finding.last_event_at,
            detected_at: finding.detected_at,
            count: finding.count,
            authors: finding.authors,
            summary: finding.summary,
        }
    }
}

async fn list(
    Caller(cx): Caller,
    Asked(query): Asked<FindingsQuery>,
) -> Result<List<FindingView>, Problem> {
    let page = PageRequest::new(query.after, query.limit);
    let found = findings::list(&mut *cx.read().await?, &page).await?;
    Ok(List::page(found, FindingView::from))
}
