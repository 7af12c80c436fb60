//! The first administrator: a one-time secret, shown once, lets one person enrol in the system tenant.

pub(crate) mod repo;

use hub_base::{TenantId, UserId};
use hub_store::{Cx, Store, WriteTx};
use hub_vault::Secret32;

use crate::acts;
use crate::credential;
use crate::error::Error;
use crate::hash_pool::HashPool;
use crate::users::{self, NewUser};

/// What an enrolment secret begins with.
pub const PREFIX: &str = "she_";

/// On the first start only: makes the one-time secret and returns its text. `None` ever after.
///
/// # Errors
/// [`Error::Store`].
pub async fn prepare(store: &Store) -> Result<Option<String>, Error> {
    let cx = Cx::system(store.clone(), TenantId::SYSTEM, "enrolment");
    let secret = Secret32::random()?;
    let mut tx = cx.write().await?;
    if !repo::insert_first(&mut tx, &secret.hash()).await? {
        return Ok(None);
    }
    tx.commit(acts::enrolment_issue()).await?;
    let system = TenantId::SYSTEM;
    Ok(Some(credential::encode(
        PREFIX,
        system,
        system.uuid(),
        &secret,
    )))
}

/// Enrols the first administrator. `grant` gives them their role within the same transaction.
///
/// # Errors
/// [`Error::BadEnrolment`] if the secret is not the one that waits, [`Error::Unfit`] for the fields.
pub async fn enrol(
    cx: &Cx,
    secret: &str,
    person: NewUser,
    pool: &HashPool,
    grant: impl AsyncFnOnce(&mut WriteTx, UserId) -> Result<(), hub_store::Error>,
) -> Result<UserId, Error> {
    let parts = credential::parse(secret.trim(), PREFIX).ok_or(Error::BadEnrolment)?;
    let hash = parts.secret.hash();
    {
        // Looked at before a password is hashed for a stranger.
        let mut tx = cx.read().await?;
        if !repo::waits(&mut tx, &hash).await? {
            return Err(Error::BadEnrolment);
        }
    }
    let prepared = users::prepare(cx, person, pool).await?;
    let mut tx = cx.write().await?;
    if !repo::spend(&mut tx, &hash).await? {
        return Err(Error::BadEnrolment);
    }
    let user = users::create_in(&mut tx, cx, prepared).await?;
    grant(&mut tx, user).await?;
    tx.commit_progress().await?;
    Ok(user)
}
