use hub_base::{EntryId, Timestamp};
use hub_ledger::{Frontier, Hash};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Head, LedgerEntry, Search};
use crate::error::Error;
use crate::tx::Tx;

/// An act in the outbox.
pub(crate) struct Waiting {
    id: Uuid,
    operation: String,
    occurred_at: OffsetDateTime,
    pub(crate) body: String,
}

pub(crate) async fn anything_waits(tx: &mut Tx) -> Result<bool, Error> {
    let tenant = tx.tenant().uuid();
    let (waits,): (bool,) =
        sqlx::query_as("select exists (select from ledger_outbox where tenant_id = $1)")
            .bind(tenant)
            .fetch_one(tx.conn())
            .await?;
    Ok(waits)
}

pub(crate) async fn backlog(tx: &mut Tx) -> Result<i64, Error> {
    let tenant = tx.tenant().uuid();
    let (count,): (i64,) =
        sqlx::query_as("select count(*) from ledger_outbox where tenant_id = $1")
            .bind(tenant)
            .fetch_one(tx.conn())
            .await?;
    Ok(count)
}

pub(crate) async fn ensure_head(tx: &mut Tx) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "insert into ledger_head (tenant_id, size, frontier, root, checkpoint, updated_at)
         values ($1, 0, '', '', '', $2) on conflict do nothing",
    )
    .bind(tenant)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The head's size and frontier; holds its row until the transaction ends.
pub(crate) async fn lock_head(tx: &mut Tx) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("select size, frontier from ledger_head where tenant_id = $1 for update")
            .bind(tenant)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|(size, frontier)| (size.unsigned_abs(), frontier)))
}

pub(crate) async fn waiting(tx: &mut Tx, limit: i64) -> Result<Vec<Waiting>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Uuid, String, OffsetDateTime, String)> = sqlx::query_as(
        "select id, operation, occurred_at, body from ledger_outbox where tenant_id = $1 order by position limit $2",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, operation, occurred_at, body)| Waiting {
            id,
            operation,
            occurred_at,
            body,
        })
        .collect())
}

