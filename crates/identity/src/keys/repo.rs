use hub_base::{ApiKeyId, Timestamp, UserId};
use hub_store::{Error, Tx};
use hub_vault::SecretHash;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ApiKey;

type Row = (
    Uuid,
    String,
    Vec<String>,
    Option<Uuid>,
    OffsetDateTime,
    Option<OffsetDateTime>,
    Option<OffsetDateTime>,
);

fn key((id, name, scopes, created_by, created_at, expires_at, revoked_at): Row) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_uuid(id),
        name,
        scopes,
        created_by: created_by.map(UserId::from_uuid),
        created_at: Timestamp::from_offset(created_at),
        expires_at: expires_at.map(Timestamp::from_offset),
        revoked_at: revoked_at.map(Timestamp::from_offset),
    }
}

pub(crate) async fn insert(tx: &mut Tx, key: &ApiKey, secret: &SecretHash) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into api_key (tenant_id, id, name, secret_hash, scopes, created_by, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(key.id.uuid())
    .bind(&key.name)
    .bind(secret.bytes().as_slice())
    .bind(&key.scopes)
    .bind(key.created_by.map(UserId::uuid))
    .bind(key.created_at.to_offset())
    .bind(key.expires_at.map(Timestamp::to_offset))
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn list(tx: &mut Tx) -> Result<Vec<ApiKey>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, name, scopes, created_by, created_at, expires_at, revoked_at from api_key
         where tenant_id = $1 order by created_at desc limit 500",
    )
    .bind(tenant)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(key).collect())
}

pub(crate) async fn by_id(tx: &mut Tx, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<Row> = sqlx::query_as(
        "select id, name, scopes, created_by, created_at, expires_at, revoked_at from api_key
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(key))
}

/// A key with its secret's hash, and whether its tenant is suspended.
pub(crate) async fn for_check(
    tx: &mut Tx,
    id: ApiKeyId,
) -> Result<Option<(ApiKey, Vec<u8>, bool)>, Error> {
    let Some(key) = by_id(tx, id).await? else {
        return Ok(None);
    };
    let tenant = tx.tenant().uuid();
    let row: Option<(Vec<u8>, bool)> = sqlx::query_as(
        "select k.secret_hash, t.suspended_at is not null from api_key k join tenant t on t.id = k.tenant_id
         where k.tenant_id = $1 and k.id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|(hash, suspended)| (key, hash, suspended)))
}

pub(crate) async fn created_by_since(
    tx: &mut Tx,
    user: UserId,
    since: Timestamp,
) -> Result<Vec<ApiKeyId>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Uuid,)> = sqlx::query_as(
        "select id from api_key where tenant_id = $1 and created_by = $2 and created_at >= $3",
    )
    .bind(tenant)
    .bind(user.uuid())
    .bind(since.to_offset())
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id,)| ApiKeyId::from_uuid(id))
        .collect())
}

pub(crate) async fn set_revoked(
    tx: &mut Tx,
    id: ApiKeyId,
    reason: Option<&str>,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "update api_key set revoked_at = case when $3::text is null then null else $4 end, revoke_reason = $3
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(reason)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn set_expiry(tx: &mut Tx, id: ApiKeyId, at: Timestamp) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query("update api_key set expires_at = $3 where tenant_id = $1 and id = $2")
        .bind(tenant)
        .bind(id.uuid())
        .bind(at.to_offset())
        .execute(tx.conn())
        .await?;
    Ok(())
}
