//! Slowing down guessing: a delay that doubles with each failure, per account and address and per address.
//!
//! It delays and never locks, so that an attacker cannot lock a victim out: what one address does slows that address.
//! An attempt during a delay changes nothing, so that the time to wait is true. One process's view; bounded in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
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
    /// In this time as many failures as are free are forgotten.
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

/// Failures that are not forgotten yet, as of the last one: they leak away with time.
#[derive(Debug, Clone, Copy)]
struct Count {
    failures: f64,
    last: Timestamp,
}

impl Count {
    /// Failures that still count at `now`, where `free` of them are forgotten in each window.
    fn left(&self, free: u32, limits: &Limits, now: Timestamp) -> f64 {
        let windows = now.since(self.last).as_secs_f64() / limits.window.as_secs_f64().max(1.0);
        (self.failures - windows * f64::from(free)).max(0.0)
    }

    fn wait(&self, free: u32, limits: &Limits, now: Timestamp) -> Option<Duration> {
        let over = self.failures - f64::from(free);
        if over < 0.0 {
            return None;
        }
        // At most 2^10 s; the longest delay is shorter.
        let delay = Duration::from_secs_f64(over.ceil().min(10.0).exp2()).min(limits.longest);
        let until = self.last.plus(delay);
        // Whole seconds, rounded up: what `Retry-After` can say.
        (until > now).then(|| {
            let left = until.since(now);
            Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(TenantId, IpAddr, String),
    Address(TenantId, IpAddr),
}

impl Key {
    fn account(tenant: TenantId, address: IpAddr, account: &str) -> Self {
        // Bounded, whatever a stranger types.
        Self::Account(
            tenant,
            network(address),
            account.chars().take(128).collect(),
        )
    }

    fn address(tenant: TenantId, address: IpAddr) -> Self {
        Self::Address(tenant, network(address))
    }
}

/// What one customer of a provider holds: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
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

    /// Lets an attempt pass and counts it against the account as if it had failed, so that many at once are counted
    /// too; take that back with [`Throttle::succeeded`] or [`Throttle::abandoned`].
    ///
    /// # Errors
    /// How long it must wait, in whole seconds.
    pub fn admit(
        &self,
        tenant: TenantId,
        address: IpAddr,
        account: &str,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let (account, address) = (
            Key::account(tenant, address, account),
            Key::address(tenant, address),
        );
        let limits = &self.limits;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |key: &Key, free| counts.get(key)?.wait(free, limits, now);
        let wait =
            wait(&account, limits.free_per_account).max(wait(&address, limits.free_per_address));
        if let Some(wait) = wait {
            return Err(wait);
        }
        if counts.len() >= MOST {
            counts.retain(|_, count| now.since(count.last) < limits.window);
            if counts.len() >= MOST {
                counts.clear();
            }
        }
        add(&mut counts, account, limits.free_per_account, limits, now);
        Ok(())
    }

    /// An admitted attempt has failed: it counts against its address as well.
    pub fn failed(&self, tenant: TenantId, address: IpAddr, now: Timestamp) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, free) = (Key::address(tenant, address), self.limits.free_per_address);
        add(&mut counts, key, free, &self.limits, now);
    }

    /// A success on the account from that address forgives the account there.
    pub fn succeeded(&self, tenant: TenantId, address: IpAddr, account: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&Key::account(tenant, address, account));
    }

    /// An admitted attempt was not judged, by no fault of who made it.
    pub fn abandoned(&self, tenant: TenantId, address: IpAddr, account: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(Key::account(tenant, address, account)) {
            count.get_mut().failures -= 1.0;
            if count.get().failures <= 0.0 {
                count.remove();
            }
        }
    }
}

