//! Logins of the application: roles that may only become `hub_app`. Two of them take turns, so that a password is exchanged
//! while both the old and the new one are good.
//!
//! Knows nothing of passwords: it is given what PostgreSQL keeps of them.

mod repo;

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use crate::connect::APP_ROLE;
use crate::error::Error;

/// The login that takes its turn after `now`.
///
/// # Errors
/// [`Error::Url`] if `now` is none of the application's.
pub fn next(now: &str) -> Result<String, Error> {
    let turn = match now.strip_prefix(APP_ROLE) {
        Some("" | "_b") => "_a",
        Some("_a") => "_b",
        _ => {
            let why = format!(
                "`{now}` is no login of the application: expected `{APP_ROLE}`, `{APP_ROLE}_a` or `{APP_ROLE}_b`"
            );
            return Err(Error::Url(why));
        }
    };
    Ok(format!("{APP_ROLE}{turn}"))
}

/// The user that a URL names.
///
/// # Errors
/// [`Error::Url`].
pub fn user_of(url: &str) -> Result<String, Error> {
    Ok(options(url)?.get_username().to_owned())
}

fn options(url: &str) -> Result<PgConnectOptions, Error> {
    PgConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))
}

/// Makes the login, or gives it another password. `verifier` is a SCRAM verifier. Its sessions begin as `hub_app`.
///
/// # Errors
/// [`Error::Url`] if the name or the verifier is none, [`Error::Unavailable`].
pub async fn prepare(owner: &str, login: &str, verifier: &str) -> Result<(), Error> {
    let fit = |text: &str, others: &[u8]| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        !text.is_empty() && text.bytes().all(good)
    };
    if !fit(login, b"_") || !fit(verifier, b"+/=$:-") {
        return Err(Error::Url("no fit name for a login".to_owned()));
    }
    repo::prepare(&options(owner)?, login, verifier).await
}

/// Logs in by `url` and reads as the application; the role that its sessions have.
///
/// # Errors
/// [`Error::Unavailable`] if it is refused.
pub async fn prove(url: &str) -> Result<String, Error> {
    repo::prove(&options(url)?).await
}

/// Takes the login's password away. Sessions that are open go on.
///
/// # Errors
/// As [`prepare`].
pub async fn retire(owner: &str, login: &str) -> Result<(), Error> {
    next(login)?;
    repo::retire(&options(owner)?, login).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_logins_take_turns_and_nobody_elses_do() {
        for (now, then) in [
            ("hub_app", Some("hub_app_a")),
            ("hub_app_a", Some("hub_app_b")),
            ("hub_app_b", Some("hub_app_a")),
            ("hub_app_c", None),
            ("hub_owner", None),
            ("", None),
        ] {
            assert_eq!(next(now).ok().as_deref(), then, "{now}");
        }
    }
}
