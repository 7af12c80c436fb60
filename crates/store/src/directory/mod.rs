//! The directory of tenants: the one table that all tenants share.

pub(crate) mod repo;

use hub_base::{TenantId, Timestamp};

use crate::error::Error;
use crate::tx::{Store, Tx, WriteTx};

/// A tenant as the directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    /// Lower-case letters, digits and hyphens, 1 to 63; what a person types to sign in.
    pub slug: String,
    pub name: String,
    pub created_at: Timestamp,
    pub suspended_at: Option<Timestamp>,
}

impl Store {
    /// The ids of all tenants, for workers that go over each.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let mut tx = self.read(TenantId::SYSTEM).await?;
        Ok(repo::list(&mut tx)
            .await?
            .into_iter()
            .map(|tenant| tenant.id)
            .collect())
    }
}

/// All tenants, by slug.
pub async fn list(tx: &mut Tx) -> Result<Vec<Tenant>, Error> {
    repo::list(tx).await
}

pub async fn by_slug(tx: &mut Tx, slug: &str) -> Result<Option<Tenant>, Error> {
    repo::by_slug(tx, slug).await
}

pub async fn by_id(tx: &mut Tx, id: TenantId) -> Result<Option<Tenant>, Error> {
    repo::by_id(tx, id).await
}

/// Adds a tenant; a taken or unfit slug comes back as [`Error::Constraint`] `tenant_slug_key` or `tenant_slug_form`.
pub async fn insert(tx: &mut WriteTx, id: TenantId, slug: &str, name: &str) -> Result<(), Error> {
    repo::insert(tx, id, slug, name).await
}
