//! The private cluster's life: made, started, watched, stopped.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;

use super::account::Account;
use super::error::Error;
use super::server::{SUPERUSER, Server};
use super::{place, repo};
use crate::connect::Endpoints;

/// The hub's database in the cluster.
const DATABASE: &str = "hub";
/// Where the files go when the server's user cannot enter the data directory.
const FAR: &str = "/var/lib/security-hub";
/// How often the watch looks whether the server lives.
const WATCH: Duration = Duration::from_millis(500);
/// The longest pause between two attempts to bring a dead server back.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A running cluster of our own. [`stop`](Self::stop) it at the end; dropping only asks the server to stop.
///
/// INVARIANT: at most one hub per data directory holds this, by a lock on a file in it.
#[derive(Debug)]
pub struct PrivateCluster {
    shared: Arc<Shared>,
    watch: JoinHandle<()>,
    _lock: File,
}

#[derive(Debug)]
struct Shared {
    server: Server,
    /// Held while the server is started or stopped; true once it shall stay stopped.
    closed: Mutex<bool>,
}

impl PrivateCluster {
    /// Makes the cluster at the first start, starts it (or takes over one that outlived its hub), and watches it.
    ///
    /// # Errors
    /// Each says what to do: no binaries, wrong version, disk full, another hub on the same directory.
    pub async fn start(data_directory: &Path) -> Result<Self, Error> {
        let directory = data_directory.to_owned();
        let (server, lock) = blocking(move || prepare(&directory)).await?;
        let shared = Arc::new(Shared {
            server,
            closed: Mutex::new(false),
        });
        let starting = Arc::clone(&shared);
        blocking(move || starting.start()).await?;
        let superuser = options(&shared.server, SUPERUSER, "postgres")?;
        if let Err(error) = repo::prepare(&superuser, DATABASE).await {
            shared.server.ask_to_stop();
            return Err(Error::Login(error));
        }
        let watch = tokio::spawn(watch(Arc::clone(&shared)));
        Ok(Self {
            shared,
            watch,
            _lock: lock,
        })
    }

    /// The two ways in: as the owner for migrations, as `hub_app` for everything else.
    pub fn endpoints(&self) -> Result<Endpoints, Error> {
        Ok(Endpoints {
            owner: options(&self.shared.server, "hub_owner", DATABASE)?,
            app: options(&self.shared.server, "hub_app", DATABASE)?,
        })
    }

    /// For migrations, and for `psql`.
    pub fn url_owner(&self) -> String {
        self.shared.server.url("hub_owner", DATABASE)
    }

    /// For everything else.
    pub fn url_app(&self) -> String {
        self.shared.server.url("hub_app", DATABASE)
    }

    /// Whether the server process lives.
    pub fn is_running(&self) -> bool {
        self.shared.server.is_running()
    }

    /// The server behind it.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// The server of a data directory, whether or not it runs, without holding it.
    ///
    /// # Errors
    /// [`Error::Files`] and others if there is none.
    pub fn find(data_directory: &Path) -> Result<Server, Error> {
        let account = Account::for_server()?;
        let base = place(data_directory, "postgres", Path::new(FAR), account.as_ref())?;
        Server::under(&base, account, settings())
    }

    /// The server of a data directory, held so that no hub can use it meanwhile.
    ///
    /// # Errors
    /// [`Error::InUse`] while a hub runs on it.
    pub fn claim(data_directory: &Path) -> Result<(Server, File), Error> {
        let account = Account::for_server()?;
        let base = place(data_directory, "postgres", Path::new(FAR), account.as_ref())?;
        let lock = held(&base, data_directory)?;
        Ok((Server::under(&base, account, settings())?, lock))
    }

    /// A folder beside the server's own, `<data directory>/<name>`, that the server can use.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder(data_directory: &Path, name: &str) -> Result<PathBuf, Error> {
        let account = Account::for_server()?;
        place(data_directory, name, Path::new(FAR), account.as_ref())
    }

    /// A superuser's way in, for surveys.
    pub fn overseer_of(server: &Server) -> Result<crate::survey::Overseer, crate::Error> {
        crate::survey::Overseer::at(&server.url(SUPERUSER, DATABASE))
    }

    /// Where its files lie.
    pub fn directory(&self) -> PathBuf {
        self.shared.server.data.clone()
    }

    /// Lets go of the server without stopping it, as a kill -9 of the hub would. For tests of the way back.
    pub fn abandon(self) {
        *self
            .shared
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Ends every session, writes everything out and waits until the server is gone.
    pub async fn stop(self) -> Result<(), Error> {
        self.watch.abort();
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.close()).await
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        self.watch.abort();
        let mut closed = self
            .shared
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !*closed {
            *closed = true;
            self.shared.server.ask_to_stop();
        }
    }
}

impl Shared {
    fn start(&self) -> Result<(), Error> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *closed { Ok(()) } else { self.server.start() }
    }

    fn close(&self) -> Result<(), Error> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = true;
        self.server.stop()
    }
}

/// Brings a dead server back, pausing longer after each failure.
async fn watch(shared: Arc<Shared>) {
    let mut pause = WATCH;
    loop {
        tokio::time::sleep(pause).await;
        if shared.server.is_running() {
            pause = WATCH;
            continue;
        }
        tracing::error!("the private database is gone; starting it again");
        let starting = Arc::clone(&shared);
        match blocking(move || starting.start()).await {
            Ok(()) => tracing::info!("the private database is back"),
            Err(error) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
                tracing::error!(%error, retry_ms = pause.as_millis() as u64, "the private database does not start");
            }
        }
    }
}

fn prepare(data_directory: &Path) -> Result<(Server, File), Error> {
    let account = Account::for_server()?;
    let base = place(data_directory, "postgres", Path::new(FAR), account.as_ref())?;
    let lock = held(&base, data_directory)?;
    let server = Server::under(&base, account, settings())?;
    server.init()?;
    Ok((server, lock))
}

/// The lock of a data directory's hub.
fn held(base: &Path, data_directory: &Path) -> Result<File, Error> {
    let path = base.join("hub.lock");
    let lock = File::create(&path).map_err(Error::files("make", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: data_directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(Error::files("lock", path)(error)),
    }
}

/// For a small machine that does other work too; durable in every respect.
fn settings() -> Vec<String> {
    [
        "max_connections = 60",
        "shared_buffers = 128MB",
        "max_wal_size = 1GB",
        // Turning it on later would take a restart; until there is a backup nothing is kept.
        "archive_mode = on",
        "archive_command = '/bin/true'",
        "wal_compression = on",
        "jit = off",
        "timezone = 'UTC'",
        "log_timezone = 'UTC'",
        "log_line_prefix = '%m [%p] %q%u '",
        "password_encryption = 'scram-sha-256'",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn options(server: &Server, role: &str, database: &str) -> Result<PgConnectOptions, Error> {
    PgConnectOptions::from_str(&server.url(role, database)).map_err(Error::Login)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|fault| {
            Err(Error::Program {
                program: "a thread",
                output: fault.to_string(),
            })
        })
}
