//! What people and programs hold, kept between decisions, with the decisions that were made on it.
//!
//! Knows nothing of how grants are read. What was read before a role changed is never kept after it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use cedar_policy::{Entities, EntityUid};
use hub_base::{ApiKeyId, TenantId, Timestamp, UserId};

use crate::action::Action;
use crate::authorizer::Decision;
use crate::error::Error;

/// Grants kept at most; beyond it all are read anew.
const MOST: usize = 100_000;
/// How long grants are believed. This process forgets at once what it changes itself; a change made by another replica
/// counts here after this time at the latest.
const BELIEVED: Duration = Duration::from_mins(1);

/// What a person or a program holds.
#[derive(Debug)]
pub(crate) struct Grants {
    pub(crate) roles: Vec<String>,
    pub(crate) permissions: BTreeSet<String>,
    pub(crate) entities: Entities,
    pub(crate) uid: EntityUid,
    pub(crate) decisions: Decisions,
}

/// Decisions on what is in the holder's own tenant. They follow from the grants and the policies alone, and neither
/// changes while the grants are kept: the policies are asked once for each.
#[derive(Debug, Default)]
pub(crate) struct Decisions([[OnceLock<Decision>; 2]; Action::ALL.len()]);

impl Decisions {
    /// `own`: whether it is the holder's own thing.
    pub(crate) fn of(
        &self,
        action: Action,
        own: bool,
        ask: impl FnOnce() -> Result<Decision, Error>,
    ) -> Result<Decision, Error> {
        let Some(cell) = self
            .0
            .get(action as usize)
            .map(|[other, mine]| if own { mine } else { other })
        else {
            return ask();
        };
        if let Some(decision) = cell.get() {
            return Ok(decision.clone());
        }
        let decision = ask()?;
        Ok(cell.get_or_init(|| decision).clone())
    }
}

/// Whose grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Person(TenantId, UserId),
    Program(TenantId, ApiKeyId),
}

impl Holder {
    pub(crate) const fn tenant(self) -> TenantId {
        match self {
            Self::Person(tenant, _) | Self::Program(tenant, _) => tenant,
        }
    }
}

/// Grants are not known; they may be kept if nothing was forgotten since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Miss {
    version: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Cache(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    /// Grows with everything that is forgotten.
    version: u64,
    kept: HashMap<Holder, (Timestamp, Arc<Grants>)>,
}

impl Cache {
    pub(crate) fn find(&self, holder: Holder, now: Timestamp) -> Result<Arc<Grants>, Miss> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match state.kept.get(&holder) {
            Some((read_at, grants)) if now.since(*read_at) < BELIEVED => Ok(Arc::clone(grants)),
            _ => Err(Miss {
                version: state.version,
            }),
        }
    }

    /// As if nothing had been found just now.
    pub(crate) fn forgotten(&self) -> Miss {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Miss {
            version: state.version,
        }
    }

    // INVARIANT: grants read before a change are not kept after it: the version moves with each change, and what was
    // begun at another version is used once and dropped.
    pub(crate) fn keep(&self, miss: Miss, holder: Holder, now: Timestamp, grants: &Arc<Grants>) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if state.version != miss.version {
            return;
        }
        if state.kept.len() >= MOST {
            state.kept.clear();
        }
        state.kept.insert(holder, (now, Arc::clone(grants)));
    }

    pub(crate) fn forget(&self, tenant: TenantId) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        state.version += 1;
        state.kept.retain(|holder, _| holder.tenant() != tenant);
    }

    pub(crate) fn forget_all(&self) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        state.version += 1;
        state.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_base::ManualClock;

    fn grants() -> Arc<Grants> {
        Arc::new(Grants {
            roles: Vec::new(),
            permissions: BTreeSet::new(),
            entities: Entities::empty(),
            uid: r#"Hub::User::"ada""#.parse().unwrap(),
            decisions: Decisions::default(),
        })
    }

    fn holder(tenant: TenantId) -> Holder {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(1));
        Holder::Person(tenant, UserId::new(&clock))
    }

    #[test]
    fn a_decision_is_asked_for_once_and_a_fault_is_not_kept() {
        let decisions = Decisions::default();
        let yes = Decision {
            allowed: true,
            policies: Arc::default(),
        };
        let last = *Action::ALL.last().unwrap();
        let fault = || {
            Err(Error::Invalid {
                field: "context".into(),
                why: "test".into(),
            })
        };
        assert!(decisions.of(last, true, fault).is_err());
        assert_eq!(decisions.of(last, true, || Ok(yes.clone())).unwrap(), yes);
        assert_eq!(decisions.of(last, true, fault).unwrap(), yes);
        assert!(
            decisions.of(last, false, fault).is_err(),
            "another question"
        );
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (cache, ada, now) = (
            Cache::default(),
            holder(TenantId::SYSTEM),
            Timestamp::from_unix_seconds(9),
        );
        let miss = cache.find(ada, now).unwrap_err();
        cache.forget(TenantId::SYSTEM);
        cache.keep(miss, ada, now, &grants());
        let again = cache.find(ada, now).unwrap_err();
        cache.keep(again, ada, now, &grants());
        assert!(cache.find(ada, now).is_ok());
    }

    #[test]
    fn grants_are_believed_for_a_minute_and_forgotten_by_tenant() {
        let (cache, now) = (Cache::default(), Timestamp::from_unix_seconds(9));
        let other = TenantId::new(&ManualClock::at(now));
        let (ada, eve) = (holder(TenantId::SYSTEM), holder(other));
        for who in [ada, eve] {
            let miss = cache.find(who, now).unwrap_err();
            cache.keep(miss, who, now, &grants());
        }
        cache.forget(other);
        assert!(cache.find(ada, now).is_ok());
        assert!(cache.find(eve, now).is_err());
        assert!(cache.find(ada, now.plus(BELIEVED)).is_err());
        cache.forget_all();
        assert!(cache.find(ada, now).is_err());
    }
}
