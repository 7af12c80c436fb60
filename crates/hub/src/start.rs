//! Making a server out of its parts, serving until told to stop, and stopping without losing anything.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hub_access::Authorizer;
use hub_base::SystemClock;
use hub_identity::tenants::Slugs;
use hub_identity::{Authenticator, HashPool, Revocations, Throttle, enrolment};
use hub_operate::cleanup::Policy;
use hub_respond::notify::Notifier;
use hub_store::cluster::PrivateCluster;
use hub_store::migrate::Loss;
use hub_store::sequence::{self, Sequencer};
use hub_store::{Endpoints, Store, connect, migrate as migrations};
use hub_vault::KeyRing;
use secrecy::ExposeSecret as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::commands::say;
use crate::config::Config;
use crate::detection::Detection;
use crate::exit::{Exit, Failure};
use crate::front::access_log::AccessLog;
use crate::front::blocks::Blocks;
use crate::front::listener::Door;
use crate::front::pipeline;
use crate::front::rate::Rate;
use crate::front::tls::Certificates;
use crate::keys::{self, Keys};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::reload;
use crate::state::{App, Parts};
use crate::workers::{self, crew::Crew};

/// For workers to finish what they hold.
const WORKERS_FINISH: Duration = Duration::from_secs(10);

fn unreachable(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::Unreachable, error)
}

/// The database, and the private cluster behind it if it is ours.
struct Database {
    endpoints: Endpoints,
    cluster: Option<PrivateCluster>,
}

impl Database {
    async fn open(config: &Config) -> Result<Self, Failure> {
        if let Some(url) = &config.database.url {
            let owner = config
                .database
                .owner_url
                .as_ref()
                .map(secrecy::ExposeSecret::expose_secret);
            let endpoints = Endpoints::from_urls(url.expose_secret(), owner)
                .map_err(|error| Failure::of_kind(error.kind(), error))?;
            return Ok(Self {
                endpoints,
                cluster: None,
            });
        }
        let cluster = PrivateCluster::start(&config.data_dir)
            .await
            .map_err(unreachable)?;
        let endpoints = cluster.endpoints().map_err(unreachable)?;
        Ok(Self {
            endpoints,
            cluster: Some(cluster),
        })
    }

    async fn migrate(&self) -> Result<(), Failure> {
        let applied = migrations::run(&self.endpoints).await.map_err(|error| {
            Failure::of_kind(
                error.kind(),
                anyhow::Error::new(error).context("the database could not be migrated"),
            )
        })?;
        for name in applied {
            tracing::info!(migration = name, "a migration was applied");
        }
        Ok(())
    }

    async fn fits(&self) -> Result<(), Failure> {
        let fits = migrations::fits(&self.endpoints).await;
        fits.map_err(|error| Failure::of_kind(error.kind(), error))
    }

    fn store(&self, config: &Config) -> Store {
        connect(&self.endpoints, config.database.pool, Arc::new(SystemClock))
    }

    async fn close(self) {
        if let Some(cluster) = self.cluster
            && let Err(error) = cluster.stop().await
        {
            tracing::error!(error = %hub_base::chain(&error), "the private database did not stop in good order");
        }
    }
}

fn prepare(config: &Config) -> Result<(), Failure> {
    hub_telemetry::logs::init(config.log.format, &config.log.level)
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    // With keys and database from outside nothing is ever written to it.
    if config.keys_file.is_some() && config.database.url.is_some() {
        return Ok(());
    }
    data_dir(&config.data_dir)
        .with_context(|| {
            format!(
                "the data directory `{}` cannot be used",
                config.data_dir.display()
            )
        })
        .map_err(unreachable)
}

fn data_dir(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    // Group may be nobody of ours; others have no business here.
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(std::io::Error::other("others may write to it"));
    }
    Ok(())
}

/// `security-hub keys`.
pub(crate) fn make_keys(path: &Path) -> Result<Exit, Failure> {
    KeyRing::create(path, &SystemClock).map_err(unreachable)?;
    say(&format!(
        "a new key ring is in `{}`: hand it to every replica as HUB_KEYS_FILE, and back it up",
        path.display()
    ));
    Ok(Exit::Done)
}

