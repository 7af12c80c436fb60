//! Restoring beside, proving, and copying one tenant's rows out of it.

use std::sync::Arc;

use hub_base::{Clock, TenantId};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, Store, WriteTx, directory};
use hub_vault::RecoveryKey;
use serde_json::json;

use super::scratch::{self, Scratch};
use super::{COMPONENT, Copied, Done, Live, Wish, migrations, repo};
use crate::backup::{Config, Site};
use crate::error::Error;
use crate::operation::{Operation, Witness};
use crate::restore::{Plan, Proof, Request, Restore, Source};

/// OCSF's `activity_id` of reading (class 3004).
const READ: u8 = 2;
/// What PostgreSQL's names hold at most, less what stands around a slug.
const LONGEST_SLUG: usize = 63 - "restored__0123456789ab".len();

/// Copies a tenant out of a backup. The database that is restored for it is gone afterwards, however it ends; the copy is
/// there wholly or not at all.
///
/// # Errors
/// What keeps it from beginning.
pub async fn extract(
    mut wish: Wish<'_>,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Done<Copied>, Error> {
    let mut operation = Operation::begin("restore", Arc::clone(&clock), witness);
    if let Some(left) = scratch::sweep(wish.site)? {
        let said = format!("{} was left by one that was killed", left.display());
        operation.did("sweep", said, json!(left));
    }
    let scratch = Scratch::make(wish.site, &wish.scratch, operation.id())?;
    let key = wish.key.take();
    let done = attempt(&wish, key, &scratch, &mut operation, &clock).await;
    // The server's log goes with it: what it said is in the error.
    let gone = scratch.tear_down();
    let (result, record) = match done.and_then(|copy| gone.map(|()| copy)) {
        Ok(copy) => {
            let subject = copy.name.clone();
            (Some(copy), operation.end(subject, None))
        }
        // A wrong name is the caller's mistake and no failed restore.
        Err(error @ Error::Decided(_)) => return Err(error),
        Err(error) => {
            let why = hub_base::chain(&error);
            (None, operation.end(wish.tenant.clone(), Some(why)))
        }
    };
    wish.site.log()?.keep(&record)?;
    Ok(Done { record, result })
}

