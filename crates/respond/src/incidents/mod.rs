//! Incidents: findings that belong to one attack, what became of it, and when.

mod absorb;
pub mod correlate;
pub(crate) mod repo;
mod update;

use hub_base::{FindingId, IncidentId, Page, PageRequest, Timestamp};
use hub_detect::Entity;
use hub_events::{Act, Class, Severity, Subject};
use hub_store::Cx;

use crate::actions::{self, Action};
use crate::error::Error;
use crate::evidence::{self, Evidence};
use crate::notify::{self, Notification};
use crate::timeline;

pub use absorb::absorb;
pub(crate) use update::settle;
pub use update::{Change, update};

/// Where an incident stands (NIST SP 800-61r3 in one line).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    New,
    Triaged,
    Contained,
    Eradicated,
    Recovered,
    Closed,
}

impl Status {
    pub const ALL: [Self; 6] = [
        Self::New,
        Self::Triaged,
        Self::Contained,
        Self::Eradicated,
        Self::Recovered,
        Self::Closed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Triaged => "triaged",
            Self::Contained => "contained",
            Self::Eradicated => "eradicated",
            Self::Recovered => "recovered",
            Self::Closed => "closed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// A closed incident can only be reopened, and none becomes new again; people may go back and skip.
    pub const fn may_become(self, to: Self) -> bool {
        match (self, to) {
            (_, Self::New) => false,
            (Self::Closed, to) => matches!(to, Self::Triaged),
            _ => true,
        }
    }

    /// OCSF's `status_id` of an incident finding, and its name.
    const fn ocsf(self) -> (u8, &'static str) {
        match self {
            Self::New => (1, "New"),
            Self::Triaged | Self::Contained | Self::Eradicated => (2, "In Progress"),
            Self::Recovered => (4, "Resolved"),
            Self::Closed => (5, "Closed"),
        }
    }
}

/// What it turned out to be: OCSF's `verdict_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    FalsePositive = 1,
    TruePositive = 2,
    Disregard = 3,
    Suspicious = 4,
    Benign = 5,
    Test = 6,
    InsufficientData = 7,
    SecurityRisk = 8,
    ManagedExternally = 9,
    Duplicate = 10,
}

impl Verdict {
    pub const ALL: [Self; 10] = [
        Self::FalsePositive,
        Self::TruePositive,
        Self::Disregard,
        Self::Suspicious,
        Self::Benign,
        Self::Test,
        Self::InsufficientData,
        Self::SecurityRisk,
        Self::ManagedExternally,
        Self::Duplicate,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::FalsePositive => "false_positive",
            Self::TruePositive => "true_positive",
            Self::Disregard => "disregard",
            Self::Suspicious => "suspicious",
            Self::Benign => "benign",
            Self::Test => "test",
            Self::InsufficientData => "insufficient_data",
            Self::SecurityRisk => "security_risk",
            Self::ManagedExternally => "managed_externally",
            Self::Duplicate => "duplicate",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// What part an entity plays in an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// What the incident is about.
    Primary,
    /// Where the attack comes from.
    Attacker,
    /// In the attacker's hands.
    Compromised,
    /// Aimed at, and as far as is known not hit.
    Target,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Attacker => "attacker",
            Self::Compromised => "compromised",
            Self::Target => "target",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::Primary,
            Self::Attacker,
            Self::Compromised,
            Self::Target,
        ]
        .into_iter()
        .find(|role| role.name() == name)
    }
}

/// An incident as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub id: IncidentId,
    /// Counts up within the tenant.
    pub number: i64,
    pub title: String,
    pub severity: Severity,
    pub status: Status,
    pub verdict: Option<Verdict>,
    pub primary: Entity,
    pub techniques: Vec<String>,
    pub finding_count: i64,
    pub first_activity_at: Timestamp,
    pub last_activity_at: Timestamp,
    pub detected_at: Timestamp,
    pub opened_at: Timestamp,
    /// When a person first took it in hand.
    pub acknowledged_at: Option<Timestamp>,
    /// When everything that was to be contained first was.
    pub contained_at: Option<Timestamp>,
    pub eradicated_at: Option<Timestamp>,
    pub recovered_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
}

