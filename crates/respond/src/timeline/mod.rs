//! An incident's story, in the order in which it was written down. Entries are only ever added.

pub(crate) mod repo;

use hub_base::{Actor, Principal, Timestamp};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Finding,
    Action,
    Status,
    Note,
    Evidence,
    Notification,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Action => "action",
            Self::Status => "status",
            Self::Note => "note",
            Self::Evidence => "evidence",
            Self::Notification => "notification",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::Finding,
            Self::Action,
            Self::Status,
            Self::Note,
            Self::Evidence,
            Self::Notification,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

/// One entry of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at: Timestamp,
    pub kind: Kind,
    /// Who wrote it: a user's name, an API key's name, or the part of the hub.
    pub actor: String,
    pub text: String,
    pub techniques: Vec<String>,
}

/// How a timeline names an actor.
pub(crate) fn actor_name(principal: &Principal) -> String {
    match &principal.actor {
        Actor::Anonymous => "anonymous".to_owned(),
        Actor::User { username, .. } => username.clone(),
        Actor::ApiKey { name, .. } => format!("api key {name}"),
        Actor::System { component } => format!("security hub ({component})"),
    }
}
