//! Who acts, for which tenant, from where.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, RequestId, SessionId, TenantId, UserId};

/// The kind of actor and what it signed in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Nobody has proven anything yet.
    Anonymous,
    /// A person in a session (by cookie or by an access token of it).
    User {
        user: UserId,
        session: SessionId,
        username: String,
        /// When the password was last proven in this session.
        authenticated_at: Timestamp,
    },
    /// A program with an API key; `scopes` are permission names such as `users.read`.
    ApiKey {
        key: ApiKeyId,
        name: String,
        scopes: Vec<String>,
    },
    /// The hub itself: a worker, a playbook, the first start.
    System { component: &'static str },
}

/// An actor inside one tenant, with its role names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub tenant: TenantId,
    pub actor: Actor,
    /// Names of roles in that tenant, sorted.
    pub roles: Vec<String>,
}

impl Principal {
    pub const fn anonymous(tenant: TenantId) -> Self {
        Self {
            tenant,
            actor: Actor::Anonymous,
            roles: Vec::new(),
        }
    }

    pub const fn system(tenant: TenantId, component: &'static str) -> Self {
        Self {
            tenant,
            actor: Actor::System { component },
            roles: Vec::new(),
        }
    }

    pub const fn user(&self) -> Option<UserId> {
        match &self.actor {
            Actor::User { user, .. } => Some(*user),
            Actor::Anonymous | Actor::ApiKey { .. } | Actor::System { .. } => None,
        }
    }

    pub const fn session(&self) -> Option<SessionId> {
        match &self.actor {
            Actor::User { session, .. } => Some(*session),
            Actor::Anonymous | Actor::ApiKey { .. } | Actor::System { .. } => None,
        }
    }
}

/// Where a request came from, as the front door established it (proxies resolved, headers bounded).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub request: RequestId,
    pub address: IpAddr,
    /// At most 256 bytes.
    pub user_agent: Option<String>,
    /// A long-lived, signed device cookie's id, if one came along and verified.
    pub device: Option<String>,
}
