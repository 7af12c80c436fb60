//! The drill's own installation: a hub with its private database, two tenants, a repository in each of two regions, the
//! recovery key in a safe. Nothing of it is shared with any other; all of it goes in the end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hub_base::Clock;
use hub_store::harm::Victim;
use hub_vault::{RecoveryKey, Secret32};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tempfile::TempDir;

use super::door::Door;
use super::ledgers::{self, Published};
use super::processes;
use super::scenario::Wanted;
use crate::backup::{self, Config, Kind, Repository, Site};
use crate::error::{Error, fault};
use crate::operation::Witness;
use crate::serving::{MOMENTS, Serving};

/// What tokens name as their issuer, wherever the hub serves: they must be good at the standby too.
const NAME: &str = "http://hub.drill.invalid";

/// A tenant with its owner.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) slug: &'static str,
    password: SecretString,
    /// Ingests, and reads the ledger.
    pub(super) key: SecretString,
    /// Signed before anything happened.
    pub(super) token: SecretString,
    pub(super) published: Published,
}

pub(super) struct Installation {
    // Removed when everything in it has ended.
    folder: Option<TempDir>,
    server: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    wanted: Wanted,
    /// The data directory that counts now.
    pub(super) data_dir: PathBuf,
    key: RecoveryKey,
    hub: Option<Serving>,
    pub(super) door: Door,
    /// May read the health.
    pub(super) operator: SecretString,
    pub(super) tenants: Vec<Tenant>,
}

impl Installation {
    /// Made, in use, and backed up.
    pub(super) async fn make(
        scratch: &Path,
        server: &Path,
        wanted: Wanted,
        clock: Arc<dyn Clock>,
        witness: &dyn Witness,
    ) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("scenario-")
            .tempdir_in(scratch)
            .map_err(fault(scratch, "made"))?;
        for region in [REGIONS.0, REGIONS.1] {
            let path = folder.path().join(region);
            fs::create_dir(&path).map_err(fault(&path, "made"))?;
            open(&path)?;
        }
        // The database's user must get to its files.
        open(folder.path())?;
        let mut made = Self {
            data_dir: folder.path().join(REGIONS.0).join("data"),
            folder: Some(folder),
            server: server.to_owned(),
            clock,
            wanted,
            key: RecoveryKey::generate(),
            hub: None,
            door: Door::new()?,
            operator: SecretString::default(),
            tenants: Vec::new(),
        };
        made.start_hub().await?;
        made.settle().await?;
        made.back_up(Kind::Full, witness).await?;
        Ok(made)
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    pub(super) fn first_region(&self) -> PathBuf {
        self.root().join(REGIONS.0)
    }

    pub(super) fn repository(&self, region: &str) -> PathBuf {
        self.root().join(region).join("repository")
    }

    /// Where the second region's host keeps its data.
    pub(super) fn standby(&self) -> PathBuf {
        self.root().join(REGIONS.1).join("data")
    }

    /// A copy of the key from the safe.
    pub(super) fn key(&self) -> Result<RecoveryKey, Error> {
        RecoveryKey::parse(self.key.text().expose_secret())
            .ok_or_else(|| Error::Lost("the recovery key".to_owned()))
    }

    pub(super) const fn server(&self) -> &PathBuf {
        &self.server
    }

    pub(super) fn repository_of(path: PathBuf) -> Repository {
        Repository::folder(path)
    }

    /// As `backup.toml` of the region that serves says.
    pub(super) fn site(&self) -> Result<Site, Error> {
        let regions = [REGIONS.0, REGIONS.1].map(|region| self.repository(region));
        let config = Config {
            repositories: regions.map(Self::repository_of).to_vec(),
            recipients: vec![self.key.recipient().to_string()],
            archive_timeout: self.wanted.archive_timeout,
            ..Config::default()
        };
        Site::open(&self.data_dir, config)
    }

    /// A superuser's way to do harm, to this database and no other.
    pub(super) async fn victim(&self) -> Result<Victim, Error> {
        let overseer = self.site()?.cluster.overseer()?;
        Ok(Victim::of(overseer, self.root()).await?)
    }

    pub(super) async fn back_up(&self, kind: Kind, witness: &dyn Witness) -> Result<(), Error> {
        let done = backup::run(&self.site()?, kind, Arc::clone(&self.clock), witness).await?;
        match done.record.why {
            None => Ok(()),
            Some(why) => Err(Error::Backup(why)),
        }
    }

    pub(super) const fn has_hub(&self) -> bool {
        self.hub.is_some()
    }

    pub(super) fn hub_log(&self) -> PathBuf {
        self.root().join("hub.log")
    }