/// `security-hub migrate`.
pub(crate) async fn migrate(config: Config) -> Result<Exit, Failure> {
    prepare(&config)?;
    let database = Database::open(&config).await?;
    let done = database.migrate().await;
    database.close().await;
    done.map(|()| Exit::Done)
}

/// `security-hub migrate --plan`.
pub(crate) async fn migration_plan(config: Config) -> Result<Exit, Failure> {
    prepare(&config)?;
    let database = Database::open(&config).await?;
    let told = migrations::status(&database.endpoints).await;
    database.close().await;
    let told = told.map_err(|error| Failure::of_kind(error.kind(), error))?;
    for one in &told {
        let word = match (one.applied, one.changed) {
            (false, _) => "to come",
            (true, false) => "applied",
            (true, true) => "applied, with another text than this release's",
        };
        say(&format!("{}  {word}", one.name));
    }
    let is_whole = told.iter().all(|one| one.applied && !one.changed);
    Ok(if is_whole { Exit::Done } else { Exit::No })
}

/// `security-hub migrate --revert TO`.
pub(crate) async fn revert(
    config: Config,
    to: i32,
    snapshot: Option<&Path>,
) -> Result<Exit, Failure> {
    prepare(&config)?;
    let database = Database::open(&config).await?;
    let loss = snapshot.map_or(Loss::Refused, Loss::AfterSnapshot);
    let done = migrations::revert(&database.endpoints, to, loss).await;
    database.close().await;
    let done = done.map_err(|error| Failure::of_kind(error.kind(), error))?;
    if let (Some(path), false) = (snapshot, done.is_empty()) {
        say(&format!("everything as it was is in {}", path.display()));
    }
    for name in done {
        say(&format!("{name}  taken back"));
    }
    Ok(Exit::Done)
}

/// `security-hub init`.
pub(crate) async fn init(config: Config) -> Result<Exit, Failure> {
    prepare(&config)?;
    let database = Database::open(&config).await?;
    let done = async {
        database.migrate().await?;
        not_lost(&config, &database.store(&config)).await?;
        keys::open(&config, &SystemClock).map_err(unreachable)?;
        if !first_start(&database.store(&config)).await? {
            say("initialised before; the enrolment secret was shown then");
        }
        Ok(Exit::Done)
    }
    .await;
    database.close().await;
    done
}

/// A new ring under ledgers that another one signed would vouch for nothing of before, and sign over it.
async fn not_lost(config: &Config, store: &Store) -> Result<(), Failure> {
    let Some(ring) = keys::missing(config) else {
        return Ok(());
    };
    for tenant in store.tenants().await.map_err(unreachable)? {
        let mut tx = store.read(tenant).await.map_err(unreachable)?;
        if sequence::head(&mut tx)
            .await
            .map_err(unreachable)?
            .is_some()
        {
            return Err(unreachable(anyhow::anyhow!(
                "the key ring `{}` is lost: it signed the ledgers in this database. Put it back: `hubctl restore --keys-only \
                 --recovery-key FILE` takes it from the newest backup",
                ring.display()
            )));
        }
    }
    Ok(())
}

/// Shows the enrolment secret if this is the first start; true if it was.
async fn first_start(store: &Store) -> Result<bool, Failure> {
    let secret = enrolment::prepare(store)
        .await
        .map_err(|error| Failure::of_kind(error.kind(), error))?;
    if let Some(secret) = &secret {
        say(&format!("enrolment secret (shown once): {secret}"));
    }
    Ok(secret.is_some())
}

/// `security-hub health`.
pub(crate) async fn health(config: Config) -> Result<Exit, Failure> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    if config.tls.is_some() {
        return TcpStream::connect(config.listen)
            .await
            .map(|_| Exit::Done)
            .map_err(unreachable);
    }
    let mut socket = TcpStream::connect(config.listen)
        .await
        .with_context(|| format!("nobody listens on {}", config.listen))
        .map_err(unreachable)?;
    let request = "GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    socket
        .write_all(request.as_bytes())
        .await
        .map_err(unreachable)?;
    let mut answer = String::new();
    socket
        .read_to_string(&mut answer)
        .await
        .map_err(unreachable)?;
    let ready = answer.starts_with("HTTP/1.1 200");
    say(if ready { "ready" } else { "not ready" });
    Ok(if ready { Exit::Done } else { Exit::No })
}

