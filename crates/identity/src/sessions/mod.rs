//! Sessions: signing in, refreshing tokens, signing out, revoking.

mod login;
mod refresh;
pub(crate) mod repo;

use std::time::Duration;

use hub_base::{SessionId, Timestamp, UserId};
use hub_store::{Cx, Tx, WriteTx};
use hub_vault::{Claims, TokenVerifier};

use crate::acts;
use crate::error::Error;
use crate::users;

pub use login::{Login, LoginParts, login, refuse_blocked};
pub use refresh::refresh;

/// How long an access token is good for.
pub const ACCESS_TOKEN_TTL: Duration = Duration::from_mins(5);
/// How long a session lives at most.
pub const SESSION_TTL: Duration = Duration::from_hours(12);
/// How long a session may be idle.
pub const IDLE_TTL: Duration = Duration::from_hours(2);

/// One sign-in of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
}

/// What a person holds after signing in or refreshing. The texts are secrets.
#[derive(Clone)]
pub struct Tokens {
    pub user: UserId,
    pub session: SessionId,
    pub access: String,
    pub refresh: String,
    /// The session cookie's value; `None` when only tokens were refreshed.
    pub cookie: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

pub(crate) fn access_token(
    cx: &Cx,
    signer: &TokenVerifier,
    user: UserId,
    username: &str,
    session: SessionId,
    authenticated_at: Timestamp,
    roles: Vec<String>,
) -> Result<String, Error> {
    let now = cx.now();
    Ok(signer.sign(&Claims {
        iss: signer.issuer().to_owned(),
        aud: signer.issuer().to_owned(),
        sub: user,
        sid: session,
        tid: cx.tenant(),
        name: username.to_owned(),
        roles,
        auth_time: authenticated_at.unix_seconds(),
        iat: now.unix_seconds(),
        exp: now.plus(ACCESS_TOKEN_TTL).unix_seconds(),
        jti: hub_base::RequestId::new(&**cx.clock()).to_string(),
    })?)
}

/// Sessions of one person (or of everybody), newest first, at most 500.
pub async fn list(cx: &Cx, user: Option<UserId>) -> Result<Vec<Session>, Error> {
    let mut tx = cx.read().await?;
    Ok(repo::list(&mut tx, user, 500).await?)
}

/// One session.
///
/// # Errors
/// [`Error::Unknown`].
pub async fn show(tx: &mut Tx, id: SessionId) -> Result<Session, Error> {
    repo::by_id(tx, id).await?.ok_or(Error::Unknown("session"))
}

/// Ends the caller's own session.
///
/// # Errors
/// [`Error::Unknown`] if the caller has none.
pub async fn logout(cx: &Cx) -> Result<(), Error> {
    let id = cx.principal.session().ok_or(Error::Unknown("session"))?;
    let mut tx = cx.write().await?;
    let session = show(&mut tx, id).await?;
    let user = users::repo::by_id(&mut tx, session.user)
        .await?
        .ok_or(Error::Unknown("user"))?;
    repo::end(&mut tx, &[id], "signed out").await?;
    tx.commit(acts::session_end(session.user, &user.username, id))
        .await?;
    Ok(())
}

/// Ends one session of anybody in the tenant.
///
/// # Errors
/// [`Error::Unknown`].
pub async fn revoke(cx: &Cx, id: SessionId, reason: &str) -> Result<(), Error> {
    let mut tx = cx.write().await?;
    let session = show(&mut tx, id).await?;
    if session.ended_at.is_none() {
        let user = users::repo::by_id(&mut tx, session.user)
            .await?
            .ok_or(Error::Unknown("user"))?;
        repo::end(&mut tx, &[id], reason).await?;
        tx.commit(acts::session_revoke(
            session.user,
            &user.username,
            &[id],
            reason,
        ))
        .await?;
    }
    Ok(())
}

/// Ends all live sessions of a person within a transaction and records the act; returns which.
///
/// # Errors
/// [`Error::Unknown`] if there is no such person.
pub async fn revoke_all_in(
    tx: &mut WriteTx,
    user: UserId,
    reason: &str,
) -> Result<Vec<SessionId>, Error> {
    revoke_others_in(tx, user, None, reason).await
}

/// As [`revoke_all_in`], but for the session `kept`.
///
/// # Errors
/// [`Error::Unknown`].
pub(crate) async fn revoke_others_in(
    tx: &mut WriteTx,
    user: UserId,
    kept: Option<SessionId>,
    reason: &str,
) -> Result<Vec<SessionId>, Error> {
    let person = users::repo::by_id(tx, user)
        .await?
        .ok_or(Error::Unknown("user"))?;
    let mut live = repo::live_of(tx, user).await?;
    live.retain(|session| Some(*session) != kept);
    if !live.is_empty() {
        repo::end(tx, &live, reason).await?;
        tx.record(acts::session_revoke(user, &person.username, &live, reason))
            .await?;
    }
    Ok(live)
}
