//! What the templates show: plain text and words, made from the rooms' values. Nothing here decides anything.

use askama::Template;
use hub_base::Timestamp;

use super::page::Page;

/// `14:05:09` of today's reader, or the date where the time alone would mislead.
pub(crate) fn short(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let (day, time) = text.split_once('T').unwrap_or((text.as_str(), ""));
    let time: String = time.chars().take(8).collect();
    if now.to_string().starts_with(day) {
        time
    } else {
        format!("{day} {time}")
    }
}

/// The icon that stands beside a severity's word, so that colour is never alone.
pub(crate) fn severity_icon(severity: &str) -> &'static str {
    match severity {
        "critical" => "▲▲",
        "high" => "▲",
        "medium" => "◆",
        "low" => "▽",
        _ => "○",
    }
}

/// The icon of an incident's or action's state.
pub(crate) fn state_icon(state: &str) -> &'static str {
    match state {
        "new" | "triaged" => "●",
        "contained" | "applied" => "■",
        "eradicated" | "recovered" | "closed" => "✓",
        "released" => "↺",
        "failed" => "✕",
        "skipped" => "–",
        _ => "…",
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Tiles {
    pub(crate) open_incidents: u64,
    pub(crate) contained_incidents: u64,
    pub(crate) events_per_second: u64,
    pub(crate) events_total: u64,
    pub(crate) findings_hour: u64,
    pub(crate) ledger_size: u64,
    pub(crate) ledger_root: String,
    pub(crate) health: String,
    pub(crate) health_class: &'static str,
    pub(crate) health_icon: &'static str,
    pub(crate) health_detail: String,
}

#[derive(Debug, Clone)]
pub(crate) struct IncidentRow {
    pub(crate) id: String,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) severity: String,
    pub(crate) severity_icon: &'static str,
    pub(crate) status: String,
    pub(crate) status_icon: &'static str,
    pub(crate) techniques: Vec<String>,
    pub(crate) opened_at: String,
    pub(crate) opened_short: String,
}

#[derive(Debug, Clone)]
pub(crate) struct FindingRow {
    pub(crate) title: String,
    pub(crate) severity: String,
    pub(crate) severity_icon: &'static str,
    pub(crate) techniques: Vec<String>,
    pub(crate) at: String,
    pub(crate) at_short: String,
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) name: &'static str,
    pub(crate) chosen: bool,
}

/// A list of choices for a `select`, with one chosen.
pub(crate) fn choices(all: &[(&'static str, &'static str)], chosen: &str) -> Vec<Choice> {
    all.iter()
        .map(|(value, name)| Choice {
            value,
            name,
            chosen: *value == chosen,
        })
        .collect()
}

#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

#[derive(Debug)]
pub(crate) struct EntityTag {
    pub(crate) kind: String,
    pub(crate) shown: String,
}

#[derive(Debug)]
pub(crate) struct TimelineRow {
    /// `finding`, `action`, `status` or `note`: the colour of its dot.
    pub(crate) kind: &'static str,
    pub(crate) at: String,
    pub(crate) at_short: String,
    pub(crate) actor: String,
    pub(crate) text: String,
    pub(crate) techniques: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct ActionRow {
    pub(crate) id: String,
    pub(crate) kind_name: String,
    pub(crate) target: String,
    pub(crate) state: String,
    pub(crate) state_icon: &'static str,
    pub(crate) applied: String,
    pub(crate) until: String,
    pub(crate) error: Option<String>,
    pub(crate) releasable: bool,
}

#[derive(Debug)]
pub(crate) struct EvidenceRow {
    pub(crate) id: String,
    pub(crate) at: String,
    pub(crate) sha256: String,
    pub(crate) size: String,
}

#[derive(Debug)]
pub(crate) struct EntryRow {
    pub(crate) index: i64,
    pub(crate) at: String,
    pub(crate) at_short: String,
    pub(crate) operation: String,
    pub(crate) actor: String,
    pub(crate) subject: String,
    pub(crate) address: String,
    pub(crate) outcome: String,
}

#[derive(Debug, Template)]
#[template(path = "console/refused.html")]
pub(crate) struct Refused {
    pub(crate) page: Page,
}

#[derive(Debug, Template)]
#[template(path = "console/sign_in.html")]
pub(crate) struct SignIn {
    pub(crate) page: Page,
    pub(crate) tenant: String,
    pub(crate) username: String,
    pub(crate) next: String,
}

#[derive(Debug, Template)]
#[template(path = "console/forgot.html")]
pub(crate) struct Forgot {
    pub(crate) page: Page,
    /// Whether this is the answer to the form.
    pub(crate) asked: bool,
    pub(crate) minutes: u64,
}

#[derive(Template)]
#[template(path = "console/reset.html")]
pub(crate) struct Reset {
    pub(crate) page: Page,
    pub(crate) token: String,
}

#[derive(Debug, Template)]
#[template(path = "console/now.html")]
pub(crate) struct Now {
    pub(crate) page: Page,
    pub(crate) tenant: String,
    pub(crate) tiles: Tiles,
    pub(crate) incidents: Vec<IncidentRow>,
    pub(crate) findings: Vec<FindingRow>,
}

#[derive(Debug, Template)]
#[template(path = "console/tiles.html")]
pub(crate) struct TilesPart<'a> {
    pub(crate) tiles: &'a Tiles,
}

#[derive(Debug, Template)]
#[template(path = "console/incident_rows.html")]
pub(crate) struct IncidentRowsPart<'a> {
    pub(crate) incidents: &'a [IncidentRow],
}

#[derive(Debug, Template)]
#[template(path = "console/finding_rows.html")]
pub(crate) struct FindingRowsPart<'a> {
    pub(crate) findings: &'a [FindingRow],
}

#[derive(Debug, Template)]
#[template(path = "console/incidents.html")]
pub(crate) struct IncidentsPage {
    pub(crate) page: Page,
    pub(crate) incidents: Vec<IncidentRow>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) status: String,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "console/incident.html")]
pub(crate) struct CasePage {
    pub(crate) page: Page,
    pub(crate) incident: IncidentRow,
    pub(crate) facts: Vec<Fact>,
    pub(crate) entities: Vec<EntityTag>,
    pub(crate) timeline: Vec<TimelineRow>,
    pub(crate) actions: Vec<ActionRow>,
    pub(crate) evidence: Vec<EvidenceRow>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) can_respond: bool,
}

#[derive(Debug, Template)]
#[template(path = "console/ledger.html")]
pub(crate) struct Ledger {
    pub(crate) page: Page,
    pub(crate) tenant: String,
    pub(crate) size: u64,
    pub(crate) root: String,
    pub(crate) query: String,
    pub(crate) operation: String,
    pub(crate) entries: Vec<EntryRow>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "console/entry.html")]
pub(crate) struct Entry {
    pub(crate) page: Page,
    pub(crate) index: u64,
    pub(crate) operation: String,
    pub(crate) verified: bool,
    pub(crate) size: u64,
    pub(crate) body: String,
    pub(crate) leaf: String,
    pub(crate) root: String,
    pub(crate) path: Vec<String>,
    pub(crate) checkpoint: String,
}
