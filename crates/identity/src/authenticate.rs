//! From a credential to a principal. Access tokens are checked without I/O; cookies and keys by the database, with a
//! short memory of what was found good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_base::{Actor, ApiKeyId, Principal, SessionId, Timestamp};
use hub_store::Store;
use hub_vault::secret::digest;
use hub_vault::{Claims, SecretHash, TokenVerifier};

use crate::credential::{self, API_KEY_PREFIX};
use crate::error::Error;
use crate::keys;
use crate::revocations::Revocations;
use crate::sessions::{self, IDLE_TTL};

/// How long a cookie or key that was found good is believed without asking again.
const MEMORY: Duration = Duration::from_secs(5);
/// Remembered credentials at most.
const MOST: usize = 50_000;

struct Remembered {
    principal: Arc<Principal>,
    until: Timestamp,
    /// The revocations' version when it was found good: any later change makes it stale.
    version: u64,
}

/// Checks credentials.
pub struct Authenticator {
    store: Store,
    tokens: Arc<TokenVerifier>,
    revocations: Arc<Revocations>,
    memory: Mutex<HashMap<[u8; 32], Remembered>>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Authenticator {
    pub fn new(store: Store, tokens: Arc<TokenVerifier>, revocations: Arc<Revocations>) -> Self {
        Self {
            store,
            tokens,
            revocations,
            memory: Mutex::default(),
        }
    }

    /// Checks what stood behind `Authorization: Bearer`: an API key or an access token.
    ///
    /// # Errors
    /// [`Error::BadCredential`].
    pub async fn bearer(&self, text: &str) -> Result<Arc<Principal>, Error> {
        if text.starts_with(API_KEY_PREFIX) {
            self.api_key(text).await
        } else {
            self.token(text)
        }
    }

    /// Checks an access token; no I/O.
    ///
    /// # Errors
    /// [`Error::BadCredential`].
    pub fn token(&self, text: &str) -> Result<Arc<Principal>, Error> {
        let now = self.store.clock().now();
        let key = digest(text.as_bytes());
        let version = self.revocations.version();
        if let Some(principal) = self.recall(&key, now, version) {
            return Ok(principal);
        }
        let claims = self
            .tokens
            .verify(text, now)
            .map_err(|_| Error::BadCredential)?;
        let until = Timestamp::from_unix_seconds(claims.exp).min(now.plus(MEMORY * 6));
        let principal = principal_of(claims);
        if self.revocations.refuses(&principal) {
            return Err(Error::BadCredential);
        }
        Ok(self.remember(key, principal, until, version))
    }

    /// Checks a session cookie.
    ///
    /// # Errors
    /// [`Error::BadCredential`] if it is wrong, ended or expired; [`Error::Store`] if the database does not answer.
    pub async fn cookie(&self, text: &str) -> Result<Arc<Principal>, Error> {
        let now = self.store.clock().now();
        let key = digest(text.as_bytes());
        let version = self.revocations.version();
        if let Some(principal) = self.recall(&key, now, version) {
            return Ok(principal);
        }
        let parts = credential::parse(text, "").ok_or(Error::BadCredential)?;
        let id = SessionId::from_uuid(parts.id);
        let mut tx = self.store.read(parts.tenant).await?;
        let row = sessions::repo::for_cookie(&mut tx, id)
            .await?
            .ok_or(Error::BadCredential)?;
        let fits =
            SecretHash::from_slice(&row.secret).is_some_and(|hash| hash.matches(&parts.secret));
        let session = row.session;
        let over = session.ended_at.is_some()
            || session.expires_at <= now
            || session.last_seen_at.plus(IDLE_TTL) <= now;
        if !fits || over || row.locked || row.suspended {
            return Err(Error::BadCredential);
        }
        drop(tx);
        self.touch(parts.tenant, &session, now).await?;
        let principal = Principal {
            tenant: parts.tenant,
            actor: Actor::User {
                user: session.user,
                session: id,
                username: row.username,
                authenticated_at: session.created_at,
            },
            roles: Vec::new(),
        };
        Ok(self.remember(key, principal, now.plus(MEMORY), version))
    }

    /// Notes that a session is in use, at most once a minute.
    async fn touch(
        &self,
        tenant: hub_base::TenantId,
        session: &sessions::Session,
        now: Timestamp,
    ) -> Result<(), Error> {
        if now.since(session.last_seen_at) >= Duration::from_mins(1) {
            let cx = hub_store::Cx::system(self.store.clone(), tenant, "sessions");
            let mut tx = cx.write().await?;
            sessions::repo::touch(&mut tx, session.id).await?;
            tx.commit_progress().await?;
        }
        Ok(())
    }

    /// Checks an API key.
    ///
    /// # Errors
    /// As [`Authenticator::cookie`].
    pub async fn api_key(&self, text: &str) -> Result<Arc<Principal>, Error> {
        let now = self.store.clock().now();
        let key = digest(text.as_bytes());
        let version = self.revocations.version();
        if let Some(principal) = self.recall(&key, now, version) {
            return Ok(principal);
        }
        let parts = credential::parse(text, API_KEY_PREFIX).ok_or(Error::BadCredential)?;
        let id = ApiKeyId::from_uuid(parts.id);
        let mut tx = self.store.read(parts.tenant).await?;
        let found = keys::repo::for_check(&mut tx, id)
            .await?
            .ok_or(Error::BadCredential)?;
        let (stored, hash, suspended) = found;
        let fits = SecretHash::from_slice(&hash).is_some_and(|hash| hash.matches(&parts.secret));
        let expired = stored.expires_at.is_some_and(|at| at <= now);
        if !fits || stored.revoked_at.is_some() || expired || suspended {
            return Err(Error::BadCredential);
        }
        let until = stored
            .expires_at
            .unwrap_or(now.plus(MEMORY))
            .min(now.plus(MEMORY));
        let principal = Principal {
            tenant: parts.tenant,
            actor: Actor::ApiKey {
                key: id,
                name: stored.name,
                scopes: stored.scopes,
            },
            roles: Vec::new(),
        };
        Ok(self.remember(key, principal, until, version))
    }

    /// Forgets what was found good: a key that proved it is gone.
    pub fn forget(&self) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.clear();
    }

    fn recall(&self, key: &[u8; 32], now: Timestamp, version: u64) -> Option<Arc<Principal>> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let found = memory.get(key)?;
        (found.until > now && found.version == version).then(|| Arc::clone(&found.principal))
    }

    fn remember(
        &self,
        key: [u8; 32],
        principal: Principal,
        until: Timestamp,
        version: u64,
    ) -> Arc<Principal> {
        let principal = Arc::new(principal);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= MOST {
            memory.clear();
        }
        memory.insert(
            key,
            Remembered {
                principal: Arc::clone(&principal),
                until,
                version,
            },
        );
        principal
    }
}

fn principal_of(claims: Claims) -> Principal {
    Principal {
        tenant: claims.tid,
        actor: Actor::User {
            user: claims.sub,
            session: claims.sid,
            username: claims.name,
            authenticated_at: Timestamp::from_unix_seconds(claims.auth_time),
        },
        roles: claims.roles,
    }
}