fn add(counts: &mut HashMap<Key, Count>, key: Key, free: u32, limits: &Limits, now: Timestamp) {
    let count = counts.entry(key).or_insert(Count {
        failures: 0.0,
        last: now,
    });
    *count = Count {
        failures: count.left(free, limits, now) + 1.0,
        last: now,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TenantId = TenantId::SYSTEM;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn throttle() -> Throttle {
        Throttle::new(Limits::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Fails once; how long it had to wait, if it was not let pass.
    fn fail(throttle: &Throttle, from: &str, account: &str, seconds: i64) -> Option<Duration> {
        let from = address(from);
        match throttle.admit(T, from, account, at(seconds)) {
            Ok(()) => {
                throttle.failed(T, from, at(seconds));
                None
            }
            Err(wait) => Some(wait),
        }
    }

    #[test]
    fn a_clumsy_user_is_not_delayed_and_a_guesser_is() {
        let throttle = throttle();
        for _ in 0..10 {
            assert_eq!(fail(&throttle, "192.0.2.1", "ada", 0), None);
        }
        assert_eq!(
            fail(&throttle, "192.0.2.1", "ada", 0),
            Some(Duration::from_secs(1))
        );
        assert_eq!(
            fail(&throttle, "192.0.2.1", "bob", 0),
            None,
            "others behind that address go on"
        );
        assert_eq!(
            fail(&throttle, "192.0.2.2", "ada", 0),
            None,
            "the victim is not locked out"
        );
    }

    #[test]
    fn the_delay_doubles_up_to_its_limit_and_is_true() {
        let throttle = throttle();
        for _ in 0..10 {
            fail(&throttle, "192.0.2.1", "ada", 0);
        }
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = fail(&throttle, "192.0.2.1", "ada", now).unwrap();
            assert_eq!(wait, Duration::from_secs(expected));
            // Trying all the while makes it no longer.
            for early in 0..i64::try_from(expected).unwrap() {
                assert!(fail(&throttle, "192.0.2.1", "ada", now + early).is_some());
            }
            now += i64::try_from(expected).unwrap();
            assert_eq!(fail(&throttle, "192.0.2.1", "ada", now), None);
        }
    }

    #[test]
    fn an_office_that_mistypes_all_day_is_never_delayed() {
        let throttle = throttle();
        for minute in 0..600 {
            let account = format!("u{minute}");
            for _ in 0..3 {
                assert_eq!(fail(&throttle, "192.0.2.1", &account, minute * 60), None);
            }
        }
    }

    #[test]
    fn a_sprayer_is_delayed_by_address() {
        let throttle = throttle();
        let delayed =
            (0..60).filter(|n| fail(&throttle, "192.0.2.1", &format!("u{n}"), 0).is_some());
        assert_eq!(delayed.count(), 10);
        assert_eq!(fail(&throttle, "192.0.2.2", "u1", 0), None);
    }

    #[test]
    fn many_at_once_are_counted_before_any_has_failed() {
        let throttle = throttle();
        let here = address("192.0.2.1");
        let passed = (0..50).filter(|_| throttle.admit(T, here, "ada", at(0)).is_ok());
        assert_eq!(passed.count(), 10);
    }

    #[test]
    fn a_success_or_our_own_fault_is_not_held_against_anybody() {
        let throttle = throttle();
        let here = address("192.0.2.1");
        for n in 0..100 {
            throttle.admit(T, here, "ada", at(0)).unwrap();
            if n % 2 == 0 {
                throttle.abandoned(T, here, "ada");
            } else {
                throttle.succeeded(T, here, "ada");
            }
        }
        assert!(throttle.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let throttle = throttle();
        for host in 0..10 {
            assert_eq!(
                fail(&throttle, &format!("2001:db8:1:1::{host}"), "ada", 0),
                None
            );
        }
        assert!(fail(&throttle, "2001:db8:1:1:ffff::1", "ada", 0).is_some());
        assert_eq!(fail(&throttle, "2001:db8:1:2::1", "ada", 0), None);
        for _ in 0..10 {
            fail(&throttle, "::ffff:192.0.2.9", "ada", 0);
        }
        assert!(fail(&throttle, "192.0.2.9", "ada", 0).is_some());
    }

    #[test]
    fn what_a_stranger_types_takes_bounded_room() {
        let throttle = throttle();
        fail(&throttle, "192.0.2.1", &"x".repeat(1_000_000), 0);
        let counts = throttle.counts.lock().unwrap();
        let kept = counts.keys().map(|key| match key {
            Key::Account(_, _, name) => name.len(),
            Key::Address(..) => 0,
        });
        assert_eq!(kept.max(), Some(128));
    }
}
