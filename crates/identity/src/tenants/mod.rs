//! Tenants: made with their first owner, listed, looked up.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use hub_base::{Principal, TenantId, UserId};
use hub_store::directory::{self, Tenant};
use hub_store::{Cx, Store};

use crate::acts;
use crate::error::Error;
use crate::hash_pool::HashPool;
use crate::users::{self, NewUser};

/// A tenant that was made, with its owner.
#[derive(Debug, Clone, Copy)]
pub struct Created {
    pub tenant: TenantId,
    pub owner: UserId,
}

/// Makes a tenant and its owner in one transaction. `grant` gives the owner their role within it.
///
/// # Errors
/// [`Error::Taken`] or [`Error::Unfit`] for the slug, the name or the owner's fields.
pub async fn create(
    cx: &Cx,
    slug: &str,
    name: &str,
    owner: NewUser,
    pool: &HashPool,
    grant: impl AsyncFnOnce(&mut hub_store::WriteTx, UserId) -> Result<(), hub_store::Error>,
) -> Result<Created, Error> {
    let tenant = TenantId::new(&**cx.clock());
    // The operator acts inside the new tenant: its ledger begins with its own making.
    let principal = Principal {
        tenant,
        ..(*cx.principal).clone()
    };
    let within = Cx::new(cx.store.clone(), principal, cx.origin.clone());
    let prepared = users::prepare(&within, owner, pool).await?;
    let mut tx = within.write().await?;
    directory::insert(&mut tx, tenant, slug, name).await?;
    tx.record(acts::tenant_create(tenant, slug)).await?;
    let owner = users::create_in(&mut tx, &within, prepared).await?;
    grant(&mut tx, owner).await?;
    tx.commit_progress().await?;
    Ok(Created { tenant, owner })
}

/// All tenants, by slug.
pub async fn list(cx: &Cx) -> Result<Vec<Tenant>, Error> {
    let mut tx = cx.read().await?;
    Ok(directory::list(&mut tx).await?)
}

/// Slugs that were looked up before, for the door where everybody signs in.
///
/// INVARIANT: a tenant keeps its slug, and a slug is never given to another; so what was found once stays true. Whether
/// the tenant is suspended is asked anew with each sign-in.
#[derive(Debug, Default)]
pub struct Slugs(RwLock<HashMap<String, TenantId>>);

impl Slugs {
    /// The tenant with that slug, if there is one.
    pub async fn find(&self, store: &Store, slug: &str) -> Result<Option<TenantId>, Error> {
        let known = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(slug)
            .copied();
        if known.is_some() {
            return Ok(known);
        }
        let found = by_slug(store, slug).await?.map(|tenant| tenant.id);
        if let Some(id) = found {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(slug.to_owned(), id);
        }
        Ok(found)
    }
}

/// The tenant with that slug, if it is there and not suspended.
pub async fn by_slug(store: &Store, slug: &str) -> Result<Option<Tenant>, Error> {
    let mut tx = store.read(TenantId::SYSTEM).await?;
    let tenant = directory::by_slug(&mut tx, slug).await?;
    Ok(tenant.filter(|tenant| tenant.suspended_at.is_none()))
}
