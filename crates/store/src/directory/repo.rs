use hub_base::{TenantId, Timestamp};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Tenant;
use crate::error::Error;
use crate::tx::Tx;

type Row = (Uuid, String, String, OffsetDateTime, Option<OffsetDateTime>);

fn tenant((id, slug, name, created_at, suspended_at): Row) -> Tenant {
    Tenant {
        id: TenantId::from_uuid(id),
        slug,
        name,
        created_at: Timestamp::from_offset(created_at),
        suspended_at: suspended_at.map(Timestamp::from_offset),
    }
}

pub(crate) async fn list(tx: &mut Tx) -> Result<Vec<Tenant>, Error> {
    let rows: Vec<Row> =
        sqlx::query_as("select id, slug, name, created_at, suspended_at from tenant order by slug")
            .fetch_all(tx.conn())
            .await?;
    Ok(rows.into_iter().map(tenant).collect())
}

pub(crate) async fn by_slug(tx: &mut Tx, slug: &str) -> Result<Option<Tenant>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "select id, slug, name, created_at, suspended_at from tenant where slug = $1",
    )
    .bind(slug)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(tenant))
}

pub(crate) async fn by_id(tx: &mut Tx, id: TenantId) -> Result<Option<Tenant>, Error> {
    let row: Option<Row> =
        sqlx::query_as("select id, slug, name, created_at, suspended_at from tenant where id = $1")
            .bind(id.uuid())
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(tenant))
}

pub(crate) async fn insert(tx: &mut Tx, id: TenantId, slug: &str, name: &str) -> Result<(), Error> {
    let now = tx.now().to_offset();
    sqlx::query("insert into tenant (id, slug, name, created_at) values ($1, $2, $3, $4)")
        .bind(id.uuid())
        .bind(slug)
        .bind(name)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}
