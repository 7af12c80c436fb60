//! Passwords: which are fit, changing one's own, and resetting a forgotten one.

pub(crate) mod repo;

use std::time::Duration;

use hub_base::UserId;
use hub_store::Cx;
use hub_vault::Secret32;

use crate::acts;
use crate::credential::{self, RESET_PREFIX};
use crate::error::Error;
use crate::hash_pool::HashPool;
use crate::users;

/// How long a reset token is good for.
pub const RESET_TTL: Duration = Duration::from_mins(30);

/// Between two reset mails to one person.
const RESET_PAUSE: Duration = Duration::from_mins(1);

/// Beginnings and wholes of passwords that every guesser tries; compared in lower case without digits at the end.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "motdepasse",
    "contraseña",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "letmein",
    "iloveyou",
    "welcome",
    "administrator",
    "changeme",
    "abcdefghijkl",
    "football",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "trustno",
    "whatever",
    "passwordpassword",
    "adminadmin",
    "securityhub",
];

/// Judges a new password. NIST SP 800-63B: length and known-bad values count, composition rules do not.
///
/// # Errors
/// [`Error::Unfit`] that says why.
pub fn judge(password: &str, username: &str) -> Result<(), Error> {
    let unfit = |why: &str| {
        Err(Error::Unfit {
            field: "password",
            why: why.to_owned(),
        })
    };
    let length = password.chars().count();
    if length < 12 {
        return unfit("use at least 12 characters");
    }
    if password.len() > 1024 {
        return unfit("use at most 1024 bytes");
    }
    let plain = password.to_lowercase();
    let stem = plain.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    if stem.is_empty() || COMMON.contains(&stem) {
        return unfit("it is among the first that anybody would guess");
    }
    if username.chars().count() >= 4 && stem == username {
        return unfit("it is the user name");
    }
    let mut distinct: Vec<char> = plain.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 4 {
        return unfit("it repeats a few characters");
    }
    Ok(())
}

/// Changes the caller's own password; the current one must be proven again. Their other sessions end: whoever else knew
/// the password is out.
///
/// # Errors
/// [`Error::BadLogin`] if the current password is wrong, [`Error::Unfit`] if the new one is.
pub async fn change(cx: &Cx, current: &str, new: &str, pool: &HashPool) -> Result<(), Error> {
    let id = cx.principal.user().ok_or(Error::BadCredential)?;
    let (user, phc) = {
        let mut tx = cx.read().await?;
        let user = users::repo::by_id(&mut tx, id)
            .await?
            .ok_or(Error::BadCredential)?;
        (user, users::repo::phc(&mut tx, id).await?)
    };
    if !pool
        .check(cx.tenant(), current, phc.as_deref())
        .await?
        .matches
    {
        return Err(Error::BadLogin);
    }
    judge(new, &user.username)?;
    let phc = pool.hash(cx.tenant(), new).await?;
    let mut tx = cx.write().await?;
    users::repo::set_phc(&mut tx, id, &phc).await?;
    let why = "password change";
    crate::sessions::revoke_others_in(&mut tx, id, cx.principal.session(), why).await?;
    tx.commit(acts::password_change(id, &user.username)).await?;
    Ok(())
}

/// Where to send a reset token. The token is a secret.
pub struct ResetMail {
    pub user: UserId,
    pub username: String,
    pub email: String,
    pub token: String,
}

impl std::fmt::Debug for ResetMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResetMail")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Somebody says they forgot their password. The caller's answer must be the same whatever comes back.
///
/// # Errors
/// [`Error::Store`].
pub async fn forgot(cx: &Cx, username: &str) -> Result<Option<ResetMail>, Error> {
    let typed = username.trim().to_lowercase();
    let secret = Secret32::random()?;
    let mut tx = cx.write().await?;
    let user = users::by_username(&mut tx, &typed)
        .await?
        .filter(|user| user.locked_at.is_none());
    let Some(user) = user else {
        tx.commit(acts::password_forgot(None, &typed)).await?;
        return Ok(None);
    };
    if repo::issued_since(&mut tx, user.id, cx.now().minus(RESET_PAUSE)).await? {
        // Nobody fills another's mailbox; the mail that is under way will do.
        tx.commit(acts::password_forgot(Some(user.id), &user.username))
            .await?;
        return Ok(None);
    }
    repo::insert_reset(&mut tx, user.id, &secret.hash(), cx.now().plus(RESET_TTL)).await?;
    tx.commit(acts::password_forgot(Some(user.id), &user.username))
        .await?;
    let token = credential::reset(cx.tenant(), user.id.uuid(), &secret);
    Ok(Some(ResetMail {
        user: user.id,
        username: user.username,
        email: user.email,
        token,
    }))
}

/// Sets a new password with a reset token; all sessions of the person end.
///
/// # Errors
/// [`Error::BadCredential`] if the token is unknown, used or expired, [`Error::Unfit`] for the password.
pub async fn reset(cx: &Cx, token: &str, new: &str, pool: &HashPool) -> Result<(), Error> {
    let parts = credential::parse(token, RESET_PREFIX)
        .filter(|parts| parts.tenant == cx.tenant())
        .ok_or(Error::BadCredential)?;
    let id = UserId::from_uuid(parts.id);
    let user = {
        let mut tx = cx.read().await?;
        users::repo::by_id(&mut tx, id)
            .await?
            .ok_or(Error::BadCredential)?
    };
    judge(new, &user.username)?;
    let phc = pool.hash(cx.tenant(), new).await?;
    let mut tx = cx.write().await?;
    if !repo::use_reset(&mut tx, id, &parts.secret.hash()).await? {
        return Err(Error::BadCredential);
    }
    users::repo::set_phc(&mut tx, id, &phc).await?;
    crate::sessions::revoke_all_in(&mut tx, id, "password reset").await?;
    tx.commit(acts::password_reset(id, &user.username)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessable_passwords_are_refused_with_a_reason() {
        for (password, why) in [
            ("short", "at least 12"),
            ("Password123456!", "first that anybody"),
            ("123456789012345", "first that anybody"),
            ("grace.hopper42", "user name"),
            ("aaaaaaaaaaaaab", "repeats"),
        ] {
            let error = judge(password, "grace.hopper").unwrap_err().to_string();
            assert!(error.contains(why), "{password}: {error}");
        }
        judge("correct horse battery staple", "ada").unwrap();
    }
}
