//! Password resets on their way to their owner.
//!
//! A token is never stored to be sent later: what three tries do not deliver is asked for again.

use std::time::Duration;

use hub_identity::passwords::{RESET_TTL, ResetMail};

use crate::state::App;

/// Between the tries.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Hands a reset to the mail server, while the answer goes out. Without one the reset is void, and the operator is told
/// so; the token itself is never logged.
pub(crate) fn reset(app: &App, mail: Option<ResetMail>) {
    let Some(mail) = mail else { return };
    if !app.notifier.has_email() {
        tracing::warn!(user.id = %mail.user,
            "a password reset was asked for, but no mail server is configured: set respond.email.host");
        return;
    }
    let app = app.clone();
    tokio::spawn(async move { send(&app, &mail).await });
}

async fn send(app: &App, mail: &ResetMail) {
    let text = text(app.tokens.issuer(), mail);
    for pause in PAUSES.into_iter().map(Some).chain([None]) {
        let now = app.clock().now();
        let sending = app
            .notifier
            .mail(&mail.email, "Set a new password", text.clone(), now);
        match (sending.await, pause) {
            (Ok(()), _) => {
                tracing::info!(user.id = %mail.user, "a password reset was mailed");
                return;
            }
            (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
            (Err(why), None) => {
                tracing::error!(user.id = %mail.user, reason = why, "a password reset could not be mailed");
            }
        }
    }
}

fn text(url: &str, mail: &ResetMail) -> String {
    format!(
        "Somebody, probably you, asked for a new password for the user {username}.\n\n\
         Set it here, within {minutes} minutes:\n\n  {url}/console/reset?token={token}\n\n\
         If it was not you, do nothing: your password stays as it is.\n",
        username = mail.username,
        minutes = RESET_TTL.as_secs() / 60,
        token = mail.token,
    )
}
