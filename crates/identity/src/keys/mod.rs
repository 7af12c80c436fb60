//! API keys: programs' credentials, shown once, stored as a hash, limited to scopes.

pub(crate) mod repo;

use std::time::Duration;

use hub_base::{ApiKeyId, Timestamp, UserId};
use hub_store::{Cx, Tx, WriteTx};
use hub_vault::Secret32;

use crate::acts;
use crate::credential;
use crate::error::Error;

/// An API key as it is listed; the secret is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// Permission names.
    pub scopes: Vec<String>,
    pub created_by: Option<UserId>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Makes a key; the text is shown this once. The caller has checked that it may grant the scopes.
///
/// # Errors
/// [`Error::Unfit`] for the name.
pub async fn create(
    cx: &Cx,
    name: &str,
    scopes: Vec<String>,
    expires_at: Option<Timestamp>,
) -> Result<(ApiKeyId, String), Error> {
    if !(1..=200).contains(&name.chars().count()) {
        return Err(Error::Unfit {
            field: "name",
            why: "use 1 to 200 characters".into(),
        });
    }
    let id = ApiKeyId::new(&**cx.clock());
    let secret = Secret32::random()?;
    let mut tx = cx.write().await?;
    let key = ApiKey {
        id,
        name: name.to_owned(),
        scopes,
        created_by: cx.principal.user(),
        created_at: cx.now(),
        expires_at,
        revoked_at: None,
    };
    repo::insert(&mut tx, &key, &secret.hash()).await?;
    tx.commit(acts::api_key_create(id, name, &key.scopes))
        .await?;
    Ok((id, credential::api_key(cx.tenant(), id, &secret)))
}

/// Makes a key that takes another's place: the same name and scopes, as long-lived as it was to be. The other one is good for
/// `overlap` more, so that whoever uses it can go over. The caller has checked that it may grant the scopes.
///
/// # Errors
/// [`Error::Unknown`] if there is no such key, or it is revoked or expired.
pub async fn rotate(cx: &Cx, id: ApiKeyId, overlap: Duration) -> Result<(ApiKeyId, String), Error> {
    let mut tx = cx.write().await?;
    let now = tx.now();
    let former = repo::by_id(&mut tx, id)
        .await?
        .filter(|key| key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now))
        .ok_or(Error::Unknown("API key"))?;
    let fresh = ApiKeyId::new(&**cx.clock());
    let secret = Secret32::random()?;
    let lifetime = former.expires_at.map(|at| at.since(former.created_at));
    let until = now.plus(overlap);
    let until = former.expires_at.map_or(until, |at| at.min(until));
    let key = ApiKey {
        id: fresh,
        created_by: cx.principal.user(),
        created_at: now,
        expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
        ..former
    };
    repo::insert(&mut tx, &key, &secret.hash()).await?;
    repo::set_expiry(&mut tx, id, until).await?;
    tx.record(acts::api_key_expire(id, &key.name, until))
        .await?;
    tx.commit(acts::api_key_create(fresh, &key.name, &key.scopes))
        .await?;
    Ok((fresh, credential::api_key(cx.tenant(), fresh, &secret)))
}

/// All keys, newest first, at most 500.
pub async fn list(cx: &Cx) -> Result<Vec<ApiKey>, Error> {
    let mut tx = cx.read().await?;
    Ok(repo::list(&mut tx).await?)
}

pub async fn by_id(tx: &mut Tx, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    Ok(repo::by_id(tx, id).await?)
}

/// Keys that a person made at or after a time: what an intruder may have left behind.
pub async fn created_by_since(
    tx: &mut Tx,
    user: UserId,
    since: Timestamp,
) -> Result<Vec<ApiKeyId>, Error> {
    Ok(repo::created_by_since(tx, user, since).await?)
}

/// # Errors
/// [`Error::Unknown`].
pub async fn revoke(cx: &Cx, id: ApiKeyId, reason: &str) -> Result<(), Error> {
    let mut tx = cx.write().await?;
    revoke_in(&mut tx, id, reason).await?;
    tx.commit_progress().await?;
    Ok(())
}

/// Revokes within a transaction and records the act; false if it was revoked already.
///
/// # Errors
/// [`Error::Unknown`].
pub async fn revoke_in(tx: &mut WriteTx, id: ApiKeyId, reason: &str) -> Result<bool, Error> {
    let key = repo::by_id(tx, id)
        .await?
        .ok_or(Error::Unknown("API key"))?;
    if key.revoked_at.is_some() {
        return Ok(false);
    }
    repo::set_revoked(tx, id, Some(reason)).await?;
    tx.record(acts::api_key_revoke(id, &key.name, reason))
        .await?;
    Ok(true)
}

/// Takes a revocation back within a transaction and records the act; false if the key was not revoked.
///
/// # Errors
/// [`Error::Unknown`].
pub async fn restore_in(tx: &mut WriteTx, id: ApiKeyId, reason: &str) -> Result<bool, Error> {
    let key = repo::by_id(tx, id)
        .await?
        .ok_or(Error::Unknown("API key"))?;
    if key.revoked_at.is_none() {
        return Ok(false);
    }
    repo::set_revoked(tx, id, None).await?;
    tx.record(acts::api_key_restore(id, &key.name, reason))
        .await?;
    Ok(true)
}
