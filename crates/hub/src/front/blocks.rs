//! The addresses that a tenant does not want to hear from, in memory: asked for at every request, never a query.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use hub_base::{TenantId, Timestamp};
use ipnet::IpNet;

/// One block in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) network: IpNet,
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct OfTenant {
    /// Networks of a single address: nearly all of them.
    single: HashMap<IpAddr, Option<Timestamp>>,
    wide: Vec<Block>,
}

/// All tenants' blocks. Each tenant's list is replaced as a whole when it has changed.
#[derive(Debug, Default)]
pub(crate) struct Blocks(RwLock<HashMap<TenantId, OfTenant>>);

impl Blocks {
    pub(crate) fn replace(&self, tenant: TenantId, blocks: Vec<Block>) {
        let mut kept = OfTenant::default();
        for block in blocks {
            if block.network.prefix_len() == block.network.max_prefix_len() {
                let until = kept
                    .single
                    .entry(block.network.addr())
                    .or_insert(block.until);
                // Two blocks of one address: the longer one holds.
                *until = match (*until, block.until) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    _ => None,
                };
            } else {
                kept.wide.push(block);
            }
        }
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant, kept);
    }

    pub(crate) fn refuses(&self, tenant: TenantId, address: IpAddr, now: Timestamp) -> bool {
        let blocks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(of_tenant) = blocks.get(&tenant) else {
            return false;
        };
        let in_force = |until: Option<Timestamp>| until.is_none_or(|until| now < until);
        of_tenant
            .single
            .get(&address)
            .is_some_and(|until| in_force(*until))
            || of_tenant
                .wide
                .iter()
                .any(|block| block.network.contains(&address) && in_force(block.until))
    }

    pub(crate) fn count(&self) -> usize {
        let blocks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        blocks
            .values()
            .map(|of_tenant| of_tenant.single.len() + of_tenant.wide.len())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_for_its_tenant_until_its_end() {
        let blocks = Blocks::default();
        let second = |n| Timestamp::from_unix_seconds(n);
        let other = TenantId::from_uuid(uuid::Uuid::nil());
        blocks.replace(
            TenantId::SYSTEM,
            vec![
                Block {
                    network: "192.0.2.1/32".parse().unwrap(),
                    until: Some(second(10)),
                },
                Block {
                    network: "198.51.100.0/24".parse().unwrap(),
                    until: None,
                },
            ],
        );
        let refuses = |address: &str, at| {
            blocks.refuses(TenantId::SYSTEM, address.parse().unwrap(), second(at))
        };
        assert!(refuses("192.0.2.1", 9) && !refuses("192.0.2.1", 10) && !refuses("192.0.2.2", 1));
        assert!(refuses("198.51.100.77", 1_000_000));
        assert!(!blocks.refuses(other, "192.0.2.1".parse().unwrap(), second(1)));
        blocks.replace(TenantId::SYSTEM, vec![]);
        assert_eq!(blocks.count(), 0);
    }
}
