//! Removing what is no longer to be kept: by a policy that is data, in batches that each commit with their act, never what a
//! legal hold covers, never the ledger.
//!
//! "Removed" means: no statement sees the rows again, and PostgreSQL's vacuum gives their space away. Until then, in the WAL,
//! in backups that are not yet pruned and in cells that an SSD has set aside, the bytes may still be. Only whoever destroys
//! the key of an encrypted disk or backup can say more. A certificate says what was done, and no more than that.

pub mod hosts;
mod policy;
mod repo;

use hub_base::{OperationId, TenantId, Timestamp};
use hub_events::{Act, Class as ActClass, Subject};
use hub_ledger::{Signer, note};
use hub_store::{Cx, Store};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::holds;

pub use policy::{Class, Policy, Rule};

/// OCSF's `activity_id` of a deletion (class 6005).
const DELETE: u8 = 4;
/// Rows that one transaction removes at most; of what is in one with many rows, such as batches of events, fewer.
const BATCH: i64 = 500;
/// The first line of a certificate; no checkpoint begins with it.
const HEADING: &str = "security-hub/removal/1";

/// What the policy would remove of one class in one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Due {
    pub tenant: TenantId,
    pub slug: String,
    pub class: Class,
    pub count: i64,
    pub oldest: Option<Timestamp>,
    /// As the rows lie in the table, before compression is undone.
    pub bytes: i64,
    /// Why none of it may go.
    pub held: Option<String>,
}

/// What one batch removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub tenant: TenantId,
    pub class: Class,
    pub count: u64,
    /// SHA-256 over the ids in order, each followed by a newline.
    pub ids_sha256: String,
    /// A signed note, where the policy asks for one.
    pub certificate: Option<String>,
}

/// What is due, for every tenant and class that has any.
///
/// # Errors
/// [`Error::Store`].
pub async fn plan(store: &Store, policy: &Policy) -> Result<Vec<Due>, Error> {
    let mut all = Vec::new();
    for (tenant, slug) in tenants(store).await? {
        let held = holds::covering(store, tenant).await?;
        for &class in Class::ALL {
            let now = store.clock().now();
            let mut tx = store.read(tenant).await?;
            let (count, oldest, bytes) =
                repo::due(&mut tx, class, policy.until(class, now)).await?;
            if count > 0 {
                all.push(Due {
                    tenant,
                    slug: slug.clone(),
                    class,
                    count,
                    oldest,
                    bytes,
                    held: held.clone(),
                });
            }
        }
    }
    Ok(all)
}

async fn tenants(store: &Store) -> Result<Vec<(TenantId, String)>, Error> {
    let mut tx = store.read(TenantId::SYSTEM).await?;
    let all = hub_store::directory::list(&mut tx).await?;
    Ok(all.into_iter().map(|one| (one.id, one.slug)).collect())
}

/// Removes one batch of every tenant; nothing comes back once nothing is due. Killed at any moment, what was removed has its
/// act, and the rest is still due.
///
/// # Errors
/// [`Error::Store`].
pub async fn remove(
    store: &Store,
    policy: &Policy,
    operation: OperationId,
    signer: &dyn Signer,
) -> Result<Vec<Removed>, Error> {
    let mut all = Vec::new();
    for (tenant, _) in tenants(store).await? {
        for &class in Class::ALL {
            all.extend(batch(store, tenant, class, policy, operation, signer).await?);
        }
    }
    Ok(all)
}

async fn batch(
    store: &Store,
    tenant: TenantId,
    class: Class,
    policy: &Policy,
    operation: OperationId,
    signer: &dyn Signer,
) -> Result<Option<Removed>, Error> {
    let cx = Cx::system(store.clone(), tenant, "cleanup");
    let mut tx = cx.write().await?;
    // INVARIANT: the hold is looked for after the lock that placing one waits for, so that none is placed in between.
    holds::keep_out(&mut tx).await?;
    if holds::covering(store, tenant).await?.is_some() {
        return Ok(None);
    }
    let until = policy.until(class, tx.now());
    let limit = match class {
        Class::Events => BATCH / 10,
        // With up to 5000 lines each.
        Class::RunbookRuns => BATCH / 50,
        _ => BATCH,
    };
    let mut ids = repo::remove(&mut tx, class, until, limit).await?;
    if ids.is_empty() {
        return Ok(None);
    }
    ids.sort_unstable();
    let mut hash = Sha256::new();
    for id in &ids {
        hash.update(id.as_bytes());
        hash.update(b"\n");
    }
    let ids_sha256 = hex::encode(hash.finalize());
    let count = ids.len() as u64;
    let certificate = if policy.rule(class).certificate {
        let text = format!(
            "{HEADING}\ntenant {tenant}\nclass {class}\ncount {count}\nids-sha256 {ids_sha256}\nbefore {until}\nat {}\npolicy-sha256 {}\noperation {operation}\n",
            tx.now(),
            policy.digest(),
        );
        Some(note::sign(&text, signer).map_err(|error| Error::Lost(error.to_string()))?)
    } else {
        None
    };
    let act = Act::new(
        "cleanup.remove",
        ActClass::DatastoreActivity,
        DELETE,
        "admin",
    )
    .on(Subject::new("retention", class))
    .with("unmapped.cleanup.operation", operation.to_string())
    .with("unmapped.cleanup.count", count)
    .with("unmapped.cleanup.ids_sha256", ids_sha256.as_str())
    .with("unmapped.cleanup.before", until.to_string())
    .with("unmapped.cleanup.policy_sha256", policy.digest());
    tx.commit(act).await?;
    Ok(Some(Removed {
        tenant,
        class,
        count,
        ids_sha256,
        certificate,
    }))
}

#[cfg(test)]
mod tests;
