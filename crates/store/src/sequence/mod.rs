//! The sequencer: one writer at a time per tenant moves committed acts from the outbox into the ledger, in order.
//!
//! INVARIANT: an outbox row leaves and its ledger entry arrives in one transaction that holds the tenant's head row,
//! so a crash anywhere loses nothing and doubles nothing, whichever replica sequences.

mod proofs;
pub(crate) mod repo;
mod runner;

use hub_base::{EntryId, TenantId, Timestamp};
use hub_ledger::{Checkpoint, Frontier, Hash, Signer, leaf_hash, merkle};

use crate::cx::Cx;
use crate::error::Error;
use crate::tx::{Store, Tx};

pub use proofs::{Inclusion, consistency_proof, inclusion_proof};
pub use runner::Sequencer;

/// Leaves below one stored subtree root.
pub(crate) const BLOCK: u64 = 256;
/// Entries moved in one transaction at most.
const BATCH: i64 = 5000;

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub index: i64,
    pub id: EntryId,
    pub operation: String,
    pub occurred_at: Timestamp,
    pub sequenced_at: Timestamp,
    pub leaf_hash: Hash,
    /// The exact text whose hash is the leaf: an [`Event`](hub_events::Event) as JSON.
    pub body: String,
}

/// The newest signed state of a tenant's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub root: Hash,
    /// The signed note.
    pub checkpoint: String,
    pub updated_at: Timestamp,
}

/// Which entries were added: `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequenced {
    pub from: u64,
    pub to: u64,
}

impl Sequenced {
    /// Whether nothing that waited was left behind: whoever commits later says so on the bus.
    pub(crate) const fn is_all(self) -> bool {
        self.to - self.from < BATCH.unsigned_abs()
    }
}

/// The log's name in its checkpoints.
pub fn origin(tenant: TenantId) -> String {
    format!("security-hub/{tenant}")
}

/// Moves what waits in one tenant's outbox into its ledger; `None` if nothing waited.
///
/// # Errors
/// [`Error::Ledger`] if the stored tree contradicts itself; nothing is written then.
pub async fn run_once(
    store: &Store,
    tenant: TenantId,
    signer: &dyn Signer,
) -> Result<Option<Sequenced>, Error> {
    let cx = Cx::system(store.clone(), tenant, "sequencer");
    let mut tx = cx.write().await?;
    let (size, frontier) = if let Some(head) = repo::lock_head(&mut tx).await? {
        head
    } else {
        repo::ensure_head(&mut tx).await?;
        let head = repo::lock_head(&mut tx).await?;
        head.ok_or_else(|| Error::Ledger("it has no head".to_owned()))?
    };
    let waiting = repo::waiting(&mut tx, BATCH).await?;
    if waiting.is_empty() {
        return Ok(None);
    }
    let mut tree = Frontier::from_bytes(size, &frontier)
        .ok_or_else(|| Error::Ledger(format!("its frontier does not fit its size {size}")))?;
    let mut block = block_of(&tree)?;
    let mut leaves = Vec::with_capacity(waiting.len());
    let mut subtrees = Vec::new();
    for entry in &waiting {
        let leaf = leaf_hash(entry.body.as_bytes());
        tree.push(leaf);
        block.push(leaf);
        leaves.push(leaf);
        if block.size() == BLOCK {
            subtrees.push((tree.size() / BLOCK - 1, block.root()));
            block = Frontier::default();
        }
    }
    repo::move_entries(&mut tx, size, &waiting, &leaves).await?;
    repo::insert_subtrees(&mut tx, &subtrees).await?;
    let checkpoint = Checkpoint {
        origin: origin(tenant),
        size: tree.size(),
        root: tree.root(),
    };
    let note = checkpoint
        .sign(signer)
        .map_err(|error| Error::Ledger(error.to_string()))?;
    repo::update_head(&mut tx, &tree, &note).await?;
    tx.commit_progress().await?;
    Ok(Some(Sequenced {
        from: size,
        to: tree.size(),
    }))
}

/// Whether anything waits: looking first spares the head's row lock where there most likely is nothing.
async fn anything_waits(store: &Store, tenant: TenantId) -> Result<bool, Error> {
    let mut tx = store.read(tenant).await?;
    repo::anything_waits(&mut tx).await
}

/// The frontier of the last, incomplete block: the lowest peaks of the whole frontier.
fn block_of(tree: &Frontier) -> Result<Frontier, Error> {
    let rest = tree.size() % BLOCK;
    let bytes = tree.to_bytes();
    let kept = usize::try_from(rest.count_ones()).unwrap_or(0) * 32;
    let peaks = bytes
        .get(bytes.len().saturating_sub(kept)..)
        .unwrap_or_default();
    Frontier::from_bytes(rest, peaks).ok_or_else(|| Error::Ledger("its last block is odd".into()))
}

/// The newest head; an empty ledger has none yet.
pub async fn head(tx: &mut Tx) -> Result<Option<Head>, Error> {
    repo::head(tx).await
}

/// Entries after index `after` (from the first if `None`), in order.
pub async fn entries(
    tx: &mut Tx,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<LedgerEntry>, Error> {
    repo::entries(tx, after.unwrap_or(-1), limit).await
}

pub async fn entry(tx: &mut Tx, index: i64) -> Result<Option<LedgerEntry>, Error> {
    Ok(repo::entries(tx, index - 1, 1)
        .await?
        .into_iter()
        .find(|entry| entry.index == index))
}

/// One entry by its id (`metadata.uid` of the act).
pub async fn by_id(tx: &mut Tx, id: EntryId) -> Result<Option<LedgerEntry>, Error> {
    repo::by_id(tx, id).await
}

/// What to look for in the ledger; newest first.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Exactly this operation.
    pub operation: Option<String>,
    /// This text anywhere in the entry, case-insensitive.
    pub text: Option<String>,
    /// Entries below this index.
    pub before: Option<i64>,
    pub limit: i64,
}

pub async fn search(tx: &mut Tx, search: &Search) -> Result<Vec<LedgerEntry>, Error> {
    repo::search(tx, search).await
}

/// How many acts wait for their place in the ledger.
pub async fn backlog(tx: &mut Tx) -> Result<i64, Error> {
    repo::backlog(tx).await
}

/// The root of the empty ledger, for views of a tenant that has no entry yet.
pub fn empty_root() -> Hash {
    merkle::empty_root()
}
