//! Telling people: an outbox of incident summaries, sent by webhook and e-mail.
//!
//! A summary is written in the action's transaction and sent after it, at least once; the receiver tells a
//! repetition by its idempotency key. Without a configured channel, that is what is recorded.

mod deliver;
mod email;
pub(crate) mod repo;
mod webhook;

use hub_base::{ActionId, IncidentId, ManualClock, Timestamp};
use hub_store::WriteTx;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actions::{self, Action};
use crate::config::RespondConfig;
use crate::error::Error;
use crate::incidents::{self, Incident, shown};

pub use deliver::{Notifier, SetUpError, deliver_pending};

/// The way a summary takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Webhook,
    Email,
    /// No channel is configured.
    None,
}

impl Channel {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::None => "none",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Webhook, Self::Email, Self::None]
            .into_iter()
            .find(|c| c.name() == name)
    }
}

/// Where a notification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Sending,
    Sent,
    /// Given up after the last try.
    Failed,
    NotConfigured,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::NotConfigured => "not_configured",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Sending,
            Self::Sent,
            Self::Failed,
            Self::NotConfigured,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }
}

/// One summary on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Also the idempotency key that the receiver sees.
    pub id: Uuid,
    pub incident: IncidentId,
    pub action: ActionId,
    pub channel: Channel,
    pub state: State,
    pub attempts: i32,
    pub error: Option<String>,
    pub created_at: Timestamp,
    pub sent_at: Option<Timestamp>,
}

/// Puts the incident's summary into the outbox, once for each channel; `None` if there is no channel, which is
/// recorded too.
pub(crate) async fn enqueue(
    tx: &mut WriteTx,
    incident: &Incident,
    action: &Action,
    config: &RespondConfig,
) -> Result<Option<Value>, Error> {
    let payload = summary(tx, incident).await?.to_string();
    let configured = [
        (config.webhook.is_some(), Channel::Webhook),
        (config.email.is_some(), Channel::Email),
    ];
    let channels: Vec<Channel> = configured
        .into_iter()
        .filter_map(|(is_there, channel)| is_there.then_some(channel))
        .collect();
    let clock = ManualClock::at(tx.now());
    if channels.is_empty() {
        let id = ActionId::new(&clock).uuid();
        repo::insert(
            tx,
            id,
            action,
            Channel::None,
            State::NotConfigured,
            &payload,
        )
        .await?;
        return Ok(None);
    }
    for channel in &channels {
        let id = ActionId::new(&clock).uuid();
        repo::insert(tx, id, action, *channel, State::Pending, &payload).await?;
    }
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    Ok(Some(json!({"channels": names})))
}

/// What people are told: enough to know whether to get up.
async fn summary(tx: &mut WriteTx, incident: &Incident) -> Result<Value, Error> {
    let entities = incidents::repo::entities(tx, incident.id, 20).await?;
    let actions = actions::repo::list(tx, incident.id).await?;
    let contained = actions
        .iter()
        .filter(|action| action.kind.is_containment())
        .take(50);
    Ok(json!({
        "type": "incident",
        "tenant": tx.tenant(),
        "incident": {
            "id": incident.id,
            "number": incident.number,
            "title": incident.title,
            "severity": incident.severity.name(),
            "status": incident.status.name(),
            "techniques": incident.techniques,
            "primary": {"kind": incident.primary.kind.name(), "value": shown(&incident.primary)},
            "finding_count": incident.finding_count,
            "first_activity_at": incident.first_activity_at,
            "detected_at": incident.detected_at,
            "opened_at": incident.opened_at,
            "contained_at": incident.contained_at,
        },
        "entities": entities.iter().map(|one| json!({
            "kind": one.entity.kind.name(), "value": shown(&one.entity), "role": one.role.name(),
        })).collect::<Vec<_>>(),
        "actions": contained.map(|action| json!({
            "kind": action.kind.name(), "state": action.state.name(),
            "target": action.target.name.as_ref().unwrap_or(&action.target.value),
        })).collect::<Vec<_>>(),
    }))
}
