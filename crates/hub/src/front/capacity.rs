//! How many connections may be open, in all and from one address, so that silence from one place stops nobody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

#[derive(Debug)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Counts open connections against two limits.
#[derive(Debug, Clone)]
pub(super) struct Capacity {
    open: Arc<Mutex<Open>>,
    all: usize,
    per_address: usize,
    /// Stand for many: only the limit of all counts for them.
    proxies: Arc<[IpNet]>,
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
}

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    House,
    Address,
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Capacity {
    pub(super) fn new(all: usize, per_address: usize, proxies: &[IpNet]) -> Self {
        let open = Arc::new(Mutex::new(Open {
            all: 0,
            by_address: HashMap::new(),
        }));
        Self {
            open,
            all,
            per_address,
            proxies: proxies.into(),
        }
    }

    pub(super) fn admit(&self, address: IpAddr) -> Result<Permit, Full> {
        let mut open = lock(&self.open);
        if open.all >= self.all {
            return Err(Full::House);
        }
        let from_there = open.by_address.entry(address).or_insert(0);
        let is_proxy = || self.proxies.iter().any(|net| net.contains(&address));
        if *from_there >= self.per_address && !is_proxy() {
            return Err(Full::Address);
        }
        *from_there += 1;
        open.all += 1;
        Ok(Permit {
            open: Arc::clone(&self.open),
            address,
        })
    }

    pub(super) fn open(&self) -> usize {
        lock(&self.open).all
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.all = open.all.saturating_sub(1);
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_take_the_house() {
        let capacity = Capacity::new(3, 2, &[]);
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let held: Vec<Permit> = [one, one, two]
            .into_iter()
            .map(|a| capacity.admit(a).unwrap())
            .collect();
        assert_eq!(capacity.admit(two).unwrap_err(), Full::House);
        drop(held);
        assert_eq!(capacity.open(), 0);
        let _held: Vec<Permit> = [one, one]
            .into_iter()
            .map(|a| capacity.admit(a).unwrap())
            .collect();
        assert_eq!(capacity.admit(one).unwrap_err(), Full::Address);
        assert!(capacity.admit(two).is_ok());
    }

    #[test]
    fn a_trusted_proxy_may_fill_the_house() {
        let capacity = Capacity::new(3, 1, &["192.0.2.0/24".parse().unwrap()]);
        let proxy = IpAddr::from([192, 0, 2, 1]);
        let held: Vec<_> = (0..3).map(|_| capacity.admit(proxy)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(capacity.admit(proxy).unwrap_err(), Full::House);
    }
}
