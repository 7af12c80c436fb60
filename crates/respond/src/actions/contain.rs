//! What each containment changes, and what undoes it. Runs inside the action's own transaction.

use std::net::IpAddr;

use hub_base::{ApiKeyId, ErrorKind, Timestamp, UserId};
use hub_store::WriteTx;
use ipnet::IpNet;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Action, Kind};
use crate::accounts::repo as accounts;
use crate::error::Error;
use crate::{blocks, protected};

/// How an attempt ended, if nothing broke.
#[derive(Debug)]
pub(super) enum Outcome {
    Applied {
        effect: Value,
        until: Option<Timestamp>,
    },
    /// Not done, on purpose.
    Skipped(String),
}

impl Outcome {
    pub(super) fn applied(effect: Value) -> Self {
        Self::Applied {
            effect,
            until: None,
        }
    }
}

/// Contains the action's target, unless it is protected (an operator's own action may).
pub(super) async fn contain(
    tx: &mut WriteTx,
    action: &Action,
    own: &[IpNet],
) -> Result<Outcome, Error> {
    if !action.manual
        && let Some(reason) = protected::guard(tx, action, own).await?
    {
        return Ok(Outcome::Skipped(format!("protected: {reason}")));
    }
    let until = action.ttl.map(|ttl| tx.now().plus(ttl));
    match action.kind {
        Kind::BlockAddress => block(tx, action, until).await,
        Kind::LockAccount => lock(tx, action, until).await,
        Kind::EndSessions => end_sessions(tx, action).await,
        Kind::RevokeApiKey => revoke_key(tx, action).await,
        Kind::PreserveEvidence | Kind::Notify => Ok(Outcome::Skipped("no containment".to_owned())),
    }
}

async fn block(
    tx: &mut WriteTx,
    action: &Action,
    until: Option<Timestamp>,
) -> Result<Outcome, Error> {
    let Some(network) = parse_network(&action.target.value) else {
        return Ok(Outcome::Skipped(format!(
            "`{}` is not an address",
            action.target.value
        )));
    };
    let block = blocks::add(tx, action, network, until).await?;
    Ok(Outcome::Applied {
        effect: json!({"block": block, "network": network.to_string()}),
        until,
    })
}

async fn lock(
    tx: &mut WriteTx,
    action: &Action,
    until: Option<Timestamp>,
) -> Result<Outcome, Error> {
    let Ok(user) = action.target.value.parse::<UserId>() else {
        return Ok(not_ours(action));
    };
    // False if somebody had locked it before: then it is not ours to unlock.
    match hub_identity::users::lock_in(tx, user, &action.reason).await {
        Ok(locked) => Ok(Outcome::Applied {
            effect: json!({"locked": locked}),
            until,
        }),
        Err(error) => gone(action, error),
    }
}

/// Ends every session of a user. Whoever holds one stolen session may hold others: a session as target means
/// all of its user's.
async fn end_sessions(tx: &mut WriteTx, action: &Action) -> Result<Outcome, Error> {
    let Ok(id) = Uuid::parse_str(&action.target.value) else {
        return Ok(not_ours(action));
    };
    let Some((user, _)) = accounts::owner(tx, id).await? else {
        return Ok(not_ours(action));
    };
    match hub_identity::sessions::revoke_all_in(tx, user, &action.reason).await {
        Ok(ended) => {
            let ids: Vec<String> = ended.iter().take(100).map(ToString::to_string).collect();
            Ok(Outcome::applied(
                json!({"user": user, "ended": ended.len(), "sessions": ids}),
            ))
        }
        Err(error) => gone(action, error),
    }
}

async fn revoke_key(tx: &mut WriteTx, action: &Action) -> Result<Outcome, Error> {
    let Ok(key) = action.target.value.parse::<ApiKeyId>() else {
        return Ok(not_ours(action));
    };
    match hub_identity::keys::revoke_in(tx, key, &action.reason).await {
        Ok(revoked) => Ok(Outcome::applied(json!({"revoked": revoked}))),
        Err(error) => gone(action, error),
    }
}

