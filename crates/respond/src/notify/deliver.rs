//! Sending what waits in the outbox: claimed in one transaction, sent outside of any, its end recorded in another.

use std::time::Duration;

use hub_base::{TenantId, Timestamp};
use hub_events::{Act, Class, Outcome, Severity, Subject};
use hub_store::{Cx, Store};

use super::email::Email;
use super::webhook::Webhook;
use super::{Channel, Notification, State, repo};
use crate::actions::backoff;
use crate::config::RespondConfig;
use crate::error::Error;
use crate::{incidents, timeline};

/// Longer than any one sending may take (timeouts are at most 60 s).
const LEASE: Duration = Duration::from_secs(150);

/// Why a channel could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error("the webhook client cannot be set up")]
    Webhook(#[source] reqwest::Error),
    #[error("the mail client cannot be set up: {0}")]
    Email(String),
}

/// The configured channels, ready to send.
#[derive(Debug, Clone)]
pub struct Notifier {
    webhook: Option<Webhook>,
    email: Option<Email>,
    attempts: i32,
}

impl Notifier {
    /// From a configuration that was validated.
    ///
    /// # Errors
    /// [`SetUpError`] if a client cannot be built.
    pub fn new(config: &RespondConfig) -> Result<Self, SetUpError> {
        Ok(Self {
            webhook: config
                .webhook
                .as_ref()
                .map(Webhook::new)
                .transpose()
                .map_err(SetUpError::Webhook)?,
            email: config
                .email
                .as_ref()
                .map(Email::new)
                .transpose()
                .map_err(SetUpError::Email)?,
            attempts: i32::from(config.attempts),
        })
    }
}

impl Notifier {
    /// Whether there is a mail server to send by.
    pub const fn has_email(&self) -> bool {
        self.email.is_some()
    }

    /// Sends one mail to one person, now or not at all.
    ///
    /// # Errors
    /// In words, if there is no mail server or it did not take the mail.
    pub async fn mail(
        &self,
        to: &str,
        subject: &str,
        text: String,
        now: Timestamp,
    ) -> Result<(), String> {
        match &self.email {
            Some(email) => email.send_to(to, subject, text, now).await,
            None => Err("no mail server is configured".to_owned()),
        }
    }
}

/// Sends what is due in the tenant, one after the other; returns how many were sent. Any number of workers may
/// run this at once.
///
/// # Errors
/// [`Error::Store`]. A receiver's fault is kept with the notification, which is tried again later.
pub async fn deliver_pending(
    store: &Store,
    tenant: TenantId,
    notifier: &Notifier,
) -> Result<usize, Error> {
    let cx = Cx::system(store.clone(), tenant, "notify");
    let mut sent = 0;
    loop {
        let mut tx = cx.write().await?;
        // One at a time: a slow receiver must not eat the next one's lease.
        let Some((one, payload)) = repo::claim(&mut tx, LEASE, 1).await?.pop() else {
            return Ok(sent);
        };
        tx.commit_progress().await?;
        let result = match one.channel {
            Channel::Webhook => match &notifier.webhook {
                Some(webhook) => webhook.send(one.id, cx.now(), &payload).await,
                None => Err("the webhook is no longer configured".to_owned()),
            },
            Channel::Email => match &notifier.email {
                Some(email) => email.send(one.id, cx.now(), &payload).await,
                None => Err("e-mail is no longer configured".to_owned()),
            },
            Channel::None => Err("no channel is configured".to_owned()),
        };
        sent += usize::from(result.is_ok());
        end(&cx, &one, result, notifier.attempts).await?;
    }
}

async fn end(
    cx: &Cx,
    one: &Notification,
    result: Result<(), String>,
    attempts: i32,
) -> Result<(), Error> {
    let mut tx = cx.write().await?;
    let _incident = incidents::repo::lock(&mut tx, one.incident).await?;
    let now = tx.now();
    let channel = one.channel.name();
    let sending = Act::new(
        "notification.send",
        Class::RemediationActivity,
        99,
        "response",
    )
    .on(Subject::new("notification", one.id))
    .with("command_uid", "notify")
    .with("unmapped.incident.uid", one.incident.to_string())
    .with("unmapped.action.uid", one.action.to_string())
    .with("unmapped.notification.channel", channel)
    .with("unmapped.notification.attempts", one.attempts);
    let (state, again, text, act) = match &result {
        Ok(()) => (State::Sent, None, format!("{channel}: sent"), sending),
        Err(_) if one.attempts < attempts => {
            let again = now.plus(backoff(one.id, one.attempts));
            let error = result.err();
            if repo::end_try(&mut tx, one, State::Pending, Some(again), error.as_deref()).await? {
                tx.commit_progress().await?;
            }
            return Ok(());
        }
        Err(why) => {
            let text = format!("{channel}: failed after {} tries ({why})", one.attempts);
            let act = sending.outcome(Outcome::Failure).severity(Severity::Medium);
            (
                State::Failed,
                None,
                text,
                act.with("status_detail", why.as_str()),
            )
        }
    };
    let error = result.err();
    if !repo::end_try(&mut tx, one, state, again, error.as_deref()).await? {
        return Ok(());
    }
    let (kind, actor) = (timeline::Kind::Notification, "security hub (notify)");
    timeline::repo::add(&mut tx, one.incident, now, kind, actor, &text, &[]).await?;
    tx.commit(act).await?;
    Ok(())
}
