//! A token bucket for each credential or address: a burst at once, a steady rate in the long run.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use hub_base::{ApiKeyId, Timestamp, UserId};

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    User(UserId),
    Key(ApiKeyId),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Millionths of a request.
    filled: u64,
    at: Timestamp,
}

const ONE: u64 = 1_000_000;
/// Above this many, full buckets are forgotten: a full bucket says the same as none.
const REMEMBERED: usize = 50_000;

#[derive(Debug)]
pub(crate) struct Rate {
    per_second: u64,
    capacity: u64,
    buckets: Mutex<HashMap<Who, Bucket>>,
}

impl Rate {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: u64::from(per_second),
            capacity: u64::from(burst) * ONE,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request from the bucket, or says after how many seconds there will be one.
    pub(crate) fn take(&self, who: Who, now: Timestamp) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > REMEMBERED {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.capacity);
        }
        let bucket = buckets.entry(who).or_insert(Bucket {
            filled: self.capacity,
            at: now,
        });
        bucket.filled = self.filled(bucket, now);
        bucket.at = now;
        match bucket.filled.checked_sub(ONE) {
            Some(rest) => {
                bucket.filled = rest;
                Ok(())
            }
            None => Err(1),
        }
    }

    fn filled(&self, bucket: &Bucket, now: Timestamp) -> u64 {
        let micros = u64::try_from(now.since(bucket.at).as_micros()).unwrap_or(u64::MAX);
        bucket
            .filled
            .saturating_add(micros.saturating_mul(self.per_second))
            .min(self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate::new(2, 3);
        let one = Who::Address(IpAddr::from([192, 0, 2, 1]));
        let other = Who::Address(IpAddr::from([192, 0, 2, 2]));
        let at = Timestamp::from_unix_millis;
        for _ in 0..3 {
            assert!(rate.take(one, at(0)).is_ok());
        }
        assert!(rate.take(one, at(0)).is_err());
        assert!(rate.take(other, at(0)).is_ok());
        assert!(rate.take(one, at(499)).is_err());
        assert!(rate.take(one, at(1000)).is_ok());
    }
}
