//! What people hold, kept between decisions.
//!
//! Knows nothing of how grants are read. What was read before a role changed is never kept after it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cedar_policy::{Entities, EntityUid};
use hub_base::{TenantId, Timestamp, UserId};

/// Grants kept at most; beyond it all are read anew.
const MOST: usize = 100_000;
/// How long grants are believed. This process forgets at once what it changes itself; a change made by another replica
/// counts here after this time at the latest.
const BELIEVED: Duration = Duration::from_mins(1);

/// What a person holds.
#[derive(Debug)]
pub(crate) struct Grants {
    pub(crate) roles: Vec<String>,
    pub(crate) permissions: BTreeSet<String>,
    pub(crate) entities: Entities,
    pub(crate) uid: EntityUid,
}

/// Whose grants.
pub(crate) type Holder = (TenantId, UserId);

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
        state.kept.retain(|(of, _), _| *of != tenant);
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
        })
    }

    fn holder(tenant: TenantId) -> Holder {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(1));
        (tenant, UserId::new(&clock))
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
