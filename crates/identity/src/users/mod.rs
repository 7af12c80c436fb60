//! People: made, shown, listed, locked and unlocked.

pub(crate) mod repo;

use hub_base::{Page, PageRequest, Timestamp, UserId};
use hub_store::{Cx, Tx, WriteTx};

use crate::acts;
use crate::error::Error;
use crate::hash_pool::HashPool;
use crate::passwords;

/// A person of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// Lower case; what is typed to sign in.
    pub username: String,
    pub email: String,
    pub display_name: String,
    pub created_at: Timestamp,
    pub locked_at: Option<Timestamp>,
    pub lock_reason: Option<String>,
}

/// What is needed to make a person.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub username: String,
    pub email: String,
    pub display_name: String,
    pub password: String,
}

/// The form in which a user name is stored and looked up.
///
/// # Errors
/// [`Error::Unfit`] for an empty, overlong or unprintable name.
pub fn normalise(username: &str) -> Result<String, Error> {
    let name = username.trim().to_lowercase();
    let length = name.chars().count();
    if length == 0 || length > 128 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let why = "use 1 to 128 characters without spaces".to_owned();
        return Err(Error::Unfit {
            field: "user name",
            why,
        });
    }
    Ok(name)
}

/// A person whose password is hashed, ready to be inserted in any transaction.
#[derive(Debug)]
pub struct Prepared {
    user: NewUser,
    phc: String,
}

/// Checks a new person and hashes their password, outside any transaction.
///
/// # Errors
/// [`Error::Unfit`] that names the field, [`Error::Busy`] if too many passwords wait.
pub async fn prepare(cx: &Cx, mut user: NewUser, pool: &HashPool) -> Result<Prepared, Error> {
    user.username = normalise(&user.username)?;
    if !(3..=254).contains(&user.email.chars().count()) || !user.email.contains('@') {
        return Err(Error::Unfit {
            field: "email",
            why: "expected an address with an `@`".into(),
        });
    }
    if user.display_name.trim().is_empty() {
        user.display_name.clone_from(&user.username);
    }
    if user.display_name.chars().count() > 200 {
        return Err(Error::Unfit {
            field: "display name",
            why: "use at most 200 characters".into(),
        });
    }
    passwords::judge(&user.password, &user.username)?;
    let phc = pool.hash(cx.tenant(), &user.password).await?;
    Ok(Prepared { user, phc })
}

/// Inserts a prepared person; its act is recorded in `tx`.
///
/// # Errors
/// [`Error::Taken`] if the user name is taken.
pub async fn create_in(tx: &mut WriteTx, cx: &Cx, prepared: Prepared) -> Result<UserId, Error> {
    let id = UserId::new(&**cx.clock());
    repo::insert(tx, id, &prepared.user, &prepared.phc).await?;
    tx.record(acts::user_create(id, &prepared.user.username))
        .await?;
    Ok(id)
}

/// # Errors
/// [`Error::Unknown`] if there is no such person in this tenant.
pub async fn show(cx: &Cx, id: UserId) -> Result<User, Error> {
    let mut tx = cx.read().await?;
    repo::by_id(&mut tx, id)
        .await?
        .ok_or(Error::Unknown("user"))
}

/// One person by id.
pub async fn by_id(tx: &mut Tx, id: UserId) -> Result<Option<User>, Error> {
    Ok(repo::by_id(tx, id).await?)
}

/// One person by user name.
pub async fn by_username(tx: &mut Tx, username: &str) -> Result<Option<User>, Error> {
    let Ok(username) = normalise(username) else {
        return Ok(None);
    };
    Ok(repo::by_username(tx, &username).await?)
}

/// One person by user name, with the stored hash of their password; nobody while the tenant is suspended.
pub(crate) async fn with_phc(tx: &mut Tx, username: &str) -> Result<Option<(User, String)>, Error> {
    let Ok(username) = normalise(username) else {
        return Ok(None);
    };
    Ok(repo::with_phc(tx, &username).await?)
}

/// People by user name.
pub async fn list(cx: &Cx, page: &PageRequest<String>) -> Result<Page<User, String>, Error> {
    let mut tx = cx.read().await?;
    let users = repo::list(&mut tx, page).await?;
    Ok(Page::from_surplus(users, page.limit, |user| {
        user.username.clone()
    }))
}

/// Locks a person out: no sign-in, and every token of theirs is refused at once.
///
/// # Errors
/// [`Error::Unknown`].
pub async fn lock(cx: &Cx, id: UserId, reason: &str) -> Result<User, Error> {
    let mut tx = cx.write().await?;
    lock_in(&mut tx, id, reason).await?;
    let user = repo::by_id(&mut tx, id)
        .await?
        .ok_or(Error::Unknown("user"))?;
    tx.commit_progress().await?;
    Ok(user)
}

/// Locks within a transaction and records the act; false if they were locked already.
///
/// # Errors
/// [`Error::Unknown`].
pub async fn lock_in(tx: &mut WriteTx, id: UserId, reason: &str) -> Result<bool, Error> {
    let user = repo::by_id(tx, id).await?.ok_or(Error::Unknown("user"))?;
    if user.locked_at.is_some() {
        return Ok(false);
    }
    repo::set_lock(tx, id, Some(reason)).await?;
    tx.record(acts::user_lock(id, &user.username, reason))
        .await?;
    Ok(true)
}

/// # Errors
/// [`Error::Unknown`].
pub async fn unlock(cx: &Cx, id: UserId, reason: &str) -> Result<User, Error> {
    let mut tx = cx.write().await?;
    unlock_in(&mut tx, id, reason).await?;
    let user = repo::by_id(&mut tx, id)
        .await?
        .ok_or(Error::Unknown("user"))?;
    tx.commit_progress().await?;
    Ok(user)
}

/// Unlocks within a transaction and records the act; false if they were not locked.
///
/// # Errors
/// [`Error::Unknown`].
pub async fn unlock_in(tx: &mut WriteTx, id: UserId, reason: &str) -> Result<bool, Error> {
    let user = repo::by_id(tx, id).await?.ok_or(Error::Unknown("user"))?;
    if user.locked_at.is_none() {
        return Ok(false);
    }
    repo::set_lock(tx, id, None).await?;
    tx.record(acts::user_unlock(id, &user.username, reason))
        .await?;
    Ok(true)
}
