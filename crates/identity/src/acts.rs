//! What this room's changes say of themselves, in the vocabulary that rules and the console read.

use hub_base::{ApiKeyId, SessionId, TenantId, Timestamp, UserId};
use hub_events::{Act, Class, Outcome, Severity, Subject};

fn user(id: UserId, name: &str) -> Subject {
    Subject::new("user", id).named(name)
}

/// A person acting on their own account is also OCSF's actor, though no credential has proven it yet.
fn own(act: Act, id: UserId, name: &str) -> Act {
    act.on(user(id, name))
        .with("actor.user.uid", id.to_string())
        .with("actor.user.name", name)
}

pub(crate) fn session_begin(id: UserId, name: &str, session: SessionId) -> Act {
    own(
        Act::new("session.begin", Class::Authentication, 1, "auth"),
        id,
        name,
    )
    .with("session.uid", session.to_string())
    .with("actor.session.uid", session.to_string())
    .with("auth_protocol", "Password")
}

/// Why a sign-in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    InvalidCredentials,
    AccountLocked,
    Throttled,
    AddressBlocked,
}

impl Refusal {
    const fn detail(self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid_credentials",
            Self::AccountLocked => "account_locked",
            Self::Throttled => "throttled",
            Self::AddressBlocked => "address_blocked",
        }
    }
}

/// What a stranger typed, bounded and printable: it goes into the ledger, logs and pages.
fn typed(name: &str) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    name.chars().take(128).map(printable).collect()
}

pub(crate) fn session_refuse(id: Option<UserId>, name: &str, why: Refusal) -> Act {
    let name = typed(name);
    let act = Act::new("session.refuse", Class::Authentication, 1, "auth")
        .outcome(Outcome::Failure)
        .with("status_detail", why.detail())
        .with("user.name", name);
    match id {
        Some(id) => act.with("user.uid", id.to_string()),
        None => act,
    }
}

pub(crate) fn session_end(id: UserId, name: &str, session: SessionId) -> Act {
    Act::new("session.end", Class::Authentication, 2, "auth")
        .on(user(id, name))
        .with("session.uid", session.to_string())
}

pub(crate) fn session_revoke(id: UserId, name: &str, sessions: &[SessionId], why: &str) -> Act {
    let list: Vec<String> = sessions.iter().map(ToString::to_string).collect();
    Act::new("session.revoke", Class::Authentication, 2, "auth")
        .on(user(id, name))
        .with("unmapped.sessions", list)
        .with("unmapped.reason", why)
}

pub(crate) fn token_refresh(id: UserId, name: &str, session: SessionId) -> Act {
    own(
        Act::new("token.refresh", Class::Authentication, 5, "auth"),
        id,
        name,
    )
    .with("session.uid", session.to_string())
    .with("actor.session.uid", session.to_string())
}

pub(crate) fn token_replay(id: UserId, name: &str, session: SessionId) -> Act {
    token_refresh_failed(id, name, session).severity(Severity::High)
}

fn token_refresh_failed(id: UserId, name: &str, session: SessionId) -> Act {
    own(
        Act::new("token.replay", Class::Authentication, 5, "auth"),
        id,
        name,
    )
    .outcome(Outcome::Failure)
    .with("session.uid", session.to_string())
    .with("actor.session.uid", session.to_string())
    .with("unmapped.sessions", vec![session.to_string()])
    .with("status_detail", "refresh_token_reused")
}

fn account(operation: &'static str, activity: u8, log: &'static str) -> Act {
    Act::new(operation, Class::AccountChange, activity, log)
}

pub(crate) fn user_create(id: UserId, name: &str) -> Act {
    account("user.create", 1, "admin").on(user(id, name))
}

pub(crate) fn user_lock(id: UserId, name: &str, reason: &str) -> Act {
    account("user.lock", 9, "admin")
        .on(user(id, name))
        .with("unmapped.reason", reason)
}

pub(crate) fn user_unlock(id: UserId, name: &str, reason: &str) -> Act {
    account("user.unlock", 12, "admin")
        .on(user(id, name))
        .with("unmapped.reason", reason)
}

pub(crate) fn password_change(id: UserId, name: &str) -> Act {
    account("password.change", 3, "admin").on(user(id, name))
}

/// `id` is `None` when no such account exists; a stranger cannot tell.
pub(crate) fn password_forgot(id: Option<UserId>, name: &str) -> Act {
    let name = typed(name);
    let act = account("password.forgot", 4, "auth").with("user.name", name);
    match id {
        Some(id) => act.with("user.uid", id.to_string()),
        None => act
            .outcome(Outcome::Failure)
            .with("status_detail", "no_such_account"),
    }
}

pub(crate) fn password_reset(id: UserId, name: &str) -> Act {
    own(account("password.reset", 4, "auth"), id, name)
}

pub(crate) fn api_key_create(id: ApiKeyId, name: &str, scopes: &[String]) -> Act {
    Act::new("api_key.create", Class::EntityManagement, 1, "admin")
        .on(Subject::new("api_key", id).named(name))
        .with("unmapped.scopes", scopes.to_vec())
}

pub(crate) fn api_key_expire(id: ApiKeyId, name: &str, at: Timestamp) -> Act {
    Act::new("api_key.expire", Class::EntityManagement, 3, "admin")
        .on(Subject::new("api_key", id).named(name))
        .with("unmapped.expires_at", at.to_string())
}

pub(crate) fn api_key_revoke(id: ApiKeyId, name: &str, reason: &str) -> Act {
    Act::new("api_key.revoke", Class::EntityManagement, 4, "admin")
        .on(Subject::new("api_key", id).named(name))
        .with("unmapped.reason", reason)
}

pub(crate) fn api_key_restore(id: ApiKeyId, name: &str, reason: &str) -> Act {
    Act::new("api_key.restore", Class::EntityManagement, 3, "admin")
        .on(Subject::new("api_key", id).named(name))
        .with("unmapped.reason", reason)
}

pub(crate) fn tenant_create(id: TenantId, slug: &str) -> Act {
    Act::new("tenant.create", Class::EntityManagement, 1, "admin")
        .on(Subject::new("tenant", id).named(slug))
}

pub(crate) fn enrolment_issue() -> Act {
    Act::new("enrolment.issue", Class::EntityManagement, 1, "admin")
}
