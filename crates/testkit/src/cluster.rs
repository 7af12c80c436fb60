//! The one test cluster that all test processes share: started by the first, stopped by a watchdog.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context as _;
use hub_store::cluster::account::Account;
use hub_store::cluster::server::SUPERUSER;
use hub_store::cluster::{Server, place};
use hub_store::{Endpoints, migrate};

use crate::repo;

/// The running cluster and the name of its migrated template.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) server: Server,
    pub(crate) template: String,
    /// Held, shared, for as long as this process lives: the watchdog stops a cluster that nobody holds.
    _in_use: File,
}

/// The cluster, started if need be. Every later call in this process gets the same.
pub(crate) fn shared() -> anyhow::Result<&'static Cluster> {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    CLUSTER
        .get_or_init(|| open().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!("the test cluster: {error}"))
}

/// Runs async work to its end on a thread of its own, from wherever.
pub(crate) fn on_own_thread<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    let run = move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(work)
    };
    std::thread::spawn(run)
        .join()
        .map_err(|_| anyhow::anyhow!("a thread of the testkit failed"))?
}

fn open() -> anyhow::Result<Cluster> {
    let home = home();
    std::fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
    let use_path = home.join("use.lock");
    let in_use = File::create(&use_path)?;
    in_use.lock_shared()?;
    let starting = File::create(home.join("start.lock"))?;
    starting.lock()?;

    let account = Account::for_server()?;
    let base = place(
        &home,
        "postgres",
        Path::new("/var/tmp/hub-testkit"),
        account.as_ref(),
    )?;
    let server = Server::under(&base, account, settings())?;
    server.init()?;
    let template = format!("tmpl_{}", migrate::checksum().get(..16).unwrap_or_default());
    let fresh = !server.is_running();
    if fresh {
        server.start()?;
    }
    watchdog(&use_path, &server.data, &home.join("watchdog.lock"))?;
    let superuser = server.url(SUPERUSER, "postgres");
    let build = format!("build_{}", std::process::id());
    let owner = server.url("hub_owner", &build);
    let wanted = template.clone();
    on_own_thread(async move {
        if fresh {
            repo::drop_leftovers(&superuser).await?;
        }
        if !repo::exists(&superuser, &wanted).await? {
            repo::prepare(&superuser, &build).await?;
            migrate::run(&Endpoints::from_urls(&owner, None)?).await?;
            repo::rename(&superuser, &build, &wanted).await?;
        }
        Ok(())
    })?;
    drop(starting);
    Ok(Cluster {
        server,
        template,
        _in_use: in_use,
    })
}

/// `<target>/testkit`.
fn home() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    target.join("testkit")
}

/// Quick and forgetful: what a test cluster holds is worth nothing after the test.
fn settings() -> Vec<String> {
    [
        "max_connections = 300",
        "shared_buffers = 64MB",
        "fsync = off",
        "full_page_writes = off",
        "wal_level = minimal",
        "max_wal_senders = 0",
        "max_wal_size = 2GB",
        "autovacuum = off",
        "jit = off",
        "timezone = 'UTC'",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Every 5 s: is the cluster held by any process? After 60 s without, it is stopped, under the exclusive lock,
/// so that a test that comes in between waits and then starts it anew. A lock of its own keeps it the only one.
const WATCHDOG: &str = r#"
exec 9>>"$3"
flock -n 9 || exit 0
idle=0
while sleep 5; do
  [ -f "$2/postmaster.pid" ] || exit 0
  if flock -n -x "$1" true; then idle=$((idle + 5)); else idle=0; fi
  if [ "$idle" -ge 60 ] && flock -n -x "$1" sh -c '
    kill -INT "$(head -n 1 "$0/postmaster.pid")" || exit 0
    n=0
    while [ -f "$0/postmaster.pid" ] && [ "$n" -lt 100 ]; do sleep 0.2; n=$((n + 1)); done
  ' "$2"; then exit 0; fi
done
"#;

fn watchdog(use_lock: &Path, data: &Path, only: &Path) -> anyhow::Result<()> {
    let lock = File::create(only)?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    drop(lock);
    Command::new("sh")
        .args(["-c", WATCHDOG, "hub-testkit-watchdog"])
        .arg(use_lock)
        .arg(data)
        .arg(only)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Out of the test runner's process group, which may be killed as a whole.
        .process_group(0)
        .spawn()
        .context("start the watchdog of the test cluster")?;
    Ok(())
}