/// Moves what waited into the ledger, from index `first` on: one statement, so that no row is in both or in neither.
pub(crate) async fn move_entries(
    tx: &mut Tx,
    first: u64,
    entries: &[Waiting],
    leaves: &[Hash],
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    let indices: Vec<i64> = (first..).take(entries.len()).collect();
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    let operations: Vec<&str> = entries
        .iter()
        .map(|entry| entry.operation.as_str())
        .collect();
    let times: Vec<OffsetDateTime> = entries.iter().map(|entry| entry.occurred_at).collect();
    let leaves: Vec<&[u8]> = leaves.iter().map(|leaf| leaf.0.as_slice()).collect();
    let bodies: Vec<&str> = entries.iter().map(|entry| entry.body.as_str()).collect();
    sqlx::query(
        "with moved as (delete from ledger_outbox where tenant_id = $1 and id = any($4))
         insert into ledger_entry (tenant_id, idx, id, operation, occurred_at, sequenced_at, leaf_hash, body)
         select $1, idx, id, operation, occurred_at, $2, leaf, body
         from unnest($3::bigint[], $4::uuid[], $5::text[], $6::timestamptz[], $7::bytea[], $8::text[])
           as t (idx, id, operation, occurred_at, leaf, body)",
    )
    .bind(tenant)
    .bind(now)
    .bind(indices)
    .bind(ids)
    .bind(operations)
    .bind(times)
    .bind(leaves)
    .bind(bodies)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn insert_subtrees(tx: &mut Tx, subtrees: &[(u64, Hash)]) -> Result<(), Error> {
    if subtrees.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().uuid();
    let indices: Vec<i64> = subtrees
        .iter()
        .map(|(index, _)| i64::try_from(*index).unwrap_or(i64::MAX))
        .collect();
    let hashes: Vec<&[u8]> = subtrees.iter().map(|(_, hash)| hash.0.as_slice()).collect();
    sqlx::query(
        "insert into ledger_subtree (tenant_id, idx, hash)
         select $1, idx, hash from unnest($2::bigint[], $3::bytea[]) as t (idx, hash)",
    )
    .bind(tenant)
    .bind(indices)
    .bind(hashes)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn update_head(
    tx: &mut Tx,
    tree: &Frontier,
    checkpoint: &str,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "update ledger_head set size = $2, frontier = $3, root = $4, checkpoint = $5, updated_at = $6
         where tenant_id = $1",
    )
    .bind(tenant)
    .bind(i64::try_from(tree.size()).unwrap_or(i64::MAX))
    .bind(tree.to_bytes())
    .bind(tree.root().0.as_slice())
    .bind(checkpoint)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn head(tx: &mut Tx) -> Result<Option<Head>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(i64, Vec<u8>, String, OffsetDateTime)> = sqlx::query_as(
        "select size, root, checkpoint, updated_at from ledger_head where tenant_id = $1 and size > 0",
    )
    .bind(tenant)
    .fetch_optional(tx.conn())
    .await?;
    row.map(|(size, root, checkpoint, updated_at)| {
        let root =
            Hash::from_slice(&root).ok_or_else(|| Error::Ledger("its root is odd".into()))?;
        let updated_at = Timestamp::from_offset(updated_at);
        Ok(Head {
            size: size.unsigned_abs(),
            root,
            checkpoint,
            updated_at,
        })
    })
    .transpose()
}

type EntryRow = (
    i64,
    Uuid,
    String,
    OffsetDateTime,
    OffsetDateTime,
    Vec<u8>,
    String,
);

fn entry(row: EntryRow) -> Result<LedgerEntry, Error> {
    let (index, id, operation, occurred_at, sequenced_at, leaf, body) = row;
    Ok(LedgerEntry {
        index,
        id: EntryId::from_uuid(id),
        operation,
        occurred_at: Timestamp::from_offset(occurred_at),
        sequenced_at: Timestamp::from_offset(sequenced_at),
        leaf_hash: Hash::from_slice(&leaf)
            .ok_or_else(|| Error::Ledger(format!("the leaf of entry {index} is odd")))?,
        body,
    })
}

pub(crate) async fn entries(
    tx: &mut Tx,
    after: i64,
    limit: i64,
) -> Result<Vec<LedgerEntry>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<EntryRow> = sqlx::query_as(
        "select idx, id, operation, occurred_at, sequenced_at, leaf_hash, body from ledger_entry
         where tenant_id = $1 and idx > $2 order by idx limit $3",
    )
    .bind(tenant)
    .bind(after)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(entry).collect()
}

pub(crate) async fn by_id(tx: &mut Tx, id: EntryId) -> Result<Option<LedgerEntry>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<EntryRow> = sqlx::query_as(
        "select idx, id, operation, occurred_at, sequenced_at, leaf_hash, body from ledger_entry
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    row.map(entry).transpose()
}

pub(crate) async fn search(tx: &mut Tx, search: &Search) -> Result<Vec<LedgerEntry>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<EntryRow> = sqlx::query_as(
        "select idx, id, operation, occurred_at, sequenced_at, leaf_hash, body from ledger_entry
         where tenant_id = $1 and ($2::text is null or operation = $2)
           and ($3::text is null or position(lower($3) in lower(body)) > 0)
           and ($4::bigint is null or idx < $4)
         order by idx desc limit $5",
    )
    .bind(tenant)
    .bind(search.operation.as_deref())
    .bind(search.text.as_deref())
    .bind(search.before)
    .bind(search.limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(entry).collect()
}

pub(crate) async fn subtrees(tx: &mut Tx, first: u64, count: u64) -> Result<Vec<Hash>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
        "select hash from ledger_subtree where tenant_id = $1 and idx >= $2 and idx < $3 order by idx",
    )
    .bind(tenant)
    .bind(i64::try_from(first).unwrap_or(i64::MAX))
    .bind(i64::try_from(first + count).unwrap_or(i64::MAX))
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .iter()
        .filter_map(|(hash,)| Hash::from_slice(hash))
        .collect())
}

pub(crate) async fn leaves(tx: &mut Tx, first: u64, count: u64) -> Result<Vec<Hash>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
        "select leaf_hash from ledger_entry where tenant_id = $1 and idx >= $2 and idx < $3 order by idx",
    )
    .bind(tenant)
    .bind(i64::try_from(first).unwrap_or(i64::MAX))
    .bind(i64::try_from(first + count).unwrap_or(i64::MAX))
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .iter()
        .filter_map(|(hash,)| Hash::from_slice(hash))
        .collect())
}
