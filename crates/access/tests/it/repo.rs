use hub_base::UserId;
use hub_store::{Error, Tx};

/// A person, as the identity room (a sibling) keeps them.
pub(crate) async fn insert_user(tx: &mut Tx, user: UserId, name: &str) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant().uuid(), tx.now().to_offset());
    sqlx::query(
        "insert into app_user (tenant_id, id, username, email, display_name, password_phc,
           password_changed_at, created_at)
         values ($1, $2, $3, $3 || '@example.com', $3, 'none', $4, $4)",
    )
    .bind(tenant)
    .bind(user.uuid())
    .bind(name)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
