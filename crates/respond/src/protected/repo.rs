use hub_base::Timestamp;
use hub_store::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kind, Protected, ProtectedId};
use crate::error::{Error, inconsistent, sql};

type Row = (Uuid, String, String, String, String, OffsetDateTime);

fn protected(row: Row) -> Result<Protected, Error> {
    let (id, kind, value, reason, added_by, added_at) = row;
    Ok(Protected {
        id: Some(ProtectedId::from_uuid(id)),
        kind: Kind::parse(&kind).ok_or_else(|| inconsistent("protected_entity", "kind", id))?,
        value,
        reason,
        added_by,
        added_at: Some(Timestamp::from_offset(added_at)),
    })
}

pub(crate) async fn list(tx: &mut Tx) -> Result<Vec<Protected>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, kind, value, reason, added_by, added_at from protected_entity \
         where tenant_id = $1 order by added_at, id limit 10000",
    )
    .bind(tx.tenant().uuid())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.into_iter().map(protected).collect()
}

pub(crate) async fn of_kind(tx: &mut Tx, kind: Kind) -> Result<Vec<Protected>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, kind, value, reason, added_by, added_at from protected_entity \
         where tenant_id = $1 and kind = $2 order by added_at, id limit 10000",
    )
    .bind(tx.tenant().uuid())
    .bind(kind.name())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.into_iter().map(protected).collect()
}

/// The reason of the entry for this id or, whatever its case, this name.
pub(crate) async fn matching(
    tx: &mut Tx,
    kind: Kind,
    id: &str,
    name: Option<&str>,
) -> Result<Option<String>, Error> {
    let row: Option<(String,)> = sqlx::query_as(
        "select reason from protected_entity where tenant_id = $1 and kind = $2 \
         and (value = $3 or lower(value) = lower($4)) limit 1",
    )
    .bind(tx.tenant().uuid())
    .bind(kind.name())
    .bind(id)
    .bind(name)
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(|(reason,)| reason))
}

pub(crate) async fn insert(tx: &mut Tx, entry: &Protected) -> Result<(), Error> {
    let now = tx.now().to_offset();
    let done = sqlx::query(
        "insert into protected_entity (tenant_id, id, kind, value, reason, added_by, added_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict on constraint protected_entity_once do nothing",
    )
    .bind(tx.tenant().uuid())
    .bind(entry.id.map(ProtectedId::uuid))
    .bind(entry.kind.name())
    .bind(&entry.value)
    .bind(&entry.reason)
    .bind(&entry.added_by)
    .bind(now)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    if done.rows_affected() == 0 {
        return Err(Error::AlreadyProtected {
            value: entry.value.clone(),
        });
    }
    Ok(())
}

pub(crate) async fn delete(tx: &mut Tx, id: ProtectedId) -> Result<Option<Protected>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "delete from protected_entity where tenant_id = $1 and id = $2 \
         returning id, kind, value, reason, added_by, added_at",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    row.map(protected).transpose()
}
