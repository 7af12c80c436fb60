//! What an operator orders by hand. It may touch what is protected, and what was released before.

use std::time::Duration;

use hub_base::{ActionId, ApiKeyId, IncidentId, SessionId, UserId};
use hub_store::Cx;
use ipnet::IpNet;
use tokio::time::{sleep, timeout};

use super::release::check_reason;
use super::{Action, Deps, Draft, Kind, State, Target, contain, repo, run};
use crate::error::Error;
use crate::{incidents, timeline};

/// For another worker that has the action in hand, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// An operator's order.
#[derive(Debug, Clone)]
pub struct Request {
    pub kind: Kind,
    /// An address or CIDR, a user's, a session's (`session:…`) or a key's id; nothing for evidence and
    /// notification.
    pub target: String,
    pub ttl: Option<Duration>,
    pub reason: String,
}

/// Orders an action and does it at once; returns how it stands then.
///
/// # Errors
/// [`Error::UnknownIncident`], [`Error::Invalid`], [`Error::ActionExists`] if it waits or stands already.
pub async fn apply_manual(
    cx: &Cx,
    incident: IncidentId,
    request: Request,
    deps: &Deps,
) -> Result<Action, Error> {
    let reason = check_reason(&request.reason)?.to_owned();
    let mut tx = cx.write().await?;
    let case = incidents::repo::lock(&mut tx, incident)
        .await?
        .ok_or(Error::UnknownIncident(incident))?;
    let fresh = ActionId::new(&**cx.clock());
    let draft = Draft {
        kind: request.kind,
        target: target(cx, &request, fresh)?,
        playbook: None,
        reason,
        ttl: ttl(&request)?,
    };
    let Some(id) = repo::queue_manual(&mut tx, fresh, incident, &draft).await? else {
        return Err(Error::ActionExists {
            target: draft.target.value,
            state: "waiting or applied",
        });
    };
    let actor = timeline::actor_name(&cx.principal);
    let text = format!(
        "{} {}: ordered ({})",
        draft.kind.name(),
        draft.target.value,
        draft.reason
    );
    let (now, kind) = (tx.now(), timeline::Kind::Action);
    timeline::repo::add(&mut tx, incident, now, kind, &actor, &text, &[]).await?;
    let ordered = incidents::act("incident.update", 2, &case)
        .with("unmapped.action.uid", id.to_string())
        .with("unmapped.action.kind", draft.kind.name())
        .with("unmapped.action.target.value", draft.target.value.as_str())
        .with("comment", draft.reason.as_str());
    tx.commit(ordered).await?;
    // Who is still not done by then is told how it stands.
    if let Ok(settled) = timeout(PATIENCE, settled(cx, incident, id, deps)).await {
        return settled;
    }
    look(cx, incident, id).await
}

/// The action once its first try is over: another worker may have taken it in the meantime.
async fn settled(
    cx: &Cx,
    incident: IncidentId,
    id: ActionId,
    deps: &Deps,
) -> Result<Action, Error> {
    loop {
        run::run_pending(&cx.store, cx.tenant(), deps).await?;
        let action = look(cx, incident, id).await?;
        let waits = action.state == State::Pending && action.attempts == 0;
        if !waits && action.state != State::Applying {
            return Ok(action);
        }
        sleep(LOOK).await;
    }
}

async fn look(cx: &Cx, incident: IncidentId, id: ActionId) -> Result<Action, Error> {
    let mut tx = cx.write().await?;
    repo::lock(&mut tx, incident, id)
        .await?
        .ok_or(Error::UnknownAction(id))
}

fn ttl(request: &Request) -> Result<Option<Duration>, Error> {
    let Some(ttl) = request.ttl else {
        return Ok(None);
    };
    if !matches!(request.kind, Kind::BlockAddress | Kind::LockAccount) {
        return Err(Error::invalid(
            "ttl",
            format!("`{}` has no end in time", request.kind.name()),
        ));
    }
    if ttl < Duration::from_millis(1) || ttl > Duration::from_hours(365 * 24) {
        return Err(Error::invalid("ttl", "not between 1ms and 365d"));
    }
    Ok(Some(ttl))
}

fn target(cx: &Cx, request: &Request, fresh: ActionId) -> Result<Target, Error> {
    let text = request.target.trim();
    let make = |kind: &str, value: String| Target {
        kind: kind.to_owned(),
        value,
        name: None,
    };
    let not = |what| Error::invalid("target", format!("`{text}` is not {what}"));
    match request.kind {
        Kind::BlockAddress => Ok(make("address", address(cx, text)?)),
        Kind::LockAccount => {
            let user: UserId = text.parse().map_err(|_| not("a user's id"))?;
            Ok(make("user", user.to_string()))
        }
        Kind::EndSessions => {
            if let Some(session) = text.strip_prefix("session:") {
                let session: SessionId = session.parse().map_err(|_| not("a session's id"))?;
                return Ok(make("session", session.to_string()));
            }
            let user: UserId = text.parse().map_err(|_| not("a user's id"))?;
            Ok(make("user", user.to_string()))
        }
        Kind::RevokeApiKey => {
            let key: ApiKeyId = text.parse().map_err(|_| not("an API key's id"))?;
            Ok(make("api_key", key.to_string()))
        }
        // Each order is its own: evidence may be collected, and people told, again.
        Kind::PreserveEvidence | Kind::Notify => Ok(make("incident", fresh.to_string())),
    }
}

/// An address as a block's target; refuses what would shut out a large part of the world, or the one who asks.
fn address(cx: &Cx, text: &str) -> Result<String, Error> {
    let network = contain::parse_network(text)
        .ok_or_else(|| Error::invalid("target", format!("`{text}` is not an address or a CIDR")))?;
    let narrowest_allowed = match network {
        IpNet::V4(_) => 16,
        IpNet::V6(_) => 32,
    };
    if network.prefix_len() < narrowest_allowed {
        let why = format!("`{network}` is too wide (at most /{narrowest_allowed})");
        return Err(Error::invalid("target", why));
    }
    if let Some(origin) = &cx.origin
        && network.contains(&origin.address.to_canonical())
    {
        return Err(Error::invalid(
            "target",
            format!("`{network}` holds your own address"),
        ));
    }
    let is_single = network.prefix_len() == network.max_prefix_len();
    Ok(if is_single {
        network.addr().to_string()
    } else {
        network.to_string()
    })
}
