//! Incidents: the list, and the page of one with its timeline, entities, actions, evidence.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use hub_access::Action as Permission;
use hub_base::{ActionId, ErrorKind, IncidentId, PageRequest, Timestamp};
use hub_respond::actions::{self, Action};
use hub_respond::evidence::Evidence;
use hub_respond::incidents::{self, Change, Filter, Incident, Involved, Status};
use hub_respond::timeline::Entry;
use serde::Deserialize;

use super::door::{id, page, render};
use super::now::row;
use super::page::Place;
use super::view::{
    self, ActionRow, EntityTag, EvidenceRow, Fact, TimelineRow, choices, short, state_icon,
};
use crate::api::extract::Caller;
use crate::problem::Problem;
use crate::state::App;

const FILTERS: [(&str, &str); 8] = [
    ("", "All"),
    ("open", "Open"),
    ("new", "New"),
    ("triaged", "Triaged"),
    ("contained", "Contained"),
    ("eradicated", "Eradicated"),
    ("recovered", "Recovered"),
    ("closed", "Closed"),
];
const STATES: [(&str, &str); 5] = [
    ("triaged", "Triaged"),
    ("contained", "Contained"),
    ("eradicated", "Eradicated"),
    ("recovered", "Recovered"),
    ("closed", "Closed"),
];

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    status: String,
    after: Option<i64>,
}

pub(crate) async fn list(
    State(app): State<App>,
    Caller(cx): Caller,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let filter = match asked.status.as_str() {
        "" => Filter::All,
        "open" => Filter::Open,
        other => Status::parse(other).map_or(Filter::All, Filter::Is),
    };
    let found = incidents::list(&cx, filter, &PageRequest::new(asked.after, Some(50))).await?;
    let page = page(&app, Some(&cx), Some(Place::Incidents)).await;
    let status = FILTERS
        .iter()
        .find(|(value, _)| *value == asked.status)
        .map_or("", |(value, _)| value);
    let shown = view::IncidentsPage {
        page: page.clone(),
        incidents: found
            .items
            .into_iter()
            .map(|incident| row(incident, cx.now()))
            .collect(),
        choices: choices(&FILTERS, status),
        status: status.to_owned(),
        next: found.next.map(|number| number.to_string()),
    };
    Ok(render(&page, &shown))
}

pub(crate) async fn show(
    State(app): State<App>,
    Caller(cx): Caller,
    Path(incident): Path<String>,
) -> Result<Response, Problem> {
    let case = incidents::show(&cx, id::<IncidentId>(&incident)?).await?;
    let page = page(&app, Some(&cx), Some(Place::Incidents)).await;
    let can_respond = crate::permits::decide(&app, &cx, Permission::IncidentsRespond).await?;
    let now = cx.now();
    let status = case.incident.status.name();
    let shown = view::CasePage {
        page: page.clone(),
        facts: facts(&case.incident),
        entities: case.entities.into_iter().map(tag).collect(),
        timeline: case
            .timeline
            .into_iter()
            .rev()
            .map(|entry| line(entry, now))
            .collect(),
        actions: case
            .actions
            .into_iter()
            .map(|action| action_row(action, now))
            .collect(),
        evidence: case.evidence.into_iter().map(evidence_row).collect(),
        choices: choices(&STATES, status),
        can_respond,
        incident: row(case.incident, now),
    };
    Ok(render(&page, &shown))
}

fn facts(incident: &Incident) -> Vec<Fact> {
    let since = |at: Option<Timestamp>| {
        at.map(|at| {
            format!(
                "{at} ({:.2} s after the first activity)",
                at.since(incident.first_activity_at).as_secs_f64()
            )
        })
    };
    let fact = |name, value: Option<String>| value.map(|value| Fact { name, value });
    [
        fact(
            "First activity",
            Some(incident.first_activity_at.to_string()),
        ),
        fact("Detected", since(Some(incident.detected_at))),
        fact("Opened", since(Some(incident.opened_at))),
        fact("Contained", since(incident.contained_at)),
        fact("Last activity", Some(incident.last_activity_at.to_string())),
        fact("Acknowledged", since(incident.acknowledged_at)),
        fact("Closed", since(incident.closed_at)),
        fact("Findings", Some(incident.finding_count.to_string())),
        fact(
            "Verdict",
            incident.verdict.map(|verdict| verdict.name().to_owned()),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn tag(involved: Involved) -> EntityTag {
    let shown = match involved.entity.name {
        Some(name) if name != involved.entity.value => {
            format!("{name} ({})", involved.entity.value)
        }
        _ => involved.entity.value,
    };
    EntityTag {
        kind: format!("{} {}", involved.role.name(), involved.entity.kind.name()),
        shown,
    }
}

fn line(entry: Entry, now: Timestamp) -> TimelineRow {
    let kind = match entry.kind.name() {
        "finding" => "finding",
        "action" | "evidence" | "notification" => "action",
        "note" => "note",
        _ => "status",
    };
    TimelineRow {
        kind,
        at: entry.at.to_string(),
        at_short: short(entry.at, now),
        actor: entry.actor,
        text: entry.text,
        techniques: entry.techniques,
    }
}

fn action_row(action: Action, now: Timestamp) -> ActionRow {
    let shown = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| short(at, now));
    ActionRow {
        releasable: action.is_releasable(),
        id: action.id.to_string(),
        kind_name: action.kind.name().replace('_', " "),
        target: action.target.name.unwrap_or(action.target.value),
        state: action.state.name().to_owned(),
        state_icon: state_icon(action.state.name()),
        applied: shown(action.applied_at),
        until: shown(action.until),
        error: action.error,
    }
}

fn evidence_row(evidence: Evidence) -> EvidenceRow {
    EvidenceRow {
        id: evidence.id.to_string(),
        at: evidence.collected_at.to_string(),
        sha256: evidence.sha256,
        size: format!("{} bytes", evidence.size),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Decision {
    status: String,
    #[serde(default)]
    note: String,
}

pub(crate) async fn decide(
    Caller(cx): Caller,
    Path(incident): Path<String>,
    Form(decision): Form<Decision>,
) -> Result<Response, Problem> {
    let status = Status::parse(&decision.status).ok_or_else(|| Problem::of(ErrorKind::Invalid))?;
    let note = Some(decision.note.trim().to_owned()).filter(|note| !note.is_empty());
    let change = Change {
        status: Some(status),
        verdict: None,
        note,
    };
    incidents::update(&cx, id::<IncidentId>(&incident)?, change).await?;
    Ok(back(&incident))
}

pub(crate) async fn release(
    State(app): State<App>,
    Caller(cx): Caller,
    Path((incident, action)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (of, which) = (id::<IncidentId>(&incident)?, id::<ActionId>(&action)?);
    actions::release(&cx, of, which, "released in the console").await?;
    crate::api::incidents::refresh(&app, &cx).await?;
    Ok(back(&incident))
}

fn back(incident: &str) -> Response {
    // The id was parsed before anything was done, so it is a UUID and nothing else.
    Redirect::to(&format!("/console/incidents/{incident}")).into_response()
}
