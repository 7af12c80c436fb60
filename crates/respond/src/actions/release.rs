//! The way back: an operator's release, and the release of what was applied for a time.

use hub_base::{ActionId, IncidentId, TenantId};
use hub_store::{Cx, Store};

use super::run::{act, shown};
use super::{Action, State, contain, repo};
use crate::error::Error;
use crate::{incidents, timeline};

/// Longest reason, in characters.
pub(super) const REASON: usize = 500;

/// Undoes an applied action and records why. The incident's playbooks will not apply it again.
///
/// # Errors
/// [`Error::UnknownAction`], [`Error::NotReleasable`], [`Error::Irreversible`], [`Error::Invalid`].
pub async fn release(
    cx: &Cx,
    incident: IncidentId,
    action: ActionId,
    reason: &str,
) -> Result<Action, Error> {
    let reason = check_reason(reason)?;
    match undo(cx, incident, action, reason, Only::Applied).await? {
        Some(action) => Ok(action),
        None => Err(Error::UnknownAction(action)),
    }
}

/// Releases every action of the tenant whose time is over; returns how many.
///
/// # Errors
/// [`Error::Store`].
pub async fn expire(store: &Store, tenant: TenantId) -> Result<usize, Error> {
    let cx = Cx::system(store.clone(), tenant, "respond");
    let over = {
        let mut tx = cx.read().await?;
        repo::expired(&mut tx, 500).await?
    };
    let mut released = 0;
    for action in over {
        let reason = "its time is over";
        match undo(&cx, action.incident, action.id, reason, Only::Expired).await {
            Ok(Some(_)) => released += 1,
            // An operator was quicker.
            Ok(None) | Err(Error::NotReleasable { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(released)
}

pub(super) fn check_reason(reason: &str) -> Result<&str, Error> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Error::invalid("reason", "say why"));
    }
    if reason.chars().count() > REASON {
        return Err(Error::invalid(
            "reason",
            format!("longer than {REASON} characters"),
        ));
    }
    Ok(reason)
}

/// Which releases are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Applied,
    Expired,
}

impl Only {
    const fn cause(self) -> &'static str {
        match self {
            Self::Applied => "operator",
            Self::Expired => "expiry",
        }
    }
}

async fn undo(
    cx: &Cx,
    incident: IncidentId,
    id: ActionId,
    reason: &str,
    only: Only,
) -> Result<Option<Action>, Error> {
    let mut tx = cx.write().await?;
    if incidents::repo::lock(&mut tx, incident).await?.is_none() {
        return Ok(None);
    }
    let Some(mut action) = repo::lock(&mut tx, incident, id).await? else {
        return Ok(None);
    };
    if action.state != State::Applied {
        return Err(Error::NotReleasable {
            state: action.state.name(),
        });
    }
    let now = tx.now();
    if only == Only::Expired && action.until.is_none_or(|until| until > now) {
        return Ok(None);
    }
    let meaning = contain::undo(&mut tx, &action, reason).await?;
    repo::set_released(&mut tx, id, only.cause()).await?;
    let text = format!(
        "{} {}: released ({reason}); {meaning}",
        action.kind.name(),
        shown(&action)
    );
    let actor = timeline::actor_name(&cx.principal);
    timeline::repo::add(
        &mut tx,
        incident,
        now,
        timeline::Kind::Action,
        &actor,
        &text,
        &[],
    )
    .await?;
    let done = act("containment.release", 2, &action)
        .with("unmapped.action.release_reason", reason)
        .with("status_detail", meaning);
    tx.commit(done).await?;
    action.state = State::Released;
    action.released_at = Some(now);
    Ok(Some(action))
}
