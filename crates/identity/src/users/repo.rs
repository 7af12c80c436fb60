use hub_base::{PageRequest, Timestamp, UserId};
use hub_store::{Error, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{NewUser, User};

type Row = (
    Uuid,
    String,
    String,
    String,
    OffsetDateTime,
    Option<OffsetDateTime>,
    Option<String>,
);

fn user((id, username, email, display_name, created_at, locked_at, lock_reason): Row) -> User {
    User {
        id: UserId::from_uuid(id),
        username,
        email,
        display_name,
        created_at: Timestamp::from_offset(created_at),
        locked_at: locked_at.map(Timestamp::from_offset),
        lock_reason,
    }
}

pub(crate) async fn insert(
    tx: &mut Tx,
    id: UserId,
    user: &NewUser,
    phc: &str,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "insert into app_user (tenant_id, id, username, email, display_name, password_phc, password_changed_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(&user.username)
    .bind(&user.email)
    .bind(&user.display_name)
    .bind(phc)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) async fn by_id(tx: &mut Tx, id: UserId) -> Result<Option<User>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<Row> = sqlx::query_as(
        "select id, username, email, display_name, created_at, locked_at, lock_reason from app_user
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(user))
}

pub(crate) async fn by_username(tx: &mut Tx, username: &str) -> Result<Option<User>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<Row> = sqlx::query_as(
        "select id, username, email, display_name, created_at, locked_at, lock_reason from app_user
         where tenant_id = $1 and username = $2",
    )
    .bind(tenant)
    .bind(username)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(user))
}

/// A person and the stored hash of their password; nobody while the tenant is suspended.
pub(crate) async fn with_phc(tx: &mut Tx, username: &str) -> Result<Option<(User, String)>, Error> {
    type Known = (
        String,
        Uuid,
        String,
        String,
        String,
        OffsetDateTime,
        Option<OffsetDateTime>,
        Option<String>,
    );
    let tenant = tx.tenant().uuid();
    let row: Option<Known> = sqlx::query_as(
        "select u.password_phc, u.id, u.username, u.email, u.display_name, u.created_at, u.locked_at, u.lock_reason
         from app_user u join tenant t on t.id = u.tenant_id and t.suspended_at is null
         where u.tenant_id = $1 and u.username = $2",
    )
    .bind(tenant)
    .bind(username)
    .fetch_optional(tx.conn())
    .await?;
    Ok(
        row.map(|(phc, id, name, email, display, created, locked, reason)| {
            (
                user((id, name, email, display, created, locked, reason)),
                phc,
            )
        }),
    )
}

pub(crate) async fn list(tx: &mut Tx, page: &PageRequest<String>) -> Result<Vec<User>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, username, email, display_name, created_at, locked_at, lock_reason from app_user
         where tenant_id = $1 and ($2::text is null or username > $2) order by username limit $3",
    )
    .bind(tenant)
    .bind(page.after.as_deref())
    .bind(i64::from(page.limit) + 1)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(user).collect())
}

pub(crate) async fn set_lock(tx: &mut Tx, id: UserId, reason: Option<&str>) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "update app_user set locked_at = case when $3::text is null then null else $4 end, lock_reason = $3
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

/// The stored hash of a person's password.
pub(crate) async fn phc(tx: &mut Tx, id: UserId) -> Result<Option<String>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(String,)> =
        sqlx::query_as("select password_phc from app_user where tenant_id = $1 and id = $2")
            .bind(tenant)
            .bind(id.uuid())
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|(phc,)| phc))
}

pub(crate) async fn set_phc(tx: &mut Tx, id: UserId, phc: &str) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "update app_user set password_phc = $3, password_changed_at = $4 where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(phc)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Everybody who is locked.
pub(crate) async fn locked(tx: &mut Tx) -> Result<Vec<UserId>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(Uuid,)> =
        sqlx::query_as("select id from app_user where tenant_id = $1 and locked_at is not null")
            .bind(tenant)
            .fetch_all(tx.conn())
            .await?;
    Ok(rows
        .into_iter()
        .map(|(id,)| UserId::from_uuid(id))
        .collect())
}
