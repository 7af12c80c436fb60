//! A database for one test, cloned from a migrated template, gone when the test is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hub_base::{Clock, ManualClock, SystemClock, TenantId, Timestamp};
use hub_events::{Act, Class, Subject};
use hub_store::cluster::server::SUPERUSER;
use hub_store::{Cx, Endpoints, Store, connect, directory};

use crate::cluster::{self, on_own_thread};
use crate::repo;

/// Connections per test: enough for a few tasks at once, few enough for many tests at once.
const CONNECTIONS: u32 = 8;

/// A migrated database of its own.
#[derive(Debug)]
pub struct TestDb {
    store: Store,
    /// Stands still at the moment of [`database`] until the test moves it.
    pub clock: Arc<ManualClock>,
    /// As `hub_app`.
    pub url_app: String,
    /// As the owner of the tables.
    pub url_owner: String,
    /// As a superuser, for what a test must break on purpose.
    pub url_superuser: String,
    name: String,
    drop_url: String,
}

impl TestDb {
    /// The store, as `hub_app`, with the test's clock.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// The two ways in.
    pub fn endpoints(&self) -> Endpoints {
        #[expect(
            clippy::expect_used,
            reason = "for tests; the URLs are the testkit's own"
        )]
        Endpoints::from_urls(&self.url_app, Some(&self.url_owner))
            .expect("the testkit's URLs parse")
    }

    /// The database as it is before any migration.
    ///
    /// # Panics
    /// If the way back fails.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn unmigrated(self) -> Self {
        hub_store::migrate::revert(&self.endpoints(), 0, hub_store::migrate::Loss::Accepted)
            .await
            .expect("every migration has its way back");
        self
    }

    /// Another store on the same database, with another clock or as another replica.
    pub fn store_with(&self, clock: Arc<dyn Clock>) -> Store {
        connect(&self.endpoints(), CONNECTIONS, clock)
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (url, name) = (self.drop_url.clone(), self.name.clone());
        // What stays behind is dropped when the cluster starts again.
        let _stays = on_own_thread(async move { repo::drop_database(&url, &name).await });
    }
}

/// A migrated database of its own for the calling test.
///
/// # Panics
/// If the test cluster cannot be started; the text says what is missing.
#[expect(
    clippy::panic,
    reason = "a test without its database has nothing to say"
)]
pub async fn database() -> TestDb {
    match try_database().await {
        Ok(database) => database,
        Err(error) => panic!("{error:#}"),
    }
}

/// As [`database`], for benches and tools.
///
/// # Errors
/// If the test cluster cannot be started.
pub async fn try_database() -> anyhow::Result<TestDb> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let cluster = tokio::task::spawn_blocking(cluster::shared).await??;
    let name = format!(
        "t_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let superuser = cluster.server.url(SUPERUSER, "postgres");
    repo::drop_database(&superuser, &name).await?;
    repo::clone(&superuser, &cluster.template, &name).await?;
    let (url_app, url_owner) = (
        cluster.server.url("hub_app", &name),
        cluster.server.url("hub_owner", &name),
    );
    // Whole milliseconds, as OCSF's `time` has them.
    let now = Timestamp::from_unix_millis(SystemClock.now().unix_millis());
    let clock = Arc::new(ManualClock::at(now));
    let endpoints = Endpoints::from_urls(&url_app, Some(&url_owner))?;
    let store = connect(&endpoints, CONNECTIONS, clock.clone());
    Ok(TestDb {
        store,
        clock,
        url_app,
        url_owner,
        url_superuser: cluster.server.url(SUPERUSER, &name),
        name,
        drop_url: superuser,
    })
}

/// A tenant of that slug.
///
/// # Panics
/// If the slug is taken or unfit.
#[expect(
    clippy::expect_used,
    reason = "a test without its tenant has nothing to say"
)]
pub async fn tenant(store: &Store, slug: &str) -> TenantId {
    let cx = Cx::system(store.clone(), TenantId::SYSTEM, "testkit");
    let id = TenantId::new(&**store.clock());
    let mut tx = cx.write().await.expect("the test database answers");
    directory::insert(&mut tx, id, slug, slug)
        .await
        .expect("a fresh, fit slug");
    let act = Act::new("tenant.create", Class::EntityManagement, 1, "admin")
        .on(Subject::new("tenant", id).named(slug));
    tx.commit(act).await.expect("the test database answers");
    id
}
