//! What must be refused at once although a token still verifies: ended sessions, locked people, revoked keys.
//!
//! Kept in memory, fed by the bus after each commit, loaded from the database at start.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use hub_base::{SessionId, Timestamp, UserId};
use hub_store::{Committed, Store};
use serde_json::Value;

use crate::error::Error;
use crate::sessions::{self, ACCESS_TOKEN_TTL};
use crate::users;

#[derive(Debug, Default)]
struct Sets {
    /// Ended sessions, and when their last access token has surely expired.
    sessions: HashMap<SessionId, Timestamp>,
    locked: HashSet<UserId>,
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
            let mut tx = store.read(tenant).await?;
            let ended = sessions::repo::ended_since(&mut tx, now.minus(ACCESS_TOKEN_TTL)).await?;
            let locked = users::repo::locked(&mut tx).await?;
            let mut sets = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let until = now.plus(ACCESS_TOKEN_TTL);
            sets.sessions
                .extend(ended.into_iter().map(|session| (session, until)));
            sets.locked.extend(locked);
            sets.version += 1;
        }
        Ok(())
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
                sets.locked.extend(id("user.uid"));
            }
            "user.unlock" => {
                if let Some(user) = id("user.uid") {
                    sets.locked.remove(&user);
                }
            }
            "api_key.revoke" | "api_key.restore" => {}
            _ => return,
        }
        let now = event.time;
        sets.sessions.retain(|_, until| *until > now);
        sets.version += 1;
    }

    /// Whether a session or its person may no longer act.
    pub fn refuses(&self, session: SessionId, user: UserId) -> bool {
        let sets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sets.locked.contains(&user) || sets.sessions.contains_key(&session)
    }

    /// A number that changes with every revocation.
    pub fn version(&self) -> u64 {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .version
    }
}
