//! Slowing down guessing: a delay that doubles with each failure, per account and address and per address.
//!
//! It delays and never locks, so that an attacker cannot lock a victim out. One process's view; bounded in memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hub_base::{TenantId, Timestamp};

/// When delays begin and how long they grow.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Failures on one account from one address before the first delay.
    pub free_per_account: u32,
    /// Failures from one address, on any accounts, before the first delay.
    pub free_per_address: u32,
    pub longest: Duration,
    /// Failures older than this are forgotten.
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            free_per_account: 10,
            free_per_address: 50,
            longest: Duration::from_mins(1),
            window: Duration::from_mins(15),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    last: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(TenantId, IpAddr, String),
    Address(TenantId, IpAddr),
}

/// The counts of this process.
#[derive(Debug, Default)]
pub struct Throttle {
    limits: Limits,
    counts: Mutex<HashMap<Key, Count>>,
}

/// Counts kept at most; beyond it the stale ones go first, then the table starts anew.
const MOST: usize = 200_000;

impl Throttle {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            counts: Mutex::default(),
        }
    }

    /// How long this attempt must wait; `None` if it may go on.
    pub fn wait(
        &self,
        tenant: TenantId,
        address: IpAddr,
        account: &str,
        now: Timestamp,
    ) -> Option<Duration> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |key: &Key, free: u32| {
            let count = counts.get(key)?;
            let over = count.failures.checked_sub(free)?;
            let delay = Duration::from_secs(1 << over.min(10)).min(self.limits.longest);
            let until = count.last.plus(delay);
            (until > now).then(|| until.since(now))
        };
        let account = Key::Account(tenant, address, account.to_owned());
        left(&account, self.limits.free_per_account).max(left(
            &Key::Address(tenant, address),
            self.limits.free_per_address,
        ))
    }

    /// Counts a failure.
    pub fn failed(&self, tenant: TenantId, address: IpAddr, account: &str, now: Timestamp) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST {
            counts.retain(|_, count| now.since(count.last) < self.limits.window);
            if counts.len() >= MOST {
                counts.clear();
            }
        }
        for key in [
            Key::Account(tenant, address, account.to_owned()),
            Key::Address(tenant, address),
        ] {
            let count = counts.entry(key).or_insert(Count {
                failures: 0,
                last: now,
            });
            if now.since(count.last) >= self.limits.window {
                count.failures = 0;
            }
            *count = Count {
                failures: count.failures.saturating_add(1),
                last: now,
            };
        }
    }

    /// A success on the account from that address forgives it.
    pub fn succeeded(&self, tenant: TenantId, address: IpAddr, account: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&Key::Account(tenant, address, account.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TenantId = TenantId::SYSTEM;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn a_clumsy_user_is_not_delayed_and_a_guesser_is() {
        let throttle = Throttle::new(Limits::default());
        let address = "192.0.2.1".parse().unwrap();
        for n in 0..9 {
            throttle.failed(T, address, "ada", at(n));
        }
        assert_eq!(throttle.wait(T, address, "ada", at(9)), None);
        for n in 9..20 {
            throttle.failed(T, address, "ada", at(n));
        }
        assert_eq!(
            throttle.wait(T, address, "ada", at(19)),
            Some(Duration::from_mins(1))
        );
        assert_eq!(
            throttle.wait(T, address, "bob", at(19)),
            None,
            "others behind that address go on"
        );
        let elsewhere = "192.0.2.2".parse().unwrap();
        assert_eq!(
            throttle.wait(T, elsewhere, "ada", at(19)),
            None,
            "the victim is not locked out"
        );
        assert_eq!(
            throttle.wait(T, address, "ada", at(90)),
            None,
            "the delay ends"
        );
        throttle.succeeded(T, address, "ada");
        assert_eq!(throttle.wait(T, address, "ada", at(19)), None);
    }
}
