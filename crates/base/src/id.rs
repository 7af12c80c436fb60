//! One newtype per kind of id, all UUIDv7 (RFC 9562): made by parsing or by a clock, never by chance.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;

/// What a text was that should have been an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id (expected a UUID)")]
pub struct ParseIdError {
    kind: &'static str,
    text: String,
}

/// A UUIDv7 whose time part is the clock's now and whose rest is random.
fn v7(clock: &dyn Clock) -> Uuid {
    let unix_ms = clock.now().unix_millis().max(0).unsigned_abs();
    let mut random = [0_u8; 10];
    // A machine without randomness must not run a security service; the uuid crate takes the same view.
    if getrandom::fill(&mut random).is_err() {
        return Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            unix_ms / 1000,
            ((unix_ms % 1000) * 1_000_000) as u32,
        ));
    }
    uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, ordered by the clock's time.
            pub fn new(clock: &dyn Clock) -> Self {
                Self(v7(clock))
            }

            /// The id as stored. For rows and wire formats only.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for rows and wire formats only.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| ParseIdError { kind: $kind, text: text.chars().take(64).collect() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, ":{}"), self.0)
            }
        }
    )*};
}

ids! {
    /// A customer organisation; the wall of isolation.
    TenantId = "tenant";
    /// A person.
    UserId = "user";
    /// One sign-in of a person on one device.
    SessionId = "session";
    /// A program's credential.
    ApiKeyId = "api-key";
    /// One act waiting for, or standing in, the ledger.
    EntryId = "entry";
    /// One acknowledged batch of ingested events.
    BatchId = "batch";
    /// One thing a rule found.
    FindingId = "finding";
    /// One operation: a deploy, its way back.
    OperationId = "operation";
    /// One legal hold.
    HoldId = "hold";
    /// One note of a run of a runbook.
    NoteId = "note";
    /// One case: findings that belong to one attack.
    IncidentId = "incident";
    /// One response action of an incident.
    ActionId = "action";
    /// One preserved piece of evidence.
    EvidenceId = "evidence";
    /// One refused source address.
    BlockId = "block";
    /// One HTTP request or command.
    RequestId = "request";
}

impl TenantId {
    /// The operator's own tenant: its administrators run the hub itself. Fixed, so that migrations can name it.
    pub const SYSTEM: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    #[test]
    fn ids_sort_by_time_and_parse_back() {
        let clock = ManualClock::at(Timestamp::from_unix_millis(1_000));
        let first = UserId::new(&clock);
        clock.advance(std::time::Duration::from_millis(1));
        let second = UserId::new(&clock);
        assert!(first < second);
        assert_eq!(first.to_string().parse::<UserId>().unwrap(), first);
        assert_eq!(first.uuid().get_version_num(), 7);
    }

    #[test]
    fn a_bad_id_says_what_was_expected() {
        let error = "nope".parse::<TenantId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`nope` is not a tenant id (expected a UUID)"
        );
    }
}
