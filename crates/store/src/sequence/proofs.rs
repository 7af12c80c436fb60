//! Proofs from what is stored: leaf hashes, and the roots of full blocks of 256.

use hub_ledger::proof::{self, Range};
use hub_ledger::{Frontier, Hash};

use super::{BLOCK, Head, LedgerEntry, repo};
use crate::error::Error;
use crate::tx::Tx;

/// An entry with the proof that it is in the tree of the newest checkpoint.
#[derive(Debug, Clone)]
pub struct Inclusion {
    pub entry: LedgerEntry,
    /// Leaf to root. RFC 9162 §2.1.3.
    pub path: Vec<Hash>,
    pub head: Head,
}

/// The inclusion proof of an entry; `None` if there is no such entry.
///
/// # Errors
/// [`Error::Ledger`] if stored hashes are missing.
pub async fn inclusion_proof(tx: &mut Tx, index: i64) -> Result<Option<Inclusion>, Error> {
    let Some(head) = repo::head(tx).await? else {
        return Ok(None);
    };
    let Some(entry) = super::entry(tx, index).await? else {
        return Ok(None);
    };
    let Ok(ranges) = proof::inclusion_ranges(index.unsigned_abs(), head.size) else {
        return Ok(None);
    };
    let path = hashes(tx, &ranges).await?;
    Ok(Some(Inclusion { entry, path, head }))
}

/// The proof that the tree of `first` entries is the beginning of the tree of `second`; `None` if there are not so many.
///
/// # Errors
/// [`Error::Ledger`] if stored hashes are missing.
pub async fn consistency_proof(
    tx: &mut Tx,
    first: u64,
    second: u64,
) -> Result<Option<Vec<Hash>>, Error> {
    let size = repo::head(tx).await?.map_or(0, |head| head.size);
    if second > size {
        return Ok(None);
    }
    let Ok(ranges) = proof::consistency_ranges(first, second) else {
        return Ok(None);
    };
    Ok(Some(hashes(tx, &ranges).await?))
}

async fn hashes(tx: &mut Tx, ranges: &[Range]) -> Result<Vec<Hash>, Error> {
    let mut found = Vec::with_capacity(ranges.len());
    for range in ranges {
        found.push(subtree(tx, *range).await?);
    }
    Ok(found)
}

/// The root over a run of leaves: full blocks by their stored roots, the rest by leaf hashes.
async fn subtree(tx: &mut Tx, range: Range) -> Result<Hash, Error> {
    let blocks = if range.start.is_multiple_of(BLOCK) {
        range.size / BLOCK
    } else {
        0
    };
    let mut upper = Frontier::default();
    for hash in repo::subtrees(tx, range.start / BLOCK, blocks).await? {
        upper.push(hash);
    }
    let mut lower = Frontier::default();
    for hash in repo::leaves(
        tx,
        range.start + blocks * BLOCK,
        range.size - blocks * BLOCK,
    )
    .await?
    {
        lower.push(hash);
    }
    if upper.size() != blocks || lower.size() != range.size - blocks * BLOCK {
        return Err(Error::Ledger(format!(
            "hashes are missing from entry {}",
            range.start
        )));
    }
    let mut peaks = upper.to_bytes();
    peaks.extend(lower.to_bytes());
    Frontier::from_bytes(range.size, &peaks)
        .map(|tree| tree.root())
        .ok_or_else(|| Error::Ledger("its subtrees do not fit together".into()))
}