async fn attempt(
    wish: &Wish<'_>,
    key: Option<RecoveryKey>,
    scratch: &Scratch,
    operation: &mut Operation<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<Copied, Error> {
    let live = Live::open(wish.site, clock).await?;
    let copied = restored(wish, key, scratch, &live, operation, clock).await;
    live.close().await?;
    copied
}

async fn restored(
    wish: &Wish<'_>,
    key: Option<RecoveryKey>,
    scratch: &Scratch,
    live: &Live,
    operation: &mut Operation<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<Copied, Error> {
    let site = Site::open(&wish.site.data_dir, wish.site.config.clone())?;
    let request = Request {
        source: Source::Site(Box::new(site)),
        point: wish.point.clone(),
        into: scratch.path.clone(),
        in_place: false,
        key,
        server: wish.server.clone(),
        processes: Config::default().processes,
    };
    let restore = Restore::open(&request).await?;
    operation.at("plan", "what is kept");
    let plan = restore.plan(&**clock).await?;
    let said = format!("{} of {}", plan.point, plan.backup.label);
    operation.did("plan", said, json!(plan));
    let hold = restore.hold(&plan)?;
    restore.copy(&plan, operation).await?;
    restore.keys(&plan, operation)?;
    restore.recover(&plan, operation).await?;
    let proof = restore.prove(&plan, operation).await?;
    // Before a hub is started on it: that one would do its work, and change rows.
    let (copied, tx) = copy(wish, &restore, live, &plan, &proof, operation, clock).await?;
    // The hub that is started takes it.
    drop(hold);
    restore.hub_answers(operation).await?;
    let act = Act::new("tenant.extract", Class::EntityManagement, READ, "admin")
        .on(Subject::new("tenant", copied.id).named(copied.tenant.clone()))
        .with("unmapped.restore.operation", operation.id().to_string())
        .with("unmapped.restore.backup", copied.backup.as_str())
        .with("unmapped.restore.point", copied.point.as_str())
        .with("unmapped.restore.copy", copied.name.as_str());
    tx.commit(act).await?;
    let said = format!(
        "{} holds {} rows of {}",
        copied.name, copied.rows, copied.tenant
    );
    operation.did("keep", said, json!(copied));
    Ok(copied)
}

/// The copy in a transaction that is still open.
async fn copy(
    wish: &Wish<'_>,
    restore: &Restore<'_>,
    live: &Live,
    plan: &Plan,
    proof: &Proof,
    operation: &mut Operation<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<(Copied, WriteTx), Error> {
    operation.at("extract", "the tenant's rows");
    let overseer = restore.cluster.overseer()?;
    let missing = overseer.migrate().await?;
    if !missing.is_empty() {
        let said = format!("what was restored was migrated: {}", missing.join(", "));
        operation.did("migrate", said, json!(missing));
    }
    let then = overseer.as_owner(Arc::clone(clock)).await?;
    let tenant = tenant(&then, &wish.tenant, plan).await?;
    let mut from = Cx::system(then, tenant, COMPONENT).read().await?;
    let mut to = live.write_of(tenant).await?;
    let (old, new) = (migrations(&mut from).await?, migrations(&mut to).await?);
    if old != new {
        return Err(Error::Backup(format!(
            "the live database is at migration {:04} and what was restored at {:04} of this program: use the hubctl of the \
             release that runs",
            new.0, old.0
        )));
    }
    let ledger = proof
        .ledgers
        .iter()
        .find(|ledger| ledger.tenant == wish.tenant);
    let mut copied = Copied {
        name: schema(&wish.tenant, &operation.id().to_string()),
        tenant: wish.tenant.clone(),
        id: tenant,
        backup: plan.backup.label.clone(),
        point: plan.point.clone(),
        at: operation.now(),
        operation: operation.id(),
        rows: 0,
        ledger_size: ledger.map_or(0, |ledger| ledger.size),
        ledger_root: ledger.map_or_else(
            || hex::encode(hub_store::sequence::empty_root().0),
            |ledger| ledger.root.clone(),
        ),
        migrations: new.1,
        bytes: 0,
    };
    let mut rows = std::collections::BTreeMap::new();
    let tables = repo::tables(&mut from).await?;
    let about = |copied: &Copied| serde_json::to_string(copied).unwrap_or_default();
    repo::create(&mut to, &copied.name, &about(&copied)).await?;
    for table in &tables {
        operation.note(&table.name);
        repo::make(&mut to, &copied.name, table).await?;
        let count = repo::stream(&mut from, &mut to, &copied.name, table, tenant).await?;
        let there = repo::sum(&mut from, "public", table, tenant).await?;
        let here = repo::sum(&mut to, &copied.name, table, tenant).await?;
        if there != here {
            return Err(Error::NotProven(format!(
                "{} has {} rows in the backup and {} in the copy, or others",
                table.name, there.0, here.0
            )));
        }
        repo::index(&mut to, &copied.name, table).await?;
        copied.rows += count;
        rows.insert(table.name.clone(), count);
    }
    repo::describe(&mut to, &copied.name, &about(&copied)).await?;
    let said = format!(
        "{} rows of {} tables, counted and summed",
        copied.rows,
        tables.len()
    );
    operation.did("extract", said, json!(rows));
    Ok((copied, to))
}

/// The tenant that had this slug then.
async fn tenant(then: &Store, slug: &str, plan: &Plan) -> Result<TenantId, Error> {
    let mut tx = then.read(TenantId::SYSTEM).await?;
    let all = directory::list(&mut tx).await?;
    if let Some(tenant) = all.iter().find(|tenant| tenant.slug == slug) {
        return Ok(tenant.id);
    }
    let slugs: Vec<&str> = all.iter().map(|tenant| &*tenant.slug).collect();
    Err(Error::Decided(format!(
        "{} at {} has no tenant `{}`; it has {}",
        plan.backup.label,
        plan.point,
        hub_base::plain(slug),
        slugs.join(", ")
    )))
}

/// A schema's name: the tenant's, and what no other has.
fn schema(slug: &str, operation: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let slug: String = slug.chars().take(LONGEST_SLUG).map(letter).collect();
    let hex: String = operation.chars().filter(char::is_ascii_hexdigit).collect();
    let unique = hex.get(hex.len().saturating_sub(12)..).unwrap_or_default();
    format!("restored_{slug}_{unique}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_name_whatever_the_tenant_is_called() {
        let operation = "01934b3a-0000-7000-8000-0123456789ab";
        assert_eq!(schema("acme", operation), "restored_acme_0123456789ab");
        assert_eq!(schema("a-1", operation), "restored_a_1_0123456789ab");
        let long = schema(&"x".repeat(63), operation);
        assert_eq!(long.len(), 63);
        assert!(long.ends_with("_0123456789ab"));
        assert_eq!(
            schema("\"; drop schema public; --", operation)
                .matches('"')
                .count(),
            0
        );
    }
}