    pub(super) async fn start_hub(&mut self) -> Result<(), Error> {
        let log = self.hub_log();
        let settings = [("HUB_PUBLIC_URL", NAME)];
        let mut hub = Serving::start(&self.server, &self.data_dir, &log, &settings)?;
        match hub.listens().await {
            Ok(url) => self.door.leads_to(url),
            Err(why) => {
                hub.kill().await;
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last: String = said
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .chars()
                    .take(600)
                    .collect();
                return Err(Error::Drill(format!(
                    "the hub does not come up: {why}: {last}"
                )));
            }
        }
        self.hub = Some(hub);
        Ok(())
    }

    pub(super) async fn stop_hub(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.stop().await;
        }
    }

    pub(super) async fn kill_hub(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.kill().await;
        }
    }

    /// An operator, tenants with their owners, keys.
    async fn settle(&mut self) -> Result<(), Error> {
        let password = random()?;
        let secret = self.hub.as_mut().and_then(|hub| hub.secret.take());
        let secret = secret.ok_or_else(|| Error::Drill("the hub is not new".to_owned()))?;
        let enrol = json!({"secret": secret.expose_secret(), "username": "operator", "email": "operator@drill.example",
            "password": password.expose_secret()});
        self.door.must(201, "/api/v2/enrol", None, &enrol).await?;
        let operator = self.sign_in("system", "operator", &password).await?;
        self.operator = self.api_key(&operator, &["health.read"]).await?;
        for slug in ["north", "south"] {
            let password = random()?;
            let made = json!({"slug": slug, "name": slug, "owner": {"username": "owner",
                "email": format!("owner@{slug}.example"), "password": password.expose_secret()}});
            self.door
                .must(201, "/api/v2/tenants", Some(&operator), &made)
                .await?;
            let token = self.sign_in(slug, "owner", &password).await?;
            let key = self
                .api_key(&token, &["events.ingest", "ledger.read"])
                .await?;
            let published = ledgers::key(&self.door, &key).await.map_err(Error::Drill)?;
            self.tenants.push(Tenant {
                slug,
                password,
                key,
                token,
                published: Published {
                    key: published,
                    checkpoints: Vec::new(),
                },
            });
        }
        Ok(())
    }

    async fn sign_in(
        &self,
        tenant: &str,
        username: &str,
        password: &SecretString,
    ) -> Result<SecretString, Error> {
        let body =
            json!({"tenant": tenant, "username": username, "password": password.expose_secret()});
        let answer = self.door.must(200, "/api/v2/login", None, &body).await?;
        Ok(answer.field("access_token").into())
    }

    /// Tokens are good for minutes: the ones that people hold as it happens.
    pub(super) async fn renew_tokens(&mut self) -> Result<(), Error> {
        let mut tokens = Vec::new();
        for tenant in &self.tenants {
            let token = self.sign_in(tenant.slug, "owner", &tenant.password);
            tokens.push(token.await?);
        }
        for (tenant, token) in self.tenants.iter_mut().zip(tokens) {
            tenant.token = token;
        }
        Ok(())
    }

    /// Each tenant's owner signs in; whoever cannot is named.
    pub(super) async fn everybody_signs_in(&self) -> Result<(), Error> {
        for tenant in &self.tenants {
            self.sign_in(tenant.slug, "owner", &tenant.password).await?;
        }
        Ok(())
    }

    async fn api_key(&self, token: &SecretString, scopes: &[&str]) -> Result<SecretString, Error> {
        let body = json!({"name": "drill", "scopes": scopes});
        let answer = self
            .door
            .must(201, "/api/v2/api-keys", Some(token), &body)
            .await?;
        Ok(answer.field("key").into())
    }

    /// Keeps each ledger's head outside.
    pub(super) async fn publish(&mut self) -> Result<(), Error> {
        for tenant in &mut self.tenants {
            ledgers::publish(&self.door, tenant)
                .await
                .map_err(Error::Drill)?;
        }
        Ok(())
    }

    /// Whether a segment was archived since the backup, with what was written meanwhile.
    pub(super) async fn archives(&self) -> Result<bool, Error> {
        let info = backup::list(&self.site()?).await?;
        let stop = info.backups.last().map(|backup| backup.wal_stop.clone());
        Ok(info.newest_wal > stop)
    }

    /// Ends what runs and leaves the folder to whoever wants to know why. Where it is.
    pub(super) async fn keep(mut self) -> PathBuf {
        self.kill_hub().await;
        processes::kill_all(self.root()).await;
        self.folder.take().map(TempDir::keep).unwrap_or_default()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // What still writes would keep the folder from being removed.
        if let Some(folder) = &self.folder {
            if let Some(hub) = self.hub.take() {
                hub.end();
            }
            for _ in 0..MOMENTS {
                if processes::end(folder.path()) == 0 {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}

/// The folders of the two regions.
pub(super) const REGIONS: (&str, &str) = ("first-region", "second-region");

fn random() -> Result<SecretString, Error> {
    Ok(hex::encode(Secret32::random()?.expose()).into())
}

fn open(path: &Path) -> Result<(), Error> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(fault(path, "opened"))
}
