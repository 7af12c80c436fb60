//! Reads and refusals as events: counted per caller, operation, address and outcome for a moment, then ingested as
//! one batch a tenant. Not acts: nothing changed. Bounded; what does not fit is counted as lost.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_base::{Actor, Origin, Principal, TenantId, Timestamp};
use hub_events::{Class, Event, LogSource, Outcome, Severity};
use hub_store::Cx;
use hub_store::ingest::{self, Batch};
use serde_json::{Map, json};

use crate::metrics::Metrics;

/// How long equal requests are gathered.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// Kinds of request in memory at most.
const BOUND: usize = 20_000;

/// A request as the log sees it; shares what it holds with the request, so that noting one costs next to nothing.
#[derive(Debug)]
struct Kind {
    principal: Arc<Principal>,
    origin: Arc<Origin>,
    operation: &'static str,
    outcome: Verdict,
}

impl Kind {
    /// What makes two requests the same for the log.
    fn key(&self) -> impl Hash + Eq + '_ {
        let credential = match &self.principal.actor {
            Actor::User { user, session, .. } => Some((user.uuid(), Some(session.uuid()))),
            Actor::ApiKey { key, .. } => Some((key.uuid(), None)),
            Actor::Anonymous | Actor::System { .. } => None,
        };
        (
            self.principal.tenant,
            credential,
            self.operation,
            self.origin.address,
            self.origin.user_agent.as_deref(),
            self.outcome,
        )
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Kind {}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// How a request ended, as far as detection is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Done,
    Failed,
    /// The caller may not.
    Denied,
    /// The caller's address is blocked.
    Blocked,
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    first_at: Timestamp,
    count: u64,
    records: u64,
}

/// What waits to be ingested.
#[derive(Debug, Default)]
pub(crate) struct AccessLog {
    waiting: Mutex<HashMap<Kind, Tally>>,
}

impl AccessLog {
    /// Notes one request that had a proven caller.
    pub(crate) fn note(
        &self,
        principal: &Arc<Principal>,
        origin: &Arc<Origin>,
        (operation, outcome, records): (&'static str, Verdict, u64),
        now: Timestamp,
        metrics: &Metrics,
    ) {
        if !matches!(principal.actor, Actor::User { .. } | Actor::ApiKey { .. }) {
            return;
        }
        let kind = Kind {
            principal: Arc::clone(principal),
            origin: Arc::clone(origin),
            operation,
            outcome,
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= BOUND && !waiting.contains_key(&kind) {
            return metrics.access_overflow();
        }
        let tally = waiting.entry(kind).or_insert(Tally {
            first_at: now,
            count: 0,
            records: 0,
        });
        tally.count += 1;
        tally.records += records;
    }

    /// Ingests what waits. What the database does not take is put back.
    pub(crate) async fn flush(&self, store: &hub_store::Store, metrics: &Metrics) {
        let taken =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_tenant: HashMap<TenantId, Vec<(Kind, Tally)>> = HashMap::new();
        for (kind, tally) in taken {
            by_tenant
                .entry(kind.principal.tenant)
                .or_default()
                .push((kind, tally));
        }
        for (tenant, tallies) in by_tenant {
            let cx = Cx::system(store.clone(), tenant, "front_door");
            let mut events: Vec<Event> = tallies
                .iter()
                .map(|(kind, tally)| event(kind, *tally))
                .collect();
            events.sort_by_key(|event| event.time);
            let batch = Batch {
                source: "hub.access".to_owned(),
                events,
                ..Batch::default()
            };
            match ingest::append(&cx, batch).await {
                Ok(receipt) => metrics.events_ingested(u64::from(receipt.accepted)),
                Err(error) => {
                    tracing::warn!(error = %hub_base::chain(&error), "access events wait for the database");
                    self.put_back(tallies, metrics);
                }
            }
        }
    }

    fn put_back(&self, tallies: Vec<(Kind, Tally)>, metrics: &Metrics) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, tally) in tallies {
            if waiting.len() >= BOUND && !waiting.contains_key(&kind) {
                metrics.access_overflow();
                continue;
            }
            let kept = waiting.entry(kind).or_insert(Tally {
                count: 0,
                records: 0,
                ..tally
            });
            kept.first_at = kept.first_at.min(tally.first_at);
            kept.count += tally.count;
            kept.records += tally.records;
        }
    }
}

