//! The page "Now": open incidents, what was found last, how much happens, whether all is well.

use axum::extract::State;
use axum::response::Response;
use hub_base::{PageRequest, TenantId, Timestamp};
use hub_respond::incidents::{self, Filter, Incident, Status};
use hub_store::{Cx, sequence};

use super::door::{page, render};
use super::page::Place;
use super::view::{FindingRow, IncidentRow, Now, Tiles, severity_icon, short, state_icon};
use crate::api::extract::Caller;
use crate::api::health;
use crate::problem::Problem;
use crate::state::App;

/// Rows of each list.
const ROWS: u16 = 20;

/// What the page shows, apart from its frame.
pub(crate) struct Picture {
    pub(crate) tiles: Tiles,
    pub(crate) incidents: Vec<IncidentRow>,
    pub(crate) findings: Vec<FindingRow>,
}

pub(crate) async fn now(State(app): State<App>, Caller(cx): Caller) -> Result<Response, Problem> {
    let page = page(&app, Some(&cx), Some(Place::Now)).await;
    let tenant = page
        .who
        .as_ref()
        .map_or_else(String::new, |who| who.tenant.clone());
    let Picture {
        tiles,
        incidents,
        findings,
    } = picture(&app, &cx, 0).await?;
    Ok(render(
        &page.clone(),
        &Now {
            page,
            tenant,
            tiles,
            incidents,
            findings,
        },
    ))
}

/// Looks at everything once.
pub(crate) async fn picture(
    app: &App,
    cx: &Cx,
    events_per_second: u64,
) -> Result<Picture, Problem> {
    let now = cx.now();
    let open = incidents::list(cx, Filter::Open, &PageRequest::new(None, Some(200)))
        .await?
        .items;
    let contained = open
        .iter()
        .filter(|incident| incident.status == Status::Contained)
        .count();
    let (found, head) = {
        let mut tx = cx.read().await?;
        let found = hub_detect::findings::list(&mut tx, &PageRequest::new(None, Some(100)))
            .await?
            .items;
        (found, sequence::head(&mut tx).await?)
    };
    let hour = now.minus(std::time::Duration::from_hours(1));
    let health = health(app).await;
    let tiles = Tiles {
        open_incidents: open.len() as u64,
        contained_incidents: contained as u64,
        events_per_second,
        events_total: app.live.totals(cx.tenant()).events,
        findings_hour: found
            .iter()
            .filter(|finding| finding.detected_at >= hour)
            .count() as u64,
        ledger_size: head.as_ref().map_or(0, |head| head.size),
        ledger_root: head.map_or_else(String::new, |head| {
            head.root.to_string().chars().take(16).collect()
        }),
        health: health.0.to_owned(),
        health_class: if health.0 == "good" {
            "good"
        } else {
            "critical"
        },
        health_icon: if health.0 == "good" { "✓" } else { "✕" },
        health_detail: health.1,
    };
    let incidents = open
        .into_iter()
        .take(ROWS.into())
        .map(|incident| row(incident, now))
        .collect();
    let findings = found
        .into_iter()
        .take(ROWS.into())
        .map(|finding| FindingRow {
            title: format!(
                "{}: {}",
                finding.title,
                finding.primary.name.unwrap_or(finding.primary.value)
            ),
            severity: finding.severity.name().to_owned(),
            severity_icon: severity_icon(finding.severity.name()),
            techniques: finding.techniques,
            at: finding.detected_at.to_string(),
            at_short: short(finding.detected_at, now),
        })
        .collect();
    Ok(Picture {
        tiles,
        incidents,
        findings,
    })
}

/// An incident as a line of a list.
pub(crate) fn row(incident: Incident, now: Timestamp) -> IncidentRow {
    IncidentRow {
        id: incident.id.to_string(),
        number: incident.number,
        title: incident.title,
        severity: incident.severity.name().to_owned(),
        severity_icon: severity_icon(incident.severity.name()),
        status: incident.status.name().to_owned(),
        status_icon: state_icon(incident.status.name()),
        techniques: incident.techniques,
        opened_at: incident.opened_at.to_string(),
        opened_short: short(incident.opened_at, now),
    }
}

/// `good` or `bad`, and why.
async fn health(app: &App) -> (&'static str, String) {
    if let Err(why) = health::database(app).await {
        return ("bad", why);
    }
    let conditions = app.crew.conditions();
    let down: Vec<&str> = conditions
        .iter()
        .filter(|(_, condition)| !condition.running)
        .map(|(name, _)| *name)
        .collect();
    if !down.is_empty() {
        return ("bad", format!("not running: {}", down.join(", ")));
    }
    let waits = match app.store.read(TenantId::SYSTEM).await {
        Ok(mut tx) => sequence::backlog(&mut tx).await.unwrap_or(0),
        Err(_) => 0,
    };
    (
        "good",
        format!(
            "{} workers run; {waits} acts wait for the ledger",
            conditions.len()
        ),
    )
}
