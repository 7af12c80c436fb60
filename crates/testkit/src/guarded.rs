//! A PostgreSQL of its own that asks everybody for a password (SCRAM) over TCP, as production has it.

use std::net::TcpListener;
use std::path::Path;

use anyhow::Context as _;
use hub_store::cluster::account::Account;
use hub_store::cluster::server::SUPERUSER;
use hub_store::cluster::{Server, place};

use crate::repo;

/// Stopped and removed when dropped.
#[derive(Debug)]
pub struct Guarded {
    server: Server,
    port: u16,
    /// As `hub_app`, whose password is `first`.
    pub url_app: String,
    /// As the owner of the tables, who may make roles.
    pub url_owner: String,
    _folder: tempfile::TempDir,
}

impl Guarded {
    /// With an empty database `hub`, its owner, and the application's role.
    ///
    /// # Errors
    /// If PostgreSQL cannot be started.
    pub async fn start() -> anyhow::Result<Self> {
        let (folder, server, port) = tokio::task::spawn_blocking(serve).await??;
        let guarded = Self {
            url_app: url("hub_app", "first", port),
            url_owner: url("hub_owner", "owner", port),
            server,
            port,
            _folder: folder,
        };
        let set_up = "create role hub_owner login createrole password 'owner';
             create role hub_app login password 'first';";
        repo::execute(&guarded.superuser("postgres"), set_up).await?;
        repo::execute(
            &guarded.superuser("postgres"),
            "create database hub owner hub_owner",
        )
        .await?;
        Ok(guarded)
    }

    fn superuser(&self, database: &str) -> String {
        let port = self.port;
        format!("{}&port={port}", self.server.url(SUPERUSER, database))
    }

    /// As whom the application's sessions logged in, each once.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn logins(&self) -> anyhow::Result<Vec<String>> {
        repo::logins(&self.superuser("hub"), "security-hub").await
    }

    /// Ends every session of the application, as a failover does, and waits until each is gone: one that is told to end
    /// still takes a statement or two.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn end_sessions(&self) -> anyhow::Result<()> {
        let statement = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
             where application_name = 'security-hub'";
        repo::execute(&self.superuser("hub"), statement).await
    }

    /// Whether somebody gets in by this URL.
    pub async fn lets_in(&self, url: &str) -> bool {
        repo::execute(url, "select 1").await.is_ok()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _gone = self.server.stop();
    }
}

fn url(role: &str, password: &str, port: u16) -> String {
    format!("postgres://{role}:{password}@127.0.0.1:{port}/hub")
}

fn serve() -> anyhow::Result<(tempfile::TempDir, Server, u16)> {
    let folder = tempfile::Builder::new()
        .prefix("hub-guarded-")
        .tempdir_in("/var/tmp")?;
    let account = Account::for_server()?;
    let far = Path::new("/var/tmp/hub-testkit");
    let base = place(folder.path(), "postgres", far, account.as_ref())?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let settings = [
        "listen_addresses = '127.0.0.1'".to_owned(),
        format!("port = {port}"),
        "password_encryption = 'scram-sha-256'".to_owned(),
        "fsync = off".to_owned(),
        "max_connections = 100".to_owned(),
        "shared_buffers = 32MB".to_owned(),
    ];
    let server = Server::under(&base, account, settings.to_vec())?;
    server.init()?;
    let rules = "local all hub_root trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(server.data.join("pg_hba.conf"), rules).context("write pg_hba.conf")?;
    server.start()?;
    Ok((folder, server, port))
}
