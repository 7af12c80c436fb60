//! Addresses that the front door refuses, per tenant. Each block belongs to one action: an address that two
//! incidents block stays out until both have let it go.

pub(crate) mod repo;

use std::net::IpAddr;

use hub_base::{ActionId, BlockId, IncidentId, ManualClock, TenantId, Timestamp};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, Store, WriteTx};
use ipnet::IpNet;

use crate::actions::Action;
use crate::error::Error;

/// One refused network of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub tenant: TenantId,
    pub id: BlockId,
    pub network: IpNet,
    pub incident: IncidentId,
    pub action: ActionId,
    pub reason: String,
    pub created_at: Timestamp,
    /// `None` stands until it is released.
    pub until: Option<Timestamp>,
}

impl Block {
    /// Whether this block refuses `address` at `now`.
    pub fn refuses(&self, address: IpAddr, now: Timestamp) -> bool {
        self.network.contains(&address.to_canonical()) && self.until.is_none_or(|until| until > now)
    }
}

/// The tenant's standing blocks, oldest first.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(cx: &Cx) -> Result<Vec<Block>, Error> {
    let mut tx = cx.read().await?;
    repo::standing(&mut tx).await
}

/// One tenant's standing blocks, for the front door's own copy.
///
/// # Errors
/// [`Error::Store`].
pub async fn load(store: &Store, tenant: TenantId) -> Result<Vec<Block>, Error> {
    let mut tx = store.read(tenant).await?;
    repo::standing(&mut tx).await
}

/// Every tenant's standing blocks.
///
/// # Errors
/// [`Error::Store`].
pub async fn load_all(store: &Store) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    for tenant in store.tenants().await? {
        blocks.extend(load(store, tenant).await?);
    }
    Ok(blocks)
}

/// Refuses `network` on behalf of an action.
pub(crate) async fn add(
    tx: &mut WriteTx,
    action: &Action,
    network: IpNet,
    until: Option<Timestamp>,
) -> Result<BlockId, Error> {
    let id = BlockId::new(&ManualClock::at(tx.now()));
    repo::insert(tx, id, action, network, until).await?;
    let blocked = act("address.block", 1, action, network);
    tx.record(match until {
        Some(until) => blocked.with("unmapped.block.until", until.to_string()),
        None => blocked,
    })
    .await?;
    Ok(id)
}

/// Lets go what `add` refused on behalf of the action.
pub(crate) async fn remove(tx: &mut WriteTx, action: &Action) -> Result<(), Error> {
    if let Some(network) = repo::release(tx, action.id).await? {
        tx.record(act("address.release", 4, action, network))
            .await?;
    }
    Ok(())
}

fn act(operation: &'static str, activity: u8, action: &Action, network: IpNet) -> Act {
    Act::new(operation, Class::EntityManagement, activity, "response")
        .on(Subject::new("address", network))
        .with("unmapped.incident.uid", action.incident.to_string())
        .with("unmapped.action.uid", action.id.to_string())
        .with("unmapped.block.network", network.to_string())
}
