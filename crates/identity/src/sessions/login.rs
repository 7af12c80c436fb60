//! Signing in with a password. A stranger learns nothing but whether it worked, in the same time either way.

use std::net::IpAddr;
use std::time::Duration;

use hub_base::SessionId;
use hub_store::Cx;
use hub_vault::{Secret32, TokenVerifier};

use super::{SESSION_TTL, Tokens, access_token, repo};
use crate::acts::{self, Refusal};
use crate::credential;
use crate::error::Error;
use crate::hash_pool::{Checked, HashPool};
use crate::throttle::Throttle;
use crate::users;

/// What a person types.
pub struct Login {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What signing in works with.
#[derive(Debug, Clone, Copy)]
pub struct LoginParts<'a> {
    pub pool: &'a HashPool,
    pub throttle: &'a Throttle,
    pub tokens: &'a TokenVerifier,
}

/// Signs a person in; `cx` is anonymous in the tenant they named. `roles` is asked for their role names.
///
/// # Errors
/// [`Error::BadLogin`] whatever was wrong, [`Error::TooMany`] with the time to wait, [`Error::Busy`].
pub async fn login(
    cx: &Cx,
    login: &Login,
    parts: LoginParts<'_>,
    roles: impl AsyncFnOnce(&Cx, hub_base::UserId) -> Vec<String>,
) -> Result<Tokens, Error> {
    let typed = login.username.trim().to_lowercase();
    let door = Door {
        throttle: parts.throttle,
        address: cx.origin.as_ref().map(|origin| origin.address),
        typed: &typed,
    };
    if let Err(retry_after) = door.admit(cx) {
        refuse(cx, None, &typed, Refusal::Throttled).await?;
        return Err(Error::TooMany { retry_after });
    }
    let judged = judge(cx, &typed, &login.password, parts.pool).await;
    let (user, checked) = judged.inspect_err(|_| door.abandoned(cx))?;
    let known = user.as_ref().map(|user| user.id);
    let (Some(user), true) = (user, checked.matches) else {
        door.failed(cx);
        refuse(cx, known, &typed, Refusal::InvalidCredentials).await?;
        return Err(Error::BadLogin);
    };
    if user.locked_at.is_some() {
        door.failed(cx);
        refuse(cx, known, &typed, Refusal::AccountLocked).await?;
        return Err(Error::BadLogin);
    }
    door.succeeded(cx);
    let fresh_phc = if checked.stale {
        Some(parts.pool.hash(cx.tenant(), &login.password).await?)
    } else {
        None
    };
    let roles = roles(cx, user.id).await;
    begin(cx, &user, fresh_phc, parts.tokens, roles).await
}

/// The throttle as one attempt sees it; where no address is known there is nothing to slow down.
struct Door<'a> {
    throttle: &'a Throttle,
    address: Option<IpAddr>,
    typed: &'a str,
}

impl Door<'_> {
    fn admit(&self, cx: &Cx) -> Result<(), Duration> {
        let Some(address) = self.address else {
            return Ok(());
        };
        self.throttle
            .admit(cx.tenant(), address, self.typed, cx.now())
    }

    fn failed(&self, cx: &Cx) {
        if let Some(address) = self.address {
            self.throttle.failed(cx.tenant(), address, cx.now());
        }
    }

    fn succeeded(&self, cx: &Cx) {
        if let Some(address) = self.address {
            self.throttle.succeeded(cx.tenant(), address, self.typed);
        }
    }

    fn abandoned(&self, cx: &Cx) {
        if let Some(address) = self.address {
            self.throttle.abandoned(cx.tenant(), address, self.typed);
        }
    }
}

/// The account that was named, if there is one, and whether the password is its own: the same work either way.
async fn judge(
    cx: &Cx,
    typed: &str,
    password: &str,
    pool: &HashPool,
) -> Result<(Option<users::User>, Checked), Error> {
    let (user, phc) = {
        let mut tx = cx.read().await?;
        users::with_phc(&mut tx, typed).await?.unzip()
    };
    let checked = pool.check(cx.tenant(), password, phc.as_deref()).await?;
    Ok((user, checked))
}

async fn begin(
    cx: &Cx,
    user: &users::User,
    fresh_phc: Option<String>,
    signer: &TokenVerifier,
    roles: Vec<String>,
) -> Result<Tokens, Error> {
    let session = SessionId::new(&**cx.clock());
    let (secret, refresh) = (Secret32::random()?, Secret32::random()?);
    let access = access_token(
        cx,
        signer,
        user.id,
        &user.username,
        session,
        cx.now(),
        roles,
    )?;
    let mut tx = cx.write().await?;
    let begun = repo::Begun {
        id: session,
        user: user.id,
        secret: secret.hash(),
        refresh: refresh.hash(),
        expires_at: cx.now().plus(SESSION_TTL),
        origin: cx.origin.as_deref(),
    };
    // A lock may have fallen while the password was hashed.
    if !repo::begin(&mut tx, begun).await? {
        let act = acts::session_refuse(Some(user.id), &user.username, Refusal::AccountLocked);
        tx.commit(act).await?;
        return Err(Error::BadLogin);
    }
    if let Some(phc) = fresh_phc {
        users::repo::set_phc(&mut tx, user.id, &phc).await?;
    }
    tx.commit(acts::session_begin(user.id, &user.username, session))
        .await?;
    Ok(Tokens {
        user: user.id,
        session,
        access,
        refresh: credential::refresh(cx.tenant(), session, &refresh),
        cookie: Some(credential::cookie(cx.tenant(), session, &secret)),
    })
}

async fn refuse(
    cx: &Cx,
    user: Option<hub_base::UserId>,
    typed: &str,
    why: Refusal,
) -> Result<(), Error> {
    cx.write()
        .await?
        .commit(acts::session_refuse(user, typed, why))
        .await?;
    Ok(())
}

/// Records that a sign-in from a blocked address was turned away at the door.
///
/// # Errors
/// [`Error::Store`].
pub async fn refuse_blocked(cx: &Cx, typed: &str) -> Result<(), Error> {
    refuse(cx, None, typed, Refusal::AddressBlocked).await
}
