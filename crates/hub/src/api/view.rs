//! Incidents as the API shows them.

use hub_base::Timestamp;
use hub_respond::actions::Action;
use hub_respond::evidence::Evidence;
use hub_respond::incidents::{Case, Incident, Involved};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct IncidentView {
    id: String,
    number: i64,
    title: String,
    severity: &'static str,
    status: &'static str,
    verdict: Option<&'static str>,
    techniques: Vec<String>,
    opened_at: Timestamp,
    contained_at: Option<Timestamp>,
    first_activity_at: Timestamp,
    last_activity_at: Timestamp,
    detected_at: Timestamp,
    closed_at: Option<Timestamp>,
    entities: Vec<EntityView>,
    finding_count: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EntityView {
    kind: String,
    value: String,
    name: Option<String>,
    /// `primary`, `attacker`, `compromised` or `target`.
    role: &'static str,
}

impl IncidentView {
    pub(super) fn new(incident: Incident, entities: Vec<Involved>) -> Self {
        Self {
            id: incident.id.to_string(),
            number: incident.number,
            title: incident.title,
            severity: incident.severity.name(),
            status: incident.status.name(),
            verdict: incident.verdict.map(hub_respond::incidents::Verdict::name),
            techniques: incident.techniques,
            opened_at: incident.opened_at,
            contained_at: incident.contained_at,
            first_activity_at: incident.first_activity_at,
            last_activity_at: incident.last_activity_at,
            detected_at: incident.detected_at,
            closed_at: incident.closed_at,
            entities: entities.into_iter().map(EntityView::from).collect(),
            finding_count: incident.finding_count,
        }
    }
}

impl From<Involved> for EntityView {
    fn from(involved: Involved) -> Self {
        let (role, entity) = (involved.role.name(), involved.entity);
        Self {
            kind: entity.kind.name().to_owned(),
            value: entity.value,
            name: entity.name,
            role,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CaseView {
    #[serde(flatten)]
    incident: IncidentView,
    timeline: Vec<EntryView>,
    findings: Vec<Value>,
    actions: Vec<ActionView>,
    evidence: Vec<EvidenceView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EntryView {
    at: Timestamp,
    kind: &'static str,
    actor: String,
    text: String,
    techniques: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ActionView {
    id: String,
    kind: &'static str,
    target: TargetView,
    state: &'static str,
    reason: String,
    playbook: Option<String>,
    manual: bool,
    releasable: bool,
    requested_at: Timestamp,
    applied_at: Option<Timestamp>,
    released_at: Option<Timestamp>,
    until: Option<Timestamp>,
    error: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct TargetView {
    kind: String,
    value: String,
    name: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EvidenceView {
    id: String,
    collected_at: Timestamp,
    format: String,
    size: i64,
    sha256: String,
    complete: bool,
    items: Value,
}

impl From<Action> for ActionView {
    fn from(action: Action) -> Self {
        Self {
            releasable: action.is_releasable(),
            id: action.id.to_string(),
            kind: action.kind.name(),
            target: TargetView {
                kind: action.target.kind,
                value: action.target.value,
                name: action.target.name,
            },
            state: action.state.name(),
            reason: action.reason,
            playbook: action.playbook,
            manual: action.manual,
            requested_at: action.requested_at,
            applied_at: action.applied_at,
            released_at: action.released_at,
            until: action.until,
            error: action.error,
        }
    }
}

impl From<Evidence> for EvidenceView {
    fn from(evidence: Evidence) -> Self {
        Self {
            id: evidence.id.to_string(),
            collected_at: evidence.collected_at,
            format: evidence.format,
            size: evidence.size,
            sha256: evidence.sha256,
            complete: evidence.complete,
            items: evidence.items,
        }
    }
}

impl From<Case> for CaseView {
    fn from(case: Case) -> Self {
        Self {
            incident: IncidentView::new(case.incident, case.entities),
            timeline: case
                .timeline
                .into_iter()
                .map(|entry| EntryView {
                    at: entry.at,
                    kind: entry.kind.name(),
                    actor: entry.actor,
                    text: entry.text,
                    techniques: entry.techniques,
                })
                .collect(),
            findings: case
                .findings
                .into_iter()
                .map(|finding| finding.body)
                .collect(),
            actions: case.actions.into_iter().map(ActionView::from).collect(),
            evidence: case.evidence.into_iter().map(EvidenceView::from).collect(),
        }
    }
}
