use hub_base::{ApiKeyId, SessionId, Timestamp, UserId};
use hub_store::Tx;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{Error, sql};

/// Live sessions that evidence shows of one user.
const SESSIONS: i64 = 200;

fn at(at: Option<OffsetDateTime>) -> Option<Timestamp> {
    at.map(Timestamp::from_offset)
}

type User = (
    String,
    String,
    OffsetDateTime,
    OffsetDateTime,
    Option<OffsetDateTime>,
    Option<String>,
);

/// A user's profile and lock.
pub(crate) async fn user(tx: &mut Tx, id: UserId) -> Result<Option<Value>, Error> {
    let row: Option<User> = sqlx::query_as(
        "select username, display_name, created_at, password_changed_at, locked_at, lock_reason \
         from app_user where tenant_id = $1 and id = $2",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(
        |(username, display_name, created, changed, locked, reason)| {
            json!({
                "id": id, "username": username, "display_name": display_name,
                "created_at": at(Some(created)), "password_changed_at": at(Some(changed)),
                "locked_at": at(locked), "lock_reason": reason,
            })
        },
    ))
}

/// A user's name, whether the id is that of the user or of one of its sessions.
pub(crate) async fn owner(tx: &mut Tx, id: Uuid) -> Result<Option<(UserId, String)>, Error> {
    let row: Option<(Uuid, String)> = sqlx::query_as(
        "select id, username from app_user where tenant_id = $1 and id = coalesce( \
            (select user_id from session where tenant_id = $1 and id = $2), $2)",
    )
    .bind(tx.tenant().uuid())
    .bind(id)
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(|(id, name)| (UserId::from_uuid(id), name)))
}

type Session = (
    Uuid,
    OffsetDateTime,
    OffsetDateTime,
    OffsetDateTime,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// A user's sessions that are neither ended nor over, the newest first.
pub(crate) async fn sessions(tx: &mut Tx, user: UserId) -> Result<Vec<Value>, Error> {
    let now = tx.now().to_offset();
    let rows: Vec<Session> = sqlx::query_as(
        "select id, created_at, last_seen_at, expires_at, address, user_agent, device from session \
         where tenant_id = $1 and user_id = $2 and ended_at is null and expires_at > $3 \
         order by created_at desc limit $4",
    )
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(now)
    .bind(SESSIONS)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    Ok(rows
        .into_iter()
        .map(
            |(id, created, seen, expires, address, user_agent, device)| {
                json!({
                    "id": SessionId::from_uuid(id), "user": user, "created_at": at(Some(created)),
                    "last_seen_at": at(Some(seen)), "expires_at": at(Some(expires)),
                    "address": address, "user_agent": user_agent, "device": device,
                })
            },
        )
        .collect())
}

type Key = (
    String,
    Vec<String>,
    Option<Uuid>,
    OffsetDateTime,
    Option<OffsetDateTime>,
    Option<OffsetDateTime>,
);

/// An API key's profile.
pub(crate) async fn api_key(tx: &mut Tx, id: ApiKeyId) -> Result<Option<Value>, Error> {
    let row: Option<Key> = sqlx::query_as(
        "select name, scopes, created_by, created_at, expires_at, revoked_at from api_key \
         where tenant_id = $1 and id = $2",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(|(name, scopes, by, created, expires, revoked)| {
        json!({
            "id": id, "name": name, "scopes": scopes, "created_by": by.map(UserId::from_uuid),
            "created_at": at(Some(created)), "expires_at": at(expires), "revoked_at": at(revoked),
        })
    }))
}

/// Keys that a user made at or after `since` and that still count.
pub(crate) async fn keys_made_by(
    tx: &mut Tx,
    user: UserId,
    since: Timestamp,
) -> Result<Vec<(ApiKeyId, String)>, Error> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select id, name from api_key where tenant_id = $1 and created_by = $2 and created_at >= $3 \
         and revoked_at is null order by created_at, id limit 100",
    )
    .bind(tx.tenant().uuid())
    .bind(user.uuid())
    .bind(since.to_offset())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    Ok(rows
        .into_iter()
        .map(|(id, name)| (ApiKeyId::from_uuid(id), name))
        .collect())
}
