//! Response actions: what a playbook or an operator wants done, done once, recorded, and undone.
//!
//! An action is a row; the row, the change it stands for and the act commit together, so that a crash
//! anywhere leaves either nothing or all of it, and a second run finds nothing left to do.

mod contain;
mod manual;
mod release;
pub(crate) mod repo;
mod run;

use std::sync::Arc;
use std::time::Duration;

use hub_base::{ActionId, IncidentId, Timestamp};
use hub_detect::EntityKind;
use serde_json::Value;

use crate::config::RespondConfig;

pub(crate) use contain::parse_network;
pub use manual::{Request, apply_manual};
pub use release::{expire, release};
pub use run::run_pending;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    PreserveEvidence,
    BlockAddress,
    LockAccount,
    EndSessions,
    RevokeApiKey,
    Notify,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::PreserveEvidence,
        Self::BlockAddress,
        Self::LockAccount,
        Self::EndSessions,
        Self::RevokeApiKey,
        Self::Notify,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::PreserveEvidence => "preserve_evidence",
            Self::BlockAddress => "block_address",
            Self::LockAccount => "lock_account",
            Self::EndSessions => "end_sessions",
            Self::RevokeApiKey => "revoke_api_key",
            Self::Notify => "notify",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// 0 evidence, 1 containment, 2 notification: an incident's actions are taken in this order.
    pub const fn phase(self) -> i16 {
        match self {
            Self::PreserveEvidence => 0,
            Self::BlockAddress | Self::LockAccount | Self::EndSessions | Self::RevokeApiKey => 1,
            Self::Notify => 2,
        }
    }

    /// Whether the action can be done to an entity of that kind.
    pub const fn fits(self, kind: EntityKind) -> bool {
        match self {
            Self::PreserveEvidence | Self::Notify => false,
            Self::BlockAddress => matches!(kind, EntityKind::Address),
            Self::LockAccount => matches!(kind, EntityKind::User),
            Self::EndSessions => matches!(kind, EntityKind::User | EntityKind::Session),
            Self::RevokeApiKey => matches!(kind, EntityKind::ApiKey),
        }
    }

    pub const fn is_containment(self) -> bool {
        self.phase() == 1
    }
}

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its turn, or for its next try.
    Pending,
    /// A worker holds it until its lease ends.
    Applying,
    Applied,
    Released,
    /// Not done, on purpose: the target is protected, gone, or nothing was to do.
    Skipped,
    /// Given up after the last try: an operator must look.
    Failed,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Released => "released",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Applying,
            Self::Applied,
            Self::Released,
            Self::Skipped,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }
}

/// What an action is about. `kind` is an entity's kind, or `incident`, or `finding`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub kind: String,
    pub value: String,
    pub name: Option<String>,
}

/// One action as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub id: ActionId,
    pub incident: IncidentId,
    pub kind: Kind,
    pub target: Target,
    /// The playbook that asked for it; `None` for an operator.
    pub playbook: Option<String>,
    pub manual: bool,
    pub reason: String,
    pub ttl: Option<Duration>,
    pub state: State,
    pub attempts: i32,
    pub error: Option<String>,
    /// What it changed, so that releasing it undoes that and no more.
    pub effect: Value,
    pub requested_at: Timestamp,
    pub applied_at: Option<Timestamp>,
    /// When it releases itself.
    pub until: Option<Timestamp>,
    pub released_at: Option<Timestamp>,
}

impl Action {
    /// Whether `release` would undo something.
    pub fn is_releasable(&self) -> bool {
        self.state == State::Applied && self.kind.is_containment()
    }
}

/// What the executor needs besides the store.
#[derive(Debug, Clone)]
pub struct Deps {
    pub config: Arc<RespondConfig>,
}

/// An action that is to be queued, unless the incident has it already.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    pub(crate) playbook: Option<String>,
    pub(crate) reason: String,
    pub(crate) ttl: Option<Duration>,
}

/// How long to wait after failed try `attempts` (from 1): 1 s, 2 s, 4 s … 60 s, of which a half is spread by
/// the action's id so that what failed together does not come back together.
pub(crate) fn backoff(id: uuid::Uuid, attempts: i32) -> Duration {
    let exponent = u32::try_from(attempts.clamp(1, 7)).unwrap_or(1) - 1;
    let whole = 1000_u64.saturating_mul(1 << exponent).min(60_000);
    let (_, low) = id.as_u64_pair();
    // A different slice of the id's random bits for each try.
    let spread = low.rotate_left(exponent * 7) % (whole / 2 + 1);
    Duration::from_millis(whole / 2 + spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_spread() {
        let one = uuid::Uuid::from_u128(0x0123_4567_89ab_7def_8123_4567_89ab_cdef);
        let two = uuid::Uuid::from_u128(0x0123_4567_89ab_7def_8fed_cba9_8765_4321);
        for attempts in 1..30 {
            let whole = Duration::from_secs((1 << (attempts - 1).min(6)).min(60));
            for id in [one, two] {
                let wait = backoff(id, attempts);
                assert!(wait >= whole / 2 && wait <= whole, "{attempts}: {wait:?}");
            }
        }
        assert_ne!(backoff(one, 5), backoff(two, 5));
    }

    #[test]
    fn names_parse_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
    }
}
