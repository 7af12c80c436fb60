use std::collections::BTreeSet;

use hub_base::UserId;
use hub_store::{Error, Tx};

pub(crate) async fn list(tx: &mut Tx) -> Result<Vec<(String, BTreeSet<String>)>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(String, Vec<String>)> =
        sqlx::query_as("select name, permissions from role where tenant_id = $1 order by name")
            .bind(tenant)
            .fetch_all(tx.conn())
            .await?;
    Ok(rows
        .into_iter()
        .map(|(name, permissions)| (name, permissions.into_iter().collect()))
        .collect())
}

pub(crate) async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<BTreeSet<String>>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(Vec<String>,)> =
        sqlx::query_as("select permissions from role where tenant_id = $1 and name = $2")
            .bind(tenant)
            .bind(name)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|(permissions,)| permissions.into_iter().collect()))
}

pub(crate) async fn put(
    tx: &mut Tx,
    name: &str,
    permissions: &BTreeSet<String>,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let permissions: Vec<&str> = permissions.iter().map(String::as_str).collect();
    sqlx::query(
        "insert into role (tenant_id, name, permissions, updated_at) values ($1, $2, $3, $4)
         on conflict (tenant_id, name) do update set permissions = excluded.permissions, updated_at = excluded.updated_at",
    )
    .bind(tenant)
    .bind(name)
    .bind(permissions)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The roles of a person, sorted.
pub(crate) async fn of(tx: &mut Tx, user: UserId) -> Result<Vec<String>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(String,)> = sqlx::query_as(
        "select role from user_role where tenant_id = $1 and user_id = $2 order by role",
    )
    .bind(tenant)
    .bind(user.uuid())
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|(role,)| role).collect())
}

/// Makes a person's roles exactly these.
pub(crate) async fn set(tx: &mut Tx, user: UserId, roles: &BTreeSet<String>) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    sqlx::query("delete from user_role where tenant_id = $1 and user_id = $2 and role <> all($3)")
        .bind(tenant)
        .bind(user.uuid())
        .bind(&roles)
        .execute(tx.conn())
        .await?;
    sqlx::query(
        "insert into user_role (tenant_id, user_id, role, granted_at)
         select $1, $2, role, $4 from unnest($3::text[]) as role on conflict do nothing",
    )
    .bind(tenant)
    .bind(user.uuid())
    .bind(&roles)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Who holds a role. Their rows stay locked, so that two holders cannot take the role from each other at once.
pub(crate) async fn holders(tx: &mut Tx, role: &str) -> Result<Vec<UserId>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(uuid::Uuid,)> = sqlx::query_as(
        "select user_id from user_role where tenant_id = $1 and role = $2 order by user_id for update",
    )
    .bind(tenant)
    .bind(role)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(user,)| UserId::from_uuid(user))
        .collect())
}
