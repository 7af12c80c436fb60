//! What must be refused at once although a token still verifies: ended sessions, locked people, revoked keys.
//!
//! Kept in memory, fed by the bus after each commit, loaded from the database at start.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use hub_base::{Actor, ApiKeyId, Principal, SessionId, TenantId, Timestamp, UserId};
use hub_store::{Committed, Store};
use serde_json::Value;

use crate::error::Error;
use crate::sessions::{self, ACCESS_TOKEN_TTL};
use crate::users;

/// Longer than any answer goes on.
const KEY_MEMORY: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
struct Sets {
    /// Ended sessions, and when their last access token has surely expired.
    sessions: HashMap<SessionId, Timestamp>,
    locked: HashMap<TenantId, HashSet<UserId>>,
    /// Keys revoked by this process lately, for what goes on without showing its key again.
    keys: HashMap<ApiKeyId, Timestamp>,
    /// Grows with every change, so that caches can tell that they are stale.
    version: u64,
}

/// The revocations that this process knows.
#[derive(Debug, Default)]
pub struct Revocations(RwLock<Sets>);

impl Revocations {
    /// Reads what the database knows, for all tenants.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn load(&self, store: &Store) -> Result<(), Error> {
        let now = store.clock().now();
        for tenant in store.tenants().await? {
            let before = self.version();
            let mut tx = store.read(tenant).await?;
            let ended = sessions::repo::ended_since(&mut tx, now.minus(ACCESS_TOKEN_TTL)).await?;
            let locked = users::repo::locked(&mut tx).await?;
            drop(tx);
            self.merge(tenant, before, ended, locked, now);
        }
        Ok(())
    }

    /// Takes in what was read at version `before`. Only if nothing changed meanwhile may it say that somebody is no longer
    /// locked: what this process did since then is not in it.
    fn merge(
        &self,
        tenant: TenantId,
        before: u64,
        ended: Vec<SessionId>,
        locked: Vec<UserId>,
        now: Timestamp,
    ) {
        let mut sets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let until = now.plus(ACCESS_TOKEN_TTL);
        let fresh = ended
            .into_iter()
            .filter(|session| sets.sessions.insert(*session, until).is_none())
            .count();
        let old = sets.locked.remove(&tenant).unwrap_or_default();
        let mut known: HashSet<UserId> = locked.into_iter().collect();
        if sets.version != before {
            known.extend(&old);
        }
        if fresh > 0 || known != old {
            sets.version += 1;
        }
        sets.locked.insert(tenant, known);
        sets.sessions.retain(|_, until| *until > now);
    }

    /// Takes in what has just been committed.
    pub fn apply(&self, committed: &Committed) {
        let event = &committed.event;
        let id = |path: &str| {
            event
                .text(path)
                .and_then(|text| text.parse::<UserId>().ok())
        };
        let mut sets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let until = event.time.plus(ACCESS_TOKEN_TTL);
        match committed.operation {
            "session.end" | "session.revoke" | "token.replay" => {
                let listed = event.at("unmapped.sessions").and_then(Value::as_array);
                let listed = listed.into_iter().flatten().filter_map(Value::as_str);
                let own = event.text("session.uid");
                let ended: Vec<SessionId> = listed
                    .chain(own)
                    .filter_map(|text| text.parse().ok())
                    .collect();
                sets.sessions
                    .extend(ended.into_iter().map(|session| (session, until)));
            }
            "user.lock" => {
                let locked = sets.locked.entry(committed.tenant).or_default();
                locked.extend(id("user.uid"));
            }
            "user.unlock" => {
                if let Some(user) = id("user.uid") {
                    let locked = sets.locked.entry(committed.tenant).or_default();
                    locked.remove(&user);
                }
            }
            "api_key.revoke" => {
                let key = event
                    .text("resource.uid")
                    .and_then(|text| text.parse().ok());
                sets.keys
                    .extend(key.map(|key| (key, event.time.plus(KEY_MEMORY))));
            }
            "api_key.restore" => {
                let key = event
                    .text("resource.uid")
                    .and_then(|text| text.parse().ok());
                let _gone = key.and_then(|key: ApiKeyId| sets.keys.remove(&key));
            }
            _ => return,
        }
        let now = event.time;
        sets.sessions.retain(|_, until| *until > now);
        sets.keys.retain(|_, until| *until > now);
        sets.version += 1;
    }

    /// Whether the principal may no longer act.
    pub fn refuses(&self, principal: &Principal) -> bool {
        let sets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &principal.actor {
            Actor::User { user, session, .. } => {
                let locked = sets.locked.get(&principal.tenant);
                sets.sessions.contains_key(session)
                    || locked.is_some_and(|locked| locked.contains(user))
            }
            Actor::ApiKey { key, .. } => sets.keys.contains_key(key),
            Actor::Anonymous | Actor::System { .. } => false,
        }
    }

    /// A number that changes with every revocation.
    pub fn version(&self) -> u64 {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_base::ManualClock;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);

    fn person(tenant: TenantId, session: SessionId, user: UserId) -> Principal {
        Principal {
            tenant,
            actor: Actor::User {
                user,
                session,
                username: "ada".into(),
                authenticated_at: NOW,
            },
            roles: vec![],
        }
    }

    fn ids() -> (TenantId, SessionId, UserId, UserId) {
        let clock = ManualClock::at(NOW);
        (
            TenantId::SYSTEM,
            SessionId::new(&clock),
            UserId::new(&clock),
            UserId::new(&clock),
        )
    }

    #[test]
    fn what_another_server_locked_and_unlocked_counts_here_after_reading() {
        let (tenant, session, ada, eve) = ids();
        let revocations = Revocations::default();
        revocations.merge(tenant, 0, vec![], vec![ada], NOW);
        assert!(revocations.refuses(&person(tenant, session, ada)));
        assert!(!revocations.refuses(&person(tenant, session, eve)));
        revocations.merge(tenant, revocations.version(), vec![session], vec![], NOW);
        assert!(
            revocations.refuses(&person(tenant, session, eve)),
            "the session has ended"
        );
        let (_, other, _, _) = ids();
        assert!(
            !revocations.refuses(&person(tenant, other, ada)),
            "unlocked elsewhere"
        );
    }

    #[test]
    fn what_was_read_before_a_lock_does_not_undo_it() {
        let (tenant, session, ada, eve) = ids();
        let revocations = Revocations::default();
        let before = revocations.version();
        revocations.merge(tenant, before, vec![], vec![ada], NOW);
        revocations.merge(tenant, before, vec![], vec![eve], NOW);
        assert!(revocations.refuses(&person(tenant, session, ada)));
        assert!(revocations.refuses(&person(tenant, session, eve)));
    }

    #[test]
    fn reading_the_same_again_makes_no_cache_stale() {
        let (tenant, session, ada, _) = ids();
        let revocations = Revocations::default();
        revocations.merge(tenant, 0, vec![session], vec![ada], NOW);
        let version = revocations.version();
        revocations.merge(tenant, version, vec![session], vec![ada], NOW);
        assert_eq!(revocations.version(), version);
    }
}
