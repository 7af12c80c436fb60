//! What every request and worker shares: one concrete struct, made once at the start.

use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderMap;
use hub_access::Authorizer;
use hub_base::{Clock, TenantId, Timestamp, UserId};
use hub_identity::tenants::Slugs;
use hub_identity::{Authenticator, HashPool, Revocations, Throttle};
use hub_respond::notify::Notifier;
use hub_store::sequence::Sequencer;
use hub_store::{Cx, Store};
use hub_vault::TokenVerifier;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Config;
use crate::detection::Detection;
use crate::front::access_log::AccessLog;
use crate::front::blocks::Blocks;
use crate::front::rate::Rate;
use crate::keys::Keys;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::workers::crew::Crew;

/// A handle on the server's shared parts; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) crew: Crew,
    pub(crate) started_at: Timestamp,
    /// `Some(when)` once the server is stopping.
    pub(crate) stopping: watch::Sender<Option<Instant>>,

    pub(crate) keys: Keys,
    pub(crate) tokens: Arc<TokenVerifier>,
    pub(crate) authenticator: Authenticator,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) slugs: Slugs,
    pub(crate) throttle: Throttle,
    pub(crate) hashing: HashPool,
    pub(crate) authorizer: Authorizer,

    pub(crate) blocks: Blocks,
    pub(crate) rate: Rate,
    pub(crate) access_log: AccessLog,
    pub(crate) live: Live,

    pub(crate) sequencer: Sequencer,
    pub(crate) detection: Detection,
    pub(crate) retention: hub_operate::cleanup::Policy,
    pub(crate) responding: hub_respond::actions::Deps,
    pub(crate) notifier: Notifier,
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// For those who must not keep the server's parts alive.
    pub(crate) fn downgrade(&self) -> Weak<Parts> {
        Arc::downgrade(&self.0)
    }
}

impl Parts {
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.store.clock()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.borrow().is_some()
    }

    pub(crate) fn hashes_waiting(&self) -> usize {
        self.hashing.waiting()
    }

    /// The hub's own work in a tenant.
    pub(crate) fn system(&self, tenant: TenantId, component: &'static str) -> Cx {
        Cx::system(self.store.clone(), tenant, component)
    }

    /// The id in the device cookie, if it came along and its tag verifies.
    pub(crate) fn device(&self, headers: &HeaderMap) -> Option<String> {
        let (id, tag) = crate::front::admit::cookie(headers, DEVICE_COOKIE)?.split_once('.')?;
        self.keys
            .ring()
            .device_tag_verifies(id, tag)
            .then(|| id.to_owned())
    }

    /// A new device cookie's value.
    pub(crate) fn new_device(&self) -> Option<String> {
        // A device's id is a UUIDv7 like every id; only its tag makes it count.
        let id = UserId::new(&**self.clock()).to_string();
        let tag = self.keys.ring().device_tag(&id).ok()?;
        Some(format!("{id}.{tag}"))
    }
}

/// How long a browser keeps the device cookie.
pub(crate) const DEVICE_TTL: Duration = Duration::from_hours(365 * 24);
/// Long-lived, signed: tells a known device from an unknown one.
pub(crate) const DEVICE_COOKIE: &str = "hub_device";
/// Opaque, ends with the session.
pub(crate) const SESSION_COOKIE: &str = "hub_session";
