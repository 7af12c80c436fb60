use hub_base::{Origin, SessionId, Timestamp, UserId};
use hub_store::{Error, Tx};
use hub_vault::SecretHash;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Session;

type Row = (
    Uuid,
    Uuid,
    OffsetDateTime,
    OffsetDateTime,
    OffsetDateTime,
    Option<OffsetDateTime>,
    Option<String>,
    Option<String>,
);

fn session(row: Row) -> Session {
    let (id, user, created_at, last_seen_at, expires_at, ended_at, address, user_agent) = row;
    Session {
        id: SessionId::from_uuid(id),
        user: UserId::from_uuid(user),
        created_at: Timestamp::from_offset(created_at),
        last_seen_at: Timestamp::from_offset(last_seen_at),
        expires_at: Timestamp::from_offset(expires_at),
        ended_at: ended_at.map(Timestamp::from_offset),
        address,
        user_agent,
    }
}

/// A session as it begins.
pub(crate) struct Begun<'a> {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) secret: SecretHash,
    pub(crate) refresh: SecretHash,
    pub(crate) expires_at: Timestamp,
    pub(crate) origin: Option<&'a Origin>,
}

/// Begins a session with its first refresh token; false, and nothing is done, if the account is locked or gone. One
/// statement, so that the lock is looked at when the session comes to be.
pub(crate) async fn begin(tx: &mut Tx, begun: Begun<'_>) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let done = sqlx::query(
        "with begun as (
           insert into session (tenant_id, id, user_id, secret_hash, created_at, last_seen_at, expires_at, address, user_agent, device)
           select $1, $2, id, $4, $5, $5, $6, $7, $8, $9 from app_user
           where tenant_id = $1 and id = $3 and locked_at is null
           returning id)
         insert into refresh_token (tenant_id, hash, session_id, issued_at) select $1, $10, id, $5 from begun",
    )
    .bind(tenant)
    .bind(begun.id.uuid())
    .bind(begun.user.uuid())
    .bind(begun.secret.bytes().as_slice())
    .bind(now)
    .bind(begun.expires_at.to_offset())
    .bind(begun.origin.map(|origin| origin.address.to_string()))
    .bind(begun.origin.and_then(|origin| origin.user_agent.clone()))
    .bind(begun.origin.and_then(|origin| origin.device.clone()))
    .bind(begun.refresh.bytes().as_slice())
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn by_id(tx: &mut Tx, id: SessionId) -> Result<Option<Session>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<Row> = sqlx::query_as(
        "select id, user_id, created_at, last_seen_at, expires_at, ended_at, address, user_agent from session
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(session))
}

pub(crate) async fn list(
    tx: &mut Tx,
    user: Option<UserId>,
    limit: i64,
) -> Result<Vec<Session>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, user_id, created_at, last_seen_at, expires_at, ended_at, address, user_agent from session
         where tenant_id = $1 and ($2::uuid is null or user_id = $2) order by created_at desc limit $3",
    )
    .bind(tenant)
    .bind(user.map(UserId::uuid))
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(session).collect())
}

/// What a session cookie is checked against: the session, its secret, its person's name and lock.
pub(crate) struct CookieRow {
    pub(crate) session: Session,
    pub(crate) secret: Vec<u8>,
    pub(crate) username: String,
    pub(crate) locked: bool,
    pub(crate) suspended: bool,
}

pub(crate) async fn for_cookie(tx: &mut Tx, id: SessionId) -> Result<Option<CookieRow>, Error> {
    let Some(session) = by_id(tx, id).await? else {
        return Ok(None);
    };
    let tenant = tx.tenant().uuid();
    let row: Option<(Vec<u8>, String, bool, bool)> = sqlx::query_as(
        "select s.secret_hash, u.username, u.locked_at is not null, t.suspended_at is not null
         from session s join app_user u on u.tenant_id = s.tenant_id and u.id = s.user_id
         join tenant t on t.id = s.tenant_id where s.tenant_id = $1 and s.id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|(secret, username, locked, suspended)| CookieRow {
        session,
        secret,
        username,
        locked,
        suspended,
    }))
}

pub(crate) async fn live_of(tx: &mut Tx, user: UserId) -> Result<Vec<SessionId>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Uuid,)> = sqlx::query_as(
        "select id from session where tenant_id = $1 and user_id = $2 and ended_at is null for update",
    )
    .bind(tenant)
    .bind(user.uuid())
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id,)| SessionId::from_uuid(id))
        .collect())
}

/// Sessions that ended after `since`: their access tokens may not have expired yet.
pub(crate) async fn ended_since(tx: &mut Tx, since: Timestamp) -> Result<Vec<SessionId>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Uuid,)> =
        sqlx::query_as("select id from session where tenant_id = $1 and ended_at >= $2")
            .bind(tenant)
            .bind(since.to_offset())
            .fetch_all(tx.conn())
            .await?;
    Ok(rows
        .into_iter()
        .map(|(id,)| SessionId::from_uuid(id))
        .collect())
}

pub(crate) async fn end(tx: &mut Tx, ids: &[SessionId], reason: &str) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    sqlx::query(
        "update session set ended_at = $3, end_reason = $4
         where tenant_id = $1 and id = any($2) and ended_at is null",
    )
    .bind(tenant)
    .bind(ids)
    .bind(now)
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn touch(tx: &mut Tx, id: SessionId) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query("update session set last_seen_at = $3 where tenant_id = $1 and id = $2")
        .bind(tenant)
        .bind(id.uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(crate) async fn insert_refresh(
    tx: &mut Tx,
    session: SessionId,
    hash: &SecretHash,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "insert into refresh_token (tenant_id, hash, session_id, issued_at) values ($1, $2, $3, $4)",
    )
    .bind(tenant)
    .bind(hash.bytes().as_slice())
    .bind(session.uuid())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// When the token was used, if it was; `None` if it is unknown. Holds its row, so that two uses cannot both win.
pub(crate) async fn lock_refresh(
    tx: &mut Tx,
    session: SessionId,
    hash: &SecretHash,
) -> Result<Option<Option<Timestamp>>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(Option<OffsetDateTime>,)> = sqlx::query_as(
        "select used_at from refresh_token where tenant_id = $1 and hash = $2 and session_id = $3 for update",
    )
    .bind(tenant)
    .bind(hash.bytes().as_slice())
    .bind(session.uuid())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|(used,)| used.map(Timestamp::from_offset)))
}

pub(crate) async fn use_refresh(tx: &mut Tx, hash: &SecretHash) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query("update refresh_token set used_at = $3 where tenant_id = $1 and hash = $2")
        .bind(tenant)
        .bind(hash.bytes().as_slice())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}