fn not_ours(action: &Action) -> Outcome {
    Outcome::Skipped(format!(
        "`{}` is not a {} of this hub",
        action.target.value, action.target.kind
    ))
}

/// A target that is no longer there needs no containment; any other fault is one.
fn gone(action: &Action, error: hub_identity::Error) -> Result<Outcome, Error> {
    if error.kind() == ErrorKind::NotFound {
        Ok(not_ours(action))
    } else {
        Err(error.into())
    }
}

/// Undoes an applied action; returns what that means, for the timeline and the act.
pub(super) async fn undo(
    tx: &mut WriteTx,
    action: &Action,
    reason: &str,
) -> Result<&'static str, Error> {
    match action.kind {
        Kind::BlockAddress => {
            blocks::remove(tx, action).await?;
            Ok("the address is let in again, unless another incident blocks it")
        }
        Kind::LockAccount => unlock(tx, action, reason).await,
        Kind::EndSessions => Ok("the user may sign in again; sessions that were ended stay ended"),
        Kind::RevokeApiKey => restore_key(tx, action, reason).await,
        Kind::PreserveEvidence => Err(Error::Irreversible {
            what: "preserved evidence",
            why: "evidence is kept",
        }),
        Kind::Notify => Err(Error::Irreversible {
            what: "a notification",
            why: "it was sent",
        }),
    }
}

async fn unlock(tx: &mut WriteTx, action: &Action, reason: &str) -> Result<&'static str, Error> {
    if !is_ours(action, "locked") {
        return Ok("the account was locked before this action, and stays so");
    }
    if pass_on(tx, action, "locked").await? {
        return Ok("the account stays locked: another incident needs it so");
    }
    let Ok(user) = action.target.value.parse::<UserId>() else {
        return Ok("the account is not one of this hub");
    };
    match hub_identity::users::unlock_in(tx, user, reason).await {
        Ok(true) => Ok("the account is unlocked"),
        Ok(false) => Ok("the account had been unlocked already"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok("the account is no longer there"),
        Err(error) => Err(error.into()),
    }
}

async fn restore_key(
    tx: &mut WriteTx,
    action: &Action,
    reason: &str,
) -> Result<&'static str, Error> {
    if !is_ours(action, "revoked") {
        return Ok("the key was revoked before this action, and stays so");
    }
    if pass_on(tx, action, "revoked").await? {
        return Ok("the key stays revoked: another incident needs it so");
    }
    let Ok(key) = action.target.value.parse::<ApiKeyId>() else {
        return Ok("the key is not one of this hub");
    };
    match hub_identity::keys::restore_in(tx, key, reason).await {
        Ok(true) => Ok("the key counts again; if its secret leaked, replace it"),
        Ok(false) => Ok("the key had been restored already"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok("the key is no longer there"),
        Err(error) => Err(error.into()),
    }
}

/// Whether the action itself brought the state about (`locked`, `revoked`), or found it.
fn is_ours(action: &Action, state: &str) -> bool {
    action.effect.get(state) == Some(&Value::Bool(true))
}

/// Hands the state over to another applied action on the same target, if there is one, so that whoever is
/// released last undoes it.
async fn pass_on(tx: &mut WriteTx, action: &Action, state: &'static str) -> Result<bool, Error> {
    let Some(other) = super::repo::other_applied(tx, action).await? else {
        return Ok(false);
    };
    super::repo::set_effect(tx, other, &json!({state: true})).await?;
    Ok(true)
}

/// A single address or a CIDR, normalised.
pub(crate) fn parse_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>()
        .map(|network| network.trunc())
        .or_else(|_| {
            text.parse::<IpAddr>()
                .map(|address| IpNet::from(address.to_canonical()))
        })
        .ok()
}
