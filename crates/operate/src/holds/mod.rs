//! Legal holds: what they cover is not removed until they are released, whatever the retention policy says. A tenant holds
//! its own; operators hold any tenant, or everything.

mod repo;

use hub_base::{Actor, HoldId, TenantId, Timestamp};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, Store, Tx};

use crate::error::Error;

/// OCSF's `activity_id` of an entity's creation and its update (class 3004).
const CREATE: u8 = 1;
const UPDATE: u8 = 3;

/// A hold, in force or released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: HoldId,
    /// `None`: everything.
    pub covers: Option<TenantId>,
    pub reason: String,
    pub placed_by: String,
    pub placed_at: Timestamp,
    pub released_at: Option<Timestamp>,
}

/// What a hold is to cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    Tenant(TenantId),
    Everything,
}

/// Places a hold. When this returns, nothing that it covers is being removed any more.
///
/// # Errors
/// [`Error::Record`] for the reason, or for covering others without being an operator.
pub async fn place(cx: &Cx, covers: Covers, reason: &str) -> Result<Hold, Error> {
    let fault = |field, what: &str| Error::Record {
        field,
        what: what.to_owned(),
    };
    if !(1..=500).contains(&reason.chars().count()) {
        return Err(fault("reason", "use 1 to 500 characters"));
    }
    if cx.tenant() != TenantId::SYSTEM && covers != Covers::Tenant(cx.tenant()) {
        return Err(fault("covers", "only operators hold what is not their own"));
    }
    let hold = Hold {
        id: HoldId::new(&**cx.clock()),
        covers: match covers {
            Covers::Tenant(tenant) => Some(tenant),
            Covers::Everything => None,
        },
        reason: reason.to_owned(),
        placed_by: who(cx),
        placed_at: cx.now(),
        released_at: None,
    };
    let mut tx = cx.write().await?;
    repo::wait_for_removals(&mut tx).await?;
    repo::insert(&mut tx, &hold).await?;
    tx.commit(act("hold.place", CREATE, &hold, reason)).await?;
    Ok(hold)
}

/// Releases it; nothing to do if it was.
///
/// # Errors
/// [`Error::Record`] if there is no such hold, or no reason.
pub async fn release(cx: &Cx, id: HoldId, reason: &str) -> Result<(), Error> {
    let mut tx = cx.write().await?;
    let found = repo::all(&mut tx).await?.into_iter();
    let hold = { found }.find(|hold| hold.id == id);
    let hold = hold.ok_or_else(|| Error::UnknownHold(id))?;
    if hold.released_at.is_some() {
        return Ok(());
    }
    repo::release(&mut tx, id, &who(cx), reason).await?;
    tx.commit(act("hold.release", UPDATE, &hold, reason))
        .await?;
    Ok(())
}

/// Every hold that the caller's tenant placed, newest first.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(cx: &Cx) -> Result<Vec<Hold>, Error> {
    Ok(repo::all(&mut *cx.read().await?).await?)
}

/// The reason why nothing of a tenant may be removed.
///
/// # Errors
/// [`Error::Store`].
pub async fn covering(store: &Store, tenant: TenantId) -> Result<Option<String>, Error> {
    for placed_by in [TenantId::SYSTEM, tenant] {
        let mut tx = store.read(placed_by).await?;
        let holds = repo::all(&mut tx).await?;
        let mut in_force = holds.into_iter().filter(|hold| hold.released_at.is_none());
        let covers = |hold: &Hold| hold.covers.is_none_or(|covered| covered == tenant);
        if let Some(hold) = in_force.find(covers) {
            return Ok(Some(hold.reason));
        }
    }
    Ok(None)
}

/// While this transaction lives, no hold is placed.
pub(crate) async fn keep_out(tx: &mut Tx) -> Result<(), Error> {
    Ok(repo::keep_out(tx).await?)
}

fn who(cx: &Cx) -> String {
    match &cx.principal.actor {
        Actor::User { username, .. } => username.clone(),
        Actor::ApiKey { name, .. } => format!("API key {name}"),
        Actor::System { component } => (*component).to_owned(),
        Actor::Anonymous => "nobody".to_owned(),
    }
}

fn act(operation: &'static str, activity: u8, hold: &Hold, reason: &str) -> Act {
    let covers = hold
        .covers
        .map_or("everything".to_owned(), |one| one.to_string());
    Act::new(operation, Class::EntityManagement, activity, "admin")
        .on(Subject::new("legal_hold", hold.id))
        .with("unmapped.hold.covers", covers)
        .with("unmapped.hold.reason", reason)
}
