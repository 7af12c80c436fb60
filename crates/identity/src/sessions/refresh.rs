//! Refresh tokens: each is good for one use; a second use betrays a theft and ends the session.

use hub_base::SessionId;
use hub_store::Cx;
use hub_vault::{Secret32, TokenVerifier};

use super::{Tokens, access_token, repo};
use crate::acts;
use crate::credential::{self, REFRESH_PREFIX};
use crate::error::Error;
use crate::users;

/// Trades a refresh token for new tokens; `cx` is anonymous in the token's tenant.
///
/// # Errors
/// [`Error::BadCredential`] if it is unknown, used, or its session has ended.
pub async fn refresh(
    cx: &Cx,
    token: &str,
    signer: &TokenVerifier,
    roles: impl AsyncFnOnce(&Cx, hub_base::UserId) -> Vec<String>,
) -> Result<Tokens, Error> {
    let parts = credential::parse(token, REFRESH_PREFIX)
        .filter(|parts| parts.tenant == cx.tenant())
        .ok_or(Error::BadCredential)?;
    let id = SessionId::from_uuid(parts.id);
    let hash = parts.secret.hash();
    let mut tx = cx.write().await?;
    let Some(used) = repo::lock_refresh(&mut tx, id, &hash).await? else {
        return Err(Error::BadCredential);
    };
    let session = super::show(&mut tx, id)
        .await
        .map_err(|_| Error::BadCredential)?;
    let user = users::repo::by_id(&mut tx, session.user)
        .await?
        .ok_or(Error::BadCredential)?;
    if used.is_some() {
        repo::end(&mut tx, &[id], "refresh token used twice").await?;
        tx.commit(acts::token_replay(user.id, &user.username, id))
            .await?;
        return Err(Error::BadCredential);
    }
    if session.ended_at.is_some() || session.expires_at <= cx.now() || user.locked_at.is_some() {
        return Err(Error::BadCredential);
    }
    let fresh = Secret32::random()?;
    repo::use_refresh(&mut tx, &hash).await?;
    repo::insert_refresh(&mut tx, id, &fresh.hash()).await?;
    repo::touch(&mut tx, id).await?;
    tx.commit(acts::token_refresh(user.id, &user.username, id))
        .await?;
    let roles = roles(cx, user.id).await;
    let access = access_token(
        cx,
        signer,
        user.id,
        &user.username,
        id,
        session.created_at,
        roles,
    )?;
    Ok(Tokens {
        user: user.id,
        session: id,
        access,
        refresh: credential::refresh(cx.tenant(), id, &fresh),
        cookie: None,
    })
}
