//! How to reach the database: as its owner for migrations, as the application for everything else.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hub_base::Clock;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::error::Error;
use crate::tx::Store;

/// The name of the application's role: it owns nothing and cannot bypass row-level security.
pub const APP_ROLE: &str = "hub_app";

/// The two ways in.
#[derive(Clone)]
pub struct Endpoints {
    /// As the owner of the tables: migrations only.
    pub owner: PgConnectOptions,
    /// As the application's role.
    pub app: PgConnectOptions,
}

/// They may carry passwords: only where they lead is shown.
impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = |way: &PgConnectOptions| format!("{}@{}", way.get_username(), way.get_host());
        f.debug_struct("Endpoints")
            .field("owner", &way(&self.owner))
            .field("app", &way(&self.app))
            .finish()
    }
}

impl Endpoints {
    /// From URLs. With one URL only, the application's sessions start in the role `hub_app`, which the
    /// migrations make and grant; two URLs with two logins are better.
    ///
    /// # Errors
    /// [`Error::Url`] if a URL does not parse.
    pub fn from_urls(app: &str, owner: Option<&str>) -> Result<Self, Error> {
        let parse =
            |url: &str| PgConnectOptions::from_str(url).map_err(|e| Error::Url(e.to_string()));
        if let Some(owner) = owner {
            return Ok(Self {
                owner: parse(owner)?,
                app: parse(app)?,
            });
        }
        let owner = parse(app)?;
        Ok(Self {
            app: owner.clone().options([("role", APP_ROLE)]),
            owner,
        })
    }
}

/// A store over a pool of at most `connections` connections. The first connection is made lazily.
pub fn connect(endpoints: &Endpoints, connections: u32, clock: Arc<dyn Clock>) -> Store {
    Store::new(
        pool(connections).connect_lazy_with(application(endpoints)),
        clock,
    )
}

/// How the application's sessions begin.
pub(crate) fn application(endpoints: &Endpoints) -> PgConnectOptions {
    endpoints
        .app
        .clone()
        .application_name("security-hub")
        .options([
            ("statement_timeout", "30s"),
            ("lock_timeout", "5s"),
            // Notices such as "already exists, skipping" are nobody's news.
            ("client_min_messages", "warning"),
            ("idle_in_transaction_session_timeout", "60s"),
        ])
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_mins(5))
        .max_lifetime(Duration::from_mins(30))
        .test_before_acquire(false)
        // While two nodes change places, one that follows may answer: it could only be read from, and is behind.
        .after_connect(|connection, _| {
            Box::pin(async move {
                if crate::survey::repo::follows(connection).await? {
                    let why = "the server that answers is a standby";
                    return Err(sqlx::Error::Io(std::io::Error::other(why)));
                }
                Ok(())
            })
        })
}

/// One connection as the application, for a question before it starts.
pub(crate) fn app_pool(endpoints: &Endpoints) -> PgPool {
    pool(1).connect_lazy_with(endpoints.app.clone().application_name("security-hub start"))
}

/// One connection's pool as the owner, for migrations.
pub(crate) fn owner_pool(endpoints: &Endpoints) -> PgPool {
    pool(2).connect_lazy_with(
        endpoints
            .owner
            .clone()
            .application_name("security-hub migrate"),
    )
}

/// Two connections whose sessions begin as `role`, for an operator's work.
pub(crate) fn become_role(options: PgConnectOptions, role: String) -> PgPool {
    let options = options.options([("client_min_messages", "warning"), ("lock_timeout", "10s")]);
    let setting = PgPoolOptions::new().max_connections(2);
    let setting = setting.acquire_timeout(Duration::from_secs(10));
    let setting = setting.after_connect(move |connection, _| {
        let role = role.clone();
        Box::pin(async move {
            sqlx::query("select set_config('role', $1, false)")
                .bind(role)
                .execute(connection)
                .await
                .map(|_| ())
        })
    });
    setting.connect_lazy_with(options)
}