/// An entity and its part.
#[derive(Debug, Clone, PartialEq)]
pub struct Involved {
    pub entity: Entity,
    pub role: Role,
}

/// A finding as it was when it was attached.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    pub id: FindingId,
    pub attached_at: Timestamp,
    /// The finding as JSON, with its rule, title, entities and the uids of its events.
    pub body: serde_json::Value,
}

/// An incident with everything that hangs on it.
#[derive(Debug, Clone)]
pub struct Case {
    pub incident: Incident,
    pub entities: Vec<Involved>,
    pub findings: Vec<Attached>,
    pub timeline: Vec<timeline::Entry>,
    pub actions: Vec<Action>,
    pub evidence: Vec<Evidence>,
    pub notifications: Vec<Notification>,
}

/// Which incidents a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filter {
    #[default]
    All,
    /// Those that are not closed.
    Open,
    Is(Status),
}

/// Entities and timeline entries of one incident that [`show`] gives at most.
const SHOWN: i64 = 1000;

/// Incidents, newest first, by number.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(
    cx: &Cx,
    filter: Filter,
    page: &PageRequest<i64>,
) -> Result<Page<Incident, i64>, Error> {
    let mut tx = cx.read().await?;
    let items = repo::list(&mut tx, filter, page).await?;
    Ok(Page::from_surplus(items, page.limit, |incident| {
        incident.number
    }))
}

/// Up to `limit` entities of an incident, the primary first, for lists.
///
/// # Errors
/// [`Error::Store`].
pub async fn entities(cx: &Cx, incident: IncidentId, limit: i64) -> Result<Vec<Involved>, Error> {
    let mut tx = cx.read().await?;
    repo::entities(&mut tx, incident, limit.clamp(1, SHOWN)).await
}

/// One incident with everything that hangs on it.
///
/// # Errors
/// [`Error::UnknownIncident`].
pub async fn show(cx: &Cx, id: IncidentId) -> Result<Case, Error> {
    let mut tx = cx.read().await?;
    let incident = repo::find(&mut tx, id)
        .await?
        .ok_or(Error::UnknownIncident(id))?;
    Ok(Case {
        incident,
        entities: repo::entities(&mut tx, id, SHOWN).await?,
        findings: repo::findings(&mut tx, id, SHOWN).await?,
        timeline: timeline::repo::list(&mut tx, id, SHOWN).await?,
        actions: actions::repo::list(&mut tx, id).await?,
        evidence: evidence::repo::list(&mut tx, id).await?,
        notifications: notify::repo::list(&mut tx, id).await?,
    })
}

/// The act of an incident's change. `activity` is OCSF's: 1 create, 2 update, 3 close.
pub(crate) fn act(operation: &'static str, activity: u8, incident: &Incident) -> Act {
    let (status_id, status) = incident.status.ocsf();
    let act = Act::new(operation, Class::IncidentFinding, activity, "response")
        .on(Subject::new("incident", incident.id).named(&incident.title))
        .severity(incident.severity)
        .with("status_id", status_id)
        .with("status", status)
        // OCSF wants somebody in charge of each incident from its first moment.
        .with("assignee_group.name", "on-call")
        .with("finding_info.uid", incident.id.to_string())
        .with("finding_info.title", incident.title.as_str())
        .with("unmapped.incident.number", incident.number)
        .with("unmapped.incident.status", incident.status.name())
        .with("unmapped.incident.techniques", incident.techniques.clone())
        .with(
            "unmapped.incident.primary.kind",
            incident.primary.kind.name(),
        )
        .with(
            "unmapped.incident.primary.value",
            incident.primary.value.as_str(),
        );
    match incident.verdict {
        Some(verdict) => act
            .with("verdict_id", verdict as u8)
            .with("verdict", verdict.name()),
        None => act,
    }
}

/// An entity as people read it: its name if it has one, else its value.
pub(crate) fn shown(entity: &Entity) -> &str {
    entity.name.as_deref().unwrap_or(&entity.value)
}
