//! What any operation has: who acts, from where, the store, the clock.

use std::sync::Arc;

use hub_base::{Clock, Origin, Principal, TenantId, Timestamp};

use crate::error::Error;
use crate::tx::{ReadTx, Store, WriteTx};

/// The context of one operation. Made only by the authentication layer, a worker, or a command.
#[derive(Debug, Clone)]
pub struct Cx {
    pub store: Store,
    pub principal: Arc<Principal>,
    /// Where a request came from; `None` for the hub's own work.
    pub origin: Option<Arc<Origin>>,
}

impl Cx {
    pub fn new(
        store: Store,
        principal: impl Into<Arc<Principal>>,
        origin: Option<Arc<Origin>>,
    ) -> Self {
        Self {
            store,
            principal: principal.into(),
            origin,
        }
    }

    /// The hub's own work in a tenant.
    pub fn system(store: Store, tenant: TenantId, component: &'static str) -> Self {
        Self::new(store, Principal::system(tenant, component), None)
    }

    pub fn tenant(&self) -> TenantId {
        self.principal.tenant
    }

    pub fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.store.clock()
    }

    /// A read-only transaction in this tenant.
    pub async fn read(&self) -> Result<ReadTx, Error> {
        self.store.read(self.tenant()).await
    }

    /// A writing transaction in this tenant; it commits only with an act.
    pub async fn write(&self) -> Result<WriteTx, Error> {
        self.store.write(self).await
    }
}
