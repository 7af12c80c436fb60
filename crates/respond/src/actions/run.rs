//! The executor: takes what is due, does it once, and says so.

use std::time::Duration;

use hub_base::{TenantId, chain};
use hub_events::{Act, Class, Outcome as Status, Severity, Subject};
use hub_store::{Cx, Store, WriteTx};
use serde_json::json;

use super::contain::{self, Outcome};
use super::{Action, Deps, Kind, State, backoff, repo};
use crate::error::Error;
use crate::{evidence, incidents, notify, timeline};

/// How long a worker may hold an action before another takes it over: one killed in the middle of it delays the
/// containment by so much. An action is one short transaction, and a holder that overslept finds another count.
const LEASE: Duration = Duration::from_secs(4);
/// Actions that one worker holds at once.
const BATCH: i64 = 16;
const ACTOR: &str = "security hub (respond)";

/// Takes every due action of the tenant until none is left: evidence, then containment, then notification of
/// each incident. Returns how many ended (applied or skipped). Any number of workers may run this at once.
///
/// # Errors
/// [`Error::Store`]. An action's own fault is kept with the action, which is tried again later.
pub async fn run_pending(store: &Store, tenant: TenantId, deps: &Deps) -> Result<usize, Error> {
    let cx = Cx::system(store.clone(), tenant, "respond");
    let mut ended = 0;
    loop {
        let mut tx = cx.write().await?;
        let mut claimed = repo::claim(&mut tx, LEASE, BATCH).await?;
        if claimed.is_empty() {
            return Ok(ended);
        }
        tx.commit_progress().await?;
        claimed.sort_by_key(|action| (action.kind.phase(), action.requested_at, action.id));
        for action in &claimed {
            match apply(&cx, action, deps).await {
                Ok(true) => ended += 1,
                // Another worker took it over.
                Ok(false) => {}
                Err(error) => give_back(&cx, action, deps, &error).await?,
            }
        }
    }
}

/// Does one claimed action. The change, the action's new state and the acts commit together.
async fn apply(cx: &Cx, action: &Action, deps: &Deps) -> Result<bool, Error> {
    let mut tx = cx.write().await?;
    let incident = incidents::repo::lock(&mut tx, action.incident)
        .await?
        .ok_or(Error::UnknownIncident(action.incident))?;
    // INVARIANT: only the holder of this try goes on; a worker that slept past its lease finds another count.
    if !repo::lock_claimed(&mut tx, action).await? {
        return Ok(false);
    }
    let outcome = match action.kind {
        Kind::PreserveEvidence => {
            Outcome::applied(evidence::preserve(&mut tx, &incident, action).await?)
        }
        Kind::Notify => match notify::enqueue(&mut tx, &incident, action, &deps.config).await? {
            Some(effect) => Outcome::applied(effect),
            None => Outcome::Skipped("no notification channel is configured".to_owned()),
        },
        _ => contain::contain(&mut tx, action, &deps.config.protected_addresses).await?,
    };
    finish(&mut tx, action, &outcome).await?;
    incidents::settle(&mut tx, incident).await?;
    tx.commit_progress().await?;
    Ok(true)
}

/// Writes down how the action ended: its row, the timeline, the act.
async fn finish(tx: &mut WriteTx, action: &Action, outcome: &Outcome) -> Result<(), Error> {
    let (id, now) = (action.id, tx.now());
    match outcome {
        Outcome::Applied { effect, until } => {
            repo::finish(tx, id, State::Applied, effect, *until, None).await?;
            if !action.kind.is_containment() {
                // Evidence and notification wrote their own entries and acts.
                return Ok(());
            }
            let mut text = format!("{} {}: applied", action.kind.name(), shown(action));
            if let Some(until) = until {
                text = format!("{text} until {until}");
            }
            note(tx, action, &text).await?;
            let done =
                act("containment.apply", 1, action).with("unmapped.action.effect", effect.clone());
            let done = match until {
                Some(until) => done.with("unmapped.action.until", until.to_string()),
                None => done,
            };
            tx.record(done.with("start_time", now.unix_millis()))
                .await?;
        }
        Outcome::Skipped(why) => {
            repo::finish(tx, id, State::Skipped, &json!({}), None, Some(why)).await?;
            let text = format!("{} {}: skipped, {why}", action.kind.name(), shown(action));
            note(tx, action, &text).await?;
            tx.record(act("containment.skip", 99, action).with("status_detail", why.as_str()))
                .await?;
        }
    }
    Ok(())
}

/// After a fault: another try later, or, after the last, a failed action that the timeline shows.
async fn give_back(cx: &Cx, action: &Action, deps: &Deps, error: &Error) -> Result<(), Error> {
    let mut tx = cx.write().await?;
    let Some(incident) = incidents::repo::lock(&mut tx, action.incident).await? else {
        return Ok(());
    };
    let why = chain(error);
    let is_last = action.attempts >= i32::from(deps.config.attempts);
    let again = (!is_last).then(|| tx.now().plus(backoff(action.id.uuid(), action.attempts)));
    if !repo::give_back(&mut tx, action, again, &why).await? {
        return Ok(());
    }
    tracing::warn!(
        action.id = %action.id,
        action.kind = action.kind.name(),
        action.attempts = action.attempts,
        error = %why,
        "a response action failed"
    );
    if is_last {
        let text = format!(
            "{} {}: failed after {} tries ({why}); an operator must look",
            action.kind.name(),
            shown(action),
            action.attempts,
        );
        note(&mut tx, action, &text).await?;
        let failed = act("containment.apply", 1, action)
            .outcome(Status::Failure)
            .severity(Severity::High)
            .with("status_detail", why);
        tx.record(failed).await?;
        incidents::settle(&mut tx, incident).await?;
    }
    tx.commit_progress().await?;
    Ok(())
}

async fn note(tx: &mut WriteTx, action: &Action, text: &str) -> Result<(), Error> {
    let now = tx.now();
    let kind = timeline::Kind::Action;
    timeline::repo::add(tx, action.incident, now, kind, ACTOR, text, &[]).await
}

/// The target as people read it.
pub(crate) fn shown(action: &Action) -> &str {
    action
        .target
        .name
        .as_deref()
        .unwrap_or(&action.target.value)
}

/// The act of something done to, or undone at, an action's target. `activity`: 1 isolate, 2 evict, 99 other.
pub(crate) fn act(operation: &'static str, activity: u8, action: &Action) -> Act {
    let kind = match action.target.kind.as_str() {
        "user" => "user",
        "session" => "session",
        "address" => "address",
        "api_key" => "api_key",
        _ => "incident",
    };
    let uid = if kind == "incident" {
        action.incident.to_string()
    } else {
        action.target.value.clone()
    };
    let mut subject = Subject::new(kind, uid);
    subject.name.clone_from(&action.target.name);
    let act = Act::new(operation, Class::RemediationActivity, activity, "response")
        .on(subject)
        .with("command_uid", action.kind.name())
        .with("unmapped.incident.uid", action.incident.to_string())
        .with("unmapped.action.uid", action.id.to_string())
        .with("unmapped.action.kind", action.kind.name())
        .with("unmapped.action.target.kind", action.target.kind.as_str())
        .with("unmapped.action.target.value", action.target.value.as_str())
        .with("unmapped.action.manual", action.manual)
        .with("unmapped.action.reason", action.reason.as_str());
    match &action.playbook {
        Some(playbook) => act.with("unmapped.action.playbook", playbook.as_str()),
        None => act,
    }
}
