//! Leases: which worker holds a piece of a tenant's work. The database's clock decides, not the worker's.

pub(crate) mod repo;

use std::time::Duration;

use crate::error::Error;
use crate::tx::Tx;

/// Takes or renews the lease on `work` for `owner`; false if another owner holds it.
pub async fn acquire(tx: &mut Tx, work: &str, owner: &str, ttl: Duration) -> Result<bool, Error> {
    repo::acquire(tx, work, owner, ttl).await
}

/// Gives the lease back, if `owner` holds it.
pub async fn release(tx: &mut Tx, work: &str, owner: &str) -> Result<(), Error> {
    repo::release(tx, work, owner).await
}
