//! Incidents: what they are, what people decide about them, what is done and undone, the evidence.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{ActionId, EvidenceId, HumanDuration, IncidentId, PageRequest};
use hub_respond::{actions, evidence, incidents};
use hub_store::Cx;
use schemars::JsonSchema;
use serde::Deserialize;

use super::extract::{Asked, At, Caller, Created, Given, Json, List, Reply};
use super::table::Api;
use super::view::{ActionView, CaseView, IncidentView};
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    let (read, respond) = (Action::IncidentsRead, Action::IncidentsRespond);
    api.at(
        Method::GET,
        "/api/v2/incidents",
        (read, "Incidents, newest first"),
        list,
    )
    .asks::<IncidentsQuery>()
    .gives::<List<IncidentView>>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/incidents/{id}",
        (read, "One incident with its story"),
        show,
    )
    .gives::<CaseView>(StatusCode::OK);
    api.at(
        Method::PATCH,
        "/api/v2/incidents/{id}",
        (respond, "Change status or verdict, add a note"),
        update,
    )
    .takes::<Change>()
    .gives::<IncidentView>(StatusCode::OK);
    api.at(
        Method::POST,
        "/api/v2/incidents/{id}/actions",
        (respond, "Order a response action"),
        act,
    )
    .takes::<ActionOrder>()
    .gives::<ActionView>(StatusCode::CREATED);
    api.at(
        Method::POST,
        "/api/v2/incidents/{id}/actions/{action}/release",
        (respond, "Undo an action"),
        release,
    )
    .takes::<Release>()
    .gives::<ActionView>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/incidents/{id}/evidence/{evidence}",
        (read, "An evidence bundle"),
        bundle,
    )
    .answers(StatusCode::OK, "application/x-ndjson");
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IncidentsQuery {
    /// Incidents below this number.
    after: Option<i64>,
    limit: Option<u16>,
    /// `open`, or one status.
    status: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Change {
    /// `triaged`, `contained`, `eradicated`, `recovered` or `closed`.
    status: Option<String>,
    verdict: Option<String>,
    note: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActionOrder {
    /// `block_address`, `lock_account`, `end_sessions`, `revoke_api_key`, `preserve_evidence` or `notify`.
    kind: String,
    #[serde(default)]
    target: String,
    ttl: Option<HumanDuration>,
    reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Release {
    reason: String,
}

fn word<T>(
    field: &'static str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let unknown = |text: &str| {
        Problem::of(hub_base::ErrorKind::Invalid).detail(format!("{field}: `{text}` is not known"))
    };
    text.map(|text| parse(text).ok_or_else(|| unknown(text)))
        .transpose()
}

async fn list(
    Caller(cx): Caller,
    Asked(query): Asked<IncidentsQuery>,
) -> Result<List<IncidentView>, Problem> {
    let filter = match query.status.as_deref() {
        None | Some("") => incidents::Filter::All,
        Some("open") => incidents::Filter::Open,
        status => word("status", status, incidents::Status::parse)?
            .map_or(incidents::Filter::All, incidents::Filter::Is),
    };
    let page = incidents::list(&cx, filter, &PageRequest::new(query.after, query.limit)).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for incident in page.items {
        items.push(with_entities(&cx, incident).await?);
    }
    Ok(List {
        items,
        next: page.next.map(|number| number.to_string()),
    })
}

/// Entities of one incident in lists.
const LISTED: i64 = 50;

async fn with_entities(cx: &Cx, incident: incidents::Incident) -> Result<IncidentView, Problem> {
    let entities = incidents::entities(cx, incident.id, LISTED).await?;
    Ok(IncidentView::new(incident, entities))
}

async fn show(Caller(cx): Caller, At((id,)): At<(IncidentId,)>) -> Reply<CaseView> {
    Ok(Json(incidents::show(&cx, id).await?.into()))
}

async fn update(
    Caller(cx): Caller,
    At((id,)): At<(IncidentId,)>,
    Given(change): Given<Change>,
) -> Reply<IncidentView> {
    let change = incidents::Change {
        status: word("status", change.status.as_deref(), incidents::Status::parse)?,
        verdict: word(
            "verdict",
            change.verdict.as_deref(),
            incidents::Verdict::parse,
        )?,
        note: change.note,
    };
    let incident = incidents::update(&cx, id, change).await?;
    Ok(Json(with_entities(&cx, incident).await?))
}

async fn act(
    State(app): State<App>,
    Caller(cx): Caller,
    At((id,)): At<(IncidentId,)>,
    Given(order): Given<ActionOrder>,
) -> Result<Created<ActionView>, Problem> {
    let kind = word("kind", Some(&order.kind), actions::Kind::parse)?;
    let kind = kind.ok_or_else(|| Problem::of(hub_base::ErrorKind::Invalid))?;
    let ttl = order.ttl.map(|HumanDuration(ttl)| ttl);
    let request = actions::Request {
        kind,
        target: order.target,
        ttl,
        reason: order.reason,
    };
    let action = actions::apply_manual(&cx, id, request, &app.responding).await?;
    refresh(&app, &cx).await?;
    Ok(Created(action.into()))
}

/// The front door must agree with what is about to be said.
pub(crate) async fn refresh(app: &App, cx: &Cx) -> Result<(), Problem> {
    let refreshed = crate::workers::views::blocks(app, cx.tenant()).await;
    refreshed.map_err(|error| Problem::from_error(hub_base::ErrorKind::Unavailable, &*error))
}

async fn release(
    State(app): State<App>,
    Caller(cx): Caller,
    At((id, action)): At<(IncidentId, ActionId)>,
    Given(release): Given<Release>,
) -> Reply<ActionView> {
    let released = actions::release(&cx, id, action, &release.reason).await?;
    refresh(&app, &cx).await?;
    Ok(Json(released.into()))
}

async fn bundle(
    Caller(cx): Caller,
    At((id, evidence)): At<(IncidentId, EvidenceId)>,
) -> Result<Response, Problem> {
    let bundle = evidence::show(&cx, id, evidence).await?;
    let name = format!("attachment; filename=\"evidence-{evidence}.ndjson\"");
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (CONTENT_DISPOSITION, name),
    ];
    Ok((headers, bundle.bytes).into_response())
}
