//! The application's password in PostgreSQL. A role has one password, so two logins take turns: both are good while the
//! servers go over, connections that are open go on, and each new one logs in as the file says.

use std::path::PathBuf;
use std::time::Duration;

use hub_store::logins;
use hub_vault::{Secret32, scram};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::config::{Publish, Secrets};
use super::servers::Servers;
use super::{Exchange, Look, files};
use crate::error::Error;

/// Longer than a server waits for a connection (5 s).
const ATTEMPT: Duration = Duration::from_secs(8);

/// The logins of one database.
pub(crate) struct Database {
    /// The URL that the servers read.
    file: PathBuf,
    owner: PathBuf,
    publish: Publish,
    /// URLs that are not yet, or no longer, the one in use.
    former: PathBuf,
    fresh: PathBuf,
    servers: Servers,
}

impl Database {
    pub(crate) fn new(config: &super::Config, servers: Servers) -> Result<Self, Error> {
        let part = config.database.as_ref();
        let part = part.ok_or(Error::Unconfigured("database"))?;
        let Secrets { former, fresh } = config.secrets("database");
        Ok(Self {
            file: part.url_file.clone(),
            owner: part.owner_url_file.clone(),
            publish: part.publish.clone(),
            former,
            fresh,
            servers,
        })
    }

    /// The URL with that login, of the two.
    fn url_of(&self, login: &str) -> Result<SecretString, Error> {
        for path in [&self.fresh, &self.former] {
            if let Some(url) = files::secret(path)?
                && logins::user_of(url.expose_secret())? == login
            {
                return Ok(url);
            }
        }
        Err(Error::Lost(format!("the URL of the login {login}")))
    }

    fn owner(&self) -> Result<SecretString, Error> {
        files::needed(&self.owner)
    }
}

impl Exchange for Database {
    async fn in_use(&self) -> Result<String, Error> {
        let url = files::needed(&self.file)?;
        Ok(logins::user_of(url.expose_secret())?)
    }

    async fn stage(&mut self, former: &str) -> Result<String, Error> {
        let login = logins::next(former)?;
        if files::secret(&self.fresh)?.is_none() {
            let current = files::needed(&self.file)?;
            files::replace(&self.former, current.expose_secret().as_bytes())?;
            let password = Zeroizing::new(hex::encode(Secret32::random()?.expose()));
            let url = with_login(&current, &login, &password)
                .ok_or_else(|| Error::Lost("a host in the database's URL".to_owned()))?;
            // On disk before the database knows it: killed in between, the same one is used.
            files::replace(&self.fresh, url.expose_secret().as_bytes())?;
        }
        let url = self.url_of(&login)?;
        let parsed = Url::parse(url.expose_secret()).ok();
        let password = parsed.as_ref().and_then(Url::password).unwrap_or_default();
        let verifier = scram::verifier(password)?;
        logins::prepare(self.owner()?.expose_secret(), &login, &verifier).await?;
        Ok(login)
    }

    async fn known(&self, id: &str) -> Result<Look, Error> {
        let url = self.url_of(id)?;
        Ok(match logins::prove(url.expose_secret()).await {
            Ok(role) => Look::Everywhere(format!("{id} logs in, and works as {role}")),
            Err(error) => Look::NotYet(format!("{id}: {}", hub_base::chain(&error))),
        })
    }

    async fn switch(&mut self, id: &str) -> Result<(), Error> {
        let url = self.url_of(id)?;
        files::replace(&self.file, url.expose_secret().as_bytes())?;
        self.publish.run().await
    }

    async fn used(&self, id: &str) -> Result<Look, Error> {
        let what = "log in with it";
        Ok(self
            .servers
            .all(what, |answer| answer.database.login == id)
            .await)
    }

    /// Connections that are open need no password; one that was being made when its server went over still shows the former.
    async fn overlap(&self) -> Result<Duration, Error> {
        Ok(ATTEMPT)
    }

    async fn retire(&mut self, id: &str) -> Result<(), Error> {
        logins::retire(self.owner()?.expose_secret(), id).await?;
        if let Ok(url) = self.url_of(id)
            && logins::prove(url.expose_secret()).await.is_ok()
        {
            return Err(Error::Unsettled(format!("{id} still logs in")));
        }
        files::remove(&self.former)?;
        files::remove(&self.fresh)
    }

    async fn gone(&self, id: &str) -> Result<Look, Error> {
        Ok(Look::Everywhere(format!("{id} no longer logs in")))
    }
}

/// The same way in for another login.
fn with_login(url: &SecretString, login: &str, password: &str) -> Option<SecretString> {
    let mut url = Url::parse(url.expose_secret()).ok()?;
    url.set_username(login).ok()?;
    url.set_password(Some(password)).ok()?;
    Some(String::from(url).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_login_of_a_url_changes() {
        for (url, then) in [
            (
                "postgres://hub_app@db/hub",
                Some("postgres://hub_app_a:new@db/hub"),
            ),
            (
                "postgresql://hub_app:o%2Fld@db:5433/hub?sslmode=verify-full&host=%2Frun",
                Some("postgresql://hub_app_a:new@db:5433/hub?sslmode=verify-full&host=%2Frun"),
            ),
            ("postgres:///hub?host=/run", None),
        ] {
            let changed = with_login(&url.to_owned().into(), "hub_app_a", "new");
            assert_eq!(
                changed.as_ref().map(ExposeSecret::expose_secret),
                then,
                "{url}"
            );
        }
    }
}