/// `security-hub serve`.
pub(crate) async fn serve(config: Config) -> Result<Exit, Failure> {
    prepare(&config)?;
    let certificates = config
        .tls
        .as_ref()
        .map(Certificates::load)
        .transpose()
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    // The port first: a second server must not touch the first one's database.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| {
            format!(
                "cannot listen on {} (choose another with --listen)",
                config.listen
            )
        })
        .map_err(unreachable)?;
    let database = Database::open(&config).await?;
    let done = run(&config, &database, listener, certificates).await;
    database.close().await;
    done
}

async fn run(
    config: &Config,
    database: &Database,
    listener: TcpListener,
    certificates: Option<Certificates>,
) -> Result<Exit, Failure> {
    if config.database.migrate {
        database.migrate().await?;
    } else {
        // A migration says this by itself.
        database.fits().await?;
    }
    let store = database.store(config);
    let address = listener.local_addr().map_err(unreachable)?;
    let scheme = if certificates.is_some() {
        "https"
    } else {
        "http"
    };
    let url = config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("{scheme}://{address}"));
    not_lost(config, &store).await?;
    let app = assemble(config, store, &url).map_err(|error| Failure::new(Exit::Usage, error))?;
    workers::views::load(&app).await.map_err(unreachable)?;
    workers::start(&app);
    first_start(&app.store).await?;
    say(&format!(
        "security-hub {} listening on {scheme}://{address}",
        env!("CARGO_PKG_VERSION")
    ));
    reload::watch(&app, certificates.clone()).map_err(unreachable)?;
    let stopping = stop_on_signal(&app).map_err(unreachable)?;
    let answer = pipeline::answer(app.clone(), crate::api::router(&app));
    let door = Door::new(config, certificates, answer, app.metrics.clone(), stopping);
    let cut_off = door.serve(listener, config.drain).await;
    let finished = app.crew.dismiss(WORKERS_FINISH).await;
    tracing::info!(
        connections.cut_off = cut_off,
        workers.finished = finished,
        "stopped"
    );
    Ok(if cut_off == 0 && finished {
        Exit::Done
    } else {
        Exit::Interrupted
    })
}

fn assemble(config: &Config, store: Store, url: &str) -> anyhow::Result<App> {
    let clock = Arc::clone(store.clock());
    let keys = Keys::new(config, &*clock, url)?;
    let tokens = Arc::clone(&keys.tokens);
    let revocations = Arc::new(Revocations::default());
    let threads = config.hash.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get)
    });
    let metrics = Metrics::new();
    let responding = hub_respond::actions::Deps {
        config: Arc::new(config.respond.clone()),
    };
    let app = App::new(Parts {
        keys,
        authenticator: Authenticator::new(
            store.clone(),
            Arc::clone(&tokens),
            Arc::clone(&revocations),
        ),
        slugs: Slugs::default(),
        throttle: Throttle::new(hub_identity::throttle::Limits::default()),
        hashing: HashPool::start(threads, config.hash.queue)?,
        authorizer: Authorizer::new(store.clone())?,
        crew: Crew::new(metrics.clone()),
        started_at: clock.now(),
        stopping: watch::Sender::new(None),
        blocks: Blocks::default(),
        rate: Rate::new(config.limits.requests_per_second, config.limits.burst),
        access_log: AccessLog::default(),
        live: Live::default(),
        sequencer: Sequencer::default(),
        detection: Detection::load(config)?,
        retention: Policy::load(config.content.retention.as_deref())?,
        config: config.clone(),
        store,
        metrics,
        tokens,
        revocations,
        responding,
        notifier: Notifier::new(&config.respond)?,
    });
    crate::workers::views::attach(&app);
    Ok(app)
}

/// SIGTERM or SIGINT begins the end; a second one changes nothing.
fn stop_on_signal(app: &App) -> std::io::Result<watch::Receiver<Option<Instant>>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let told = app.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what is in progress");
        told.stopping.send_replace(Some(Instant::now()));
    });
    Ok(app.stopping.subscribe())
}
