//! What detection hands on: findings, and whom or what they are about.

use std::fmt;
use std::str::FromStr;

use hub_base::{FindingId, Timestamp};
use hub_events::Severity;
use serde::{Deserialize, Serialize};

/// The kinds of thing that a finding can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    User,
    Address,
    Session,
    ApiKey,
    Campaign,
    Host,
    CloudIdentity,
}

impl EntityKind {
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Address,
        Self::Session,
        Self::ApiKey,
        Self::Campaign,
        Self::Host,
        Self::CloudIdentity,
    ];

    /// The name that rules and rows use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
            Self::Session => "session",
            Self::ApiKey => "api_key",
            Self::Campaign => "campaign",
            Self::Host => "host",
            Self::CloudIdentity => "cloud_identity",
        }
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a text was that should have named an entity kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a kind of entity (user, address, session, api_key, campaign, host, cloud_identity)"
)]
pub struct ParseKindError(String);

impl FromStr for EntityKind {
    type Err = ParseKindError;
    fn from_str(text: &str) -> Result<Self, ParseKindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| ParseKindError(text.chars().take(64).collect()))
    }
}

/// Somebody or something that takes part: its kind, its id or address, and a name for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entity {
    pub kind: EntityKind,
    pub value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Entity {
    pub fn new(kind: EntityKind, value: impl Into<String>) -> Self {
        Self {
            kind,
            value: value.into(),
            name: None,
        }
    }

    /// Whether both mean the same thing, whatever names they carry.
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.value == other.value
    }
}

/// One rule's word that something happened. A continuing attack makes a stream of findings of one rule
/// and group: the first at once, then one whenever attackers join or the count doubles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: FindingId,
    /// The rule's id.
    pub rule: String,
    pub title: String,
    pub severity: Severity,
    /// ATT&CK techniques, such as `T1110.003`.
    pub techniques: Vec<String>,
    /// ATT&CK tactics, such as `credential-access`.
    pub tactics: Vec<String>,
    pub primary: Entity,
    /// Everybody involved, the primary among them; in a stream's later findings, those who are new.
    pub entities: Vec<Entity>,
    /// Uids of the events behind it, the newest 100.
    pub events: Vec<String>,
    pub first_event_at: Timestamp,
    pub last_event_at: Timestamp,
    pub detected_at: Timestamp,
    /// Hits of the stream so far.
    pub count: u64,
    /// Who wrote the rule: the licence of published rules asks for it beside every match.
    pub authors: Option<String>,
    /// The same attack seen again after a crash gives the same key: unique in a tenant.
    pub dedup_key: String,
    pub summary: String,
}