fn actor(event: &mut Event, actor: &Actor) {
    match actor {
        Actor::User {
            user,
            session,
            username,
            ..
        } => {
            let user = json!({"uid": user.to_string(), "name": username, "type": "User"});
            event.set("actor.user", user);
            event.set("actor.session.uid", session.to_string());
        }
        Actor::ApiKey { key, name, .. } => {
            let key = key.to_string();
            let user = json!({"uid": key, "name": name, "type": "Service", "credential_uid": key});
            event.set("actor.user", user);
        }
        Actor::Anonymous | Actor::System { .. } => {}
    }
}

fn event(kind: &Kind, tally: Tally) -> Event {
    let outcome = if kind.outcome == Verdict::Done {
        Outcome::Success
    } else {
        Outcome::Failure
    };
    let source = LogSource::new("security_hub", "api");
    let mut event = Event {
        time: tally.first_at,
        source,
        body: Map::new(),
    };
    let class = Class::ApiActivity;
    // OCSF's activity of an API call whose kind is not told apart.
    let activity = 99_u32;
    event.set("class_uid", class.uid());
    event.set("class_name", class.name());
    event.set("category_uid", class.category_uid());
    event.set("activity_id", activity);
    event.set("type_uid", class.uid() * 100 + activity);
    event.set("time", tally.first_at.unix_millis());
    event.set("severity_id", Severity::Informational.id());
    event.set("status_id", outcome.id());
    event.set("status", outcome.name());
    event.set("count", tally.count);
    event.set("api.operation", kind.operation);
    event.set("api.service.name", "security-hub");
    actor(&mut event, &kind.principal.actor);
    event.set("src_endpoint.ip", kind.origin.address.to_string());
    event.set(
        "metadata",
        json!({
            "version": "1.8.0", "log_provider": "security_hub", "log_name": "api",
            "tenant_uid": kind.principal.tenant.to_string(),
            "product": {"name": "Security Hub", "vendor_name": "Security Hub"},
        }),
    );
    event.set("unmapped.records", tally.records);
    if let Some(agent) = &kind.origin.user_agent {
        event.set("http_request.user_agent", agent.clone());
    }
    match kind.outcome {
        Verdict::Denied => event.set("status_detail", "denied"),
        Verdict::Blocked => event.set("status_detail", "address_blocked"),
        Verdict::Done | Verdict::Failed => {}
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_base::{ApiKeyId, ManualClock, RequestId};

    #[test]
    fn equal_requests_become_one_event_with_a_count() {
        let clock = ManualClock::at(Timestamp::from_unix_millis(1000));
        let key = ApiKeyId::new(&clock);
        let actor = Actor::ApiKey {
            key,
            name: "nightly".into(),
            scopes: vec![],
        };
        let principal = Arc::new(Principal {
            tenant: TenantId::SYSTEM,
            actor,
            roles: vec![],
        });
        let origin = Arc::new(Origin {
            request: RequestId::new(&clock),
            address: [127, 3, 0, 1].into(),
            user_agent: Some("batch/1".into()),
            device: None,
        });
        let (log, metrics) = (AccessLog::default(), Metrics::new());
        for _ in 0..3 {
            let now = Timestamp::from_unix_millis(1000);
            log.note(
                &principal,
                &origin,
                ("users.read", Verdict::Done, 50),
                now,
                &metrics,
            );
        }
        let waiting = log.waiting.lock().unwrap();
        let (kind, tally) = waiting.iter().next().unwrap();
        let event = event(kind, *tally);
        assert_eq!(waiting.len(), 1);
        assert_eq!(event.at("count"), Some(&json!(3)));
        assert_eq!(event.at("unmapped.records"), Some(&json!(150)));
        assert_eq!(
            event.text("actor.user.credential_uid"),
            Some(key.to_string().as_str())
        );
        assert_eq!(event.text("actor.user.type"), Some("Service"));
    }
}
