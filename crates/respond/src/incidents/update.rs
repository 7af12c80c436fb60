//! What people decide about an incident: its status, its verdict, a note.

use hub_base::{Actor, IncidentId, Timestamp};
use hub_store::{Cx, Tx, WriteTx};

use super::{Incident, Status, Verdict, act, repo};
use crate::actions;
use crate::error::Error;
use crate::timeline::{self, actor_name};

/// Longest note, in characters.
const NOTE: usize = 2000;

/// What shall change; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub status: Option<Status>,
    pub verdict: Option<Verdict>,
    pub note: Option<String>,
}

/// Records a decision. The first by a person also acknowledges the incident.
///
/// # Errors
/// [`Error::UnknownIncident`], [`Error::Transition`], [`Error::Invalid`].
pub async fn update(cx: &Cx, id: IncidentId, change: Change) -> Result<Incident, Error> {
    let note = change
        .note
        .as_deref()
        .map(str::trim)
        .filter(|note| !note.is_empty());
    if change.status.is_none() && change.verdict.is_none() && note.is_none() {
        return Err(Error::invalid(
            "change",
            "give a status, a verdict or a note",
        ));
    }
    if note.is_some_and(|note| note.chars().count() > NOTE) {
        return Err(Error::invalid(
            "note",
            format!("longer than {NOTE} characters"),
        ));
    }
    let mut tx = cx.write().await?;
    let mut incident = repo::lock(&mut tx, id)
        .await?
        .ok_or(Error::UnknownIncident(id))?;
    let actor = actor_name(&cx.principal);
    let now = tx.now();
    if let Some(status) = change.status.filter(|status| *status != incident.status) {
        let from = incident.status;
        if !from.may_become(status) {
            return Err(Error::Transition {
                from: from.name(),
                to: status.name(),
            });
        }
        set_status(&mut incident, status, now);
        let text = format!("{} → {}", from.name(), status.name());
        timeline::repo::add(&mut tx, id, now, timeline::Kind::Status, &actor, &text, &[]).await?;
    }
    if let Some(verdict) = change
        .verdict
        .filter(|verdict| Some(*verdict) != incident.verdict)
    {
        incident.verdict = Some(verdict);
        let text = format!("verdict: {}", verdict.name());
        timeline::repo::add(&mut tx, id, now, timeline::Kind::Status, &actor, &text, &[]).await?;
    }
    if let Some(note) = note {
        timeline::repo::add(&mut tx, id, now, timeline::Kind::Note, &actor, note, &[]).await?;
    }
    if matches!(
        cx.principal.actor,
        Actor::User { .. } | Actor::ApiKey { .. }
    ) {
        incident.acknowledged_at.get_or_insert(now);
    }
    repo::save(&mut tx, &incident).await?;
    let done = if change.status == Some(Status::Closed) {
        act("incident.close", 3, &incident)
    } else {
        act("incident.update", 2, &incident)
    };
    let done = match note {
        Some(note) => done.with("comment", note),
        None => done,
    };
    tx.commit(done).await?;
    Ok(incident)
}

/// Sets the status and the time that belongs to it. Going back takes the later times away again.
fn set_status(incident: &mut Incident, status: Status, now: Timestamp) {
    incident.status = status;
    let order = |s: Status| s as u8;
    let reached = |at: Option<Timestamp>, of: Status| {
        if order(status) < order(of) {
            None
        } else if status == of {
            at.or(Some(now))
        } else {
            at
        }
    };
    incident.contained_at = reached(incident.contained_at, Status::Contained);
    incident.eradicated_at = reached(incident.eradicated_at, Status::Eradicated);
    incident.recovered_at = reached(incident.recovered_at, Status::Recovered);
    incident.closed_at = reached(incident.closed_at, Status::Closed);
}

/// After an action of the (locked) incident ended: is everything contained, or no longer?
pub(crate) async fn settle(tx: &mut WriteTx, mut incident: Incident) -> Result<(), Error> {
    let (applied, waiting, failed) = actions::repo::containment(tx, incident.id).await?;
    let to = match incident.status {
        Status::New | Status::Triaged if applied > 0 && waiting == 0 && failed == 0 => {
            Status::Contained
        }
        Status::Contained if failed > 0 => Status::Triaged,
        _ => return Ok(()),
    };
    let now = tx.now();
    set_status(&mut incident, to, now);
    repo::save(tx, &incident).await?;
    let text = match to {
        Status::Contained => "contained: every containment is in place",
        _ => "no longer contained: a containment failed",
    };
    note(tx, incident.id, now, text).await?;
    tx.record(act("incident.update", 2, &incident)).await?;
    Ok(())
}

async fn note(tx: &mut Tx, id: IncidentId, now: Timestamp, text: &str) -> Result<(), Error> {
    let actor = "security hub (respond)";
    timeline::repo::add(tx, id, now, timeline::Kind::Status, actor, text, &[]).await
}
