//! Transactions: the only way to a connection. Each is scoped to one tenant for its whole life.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use hub_base::{Clock, EntryId, Origin, Principal, TenantId, Timestamp};
use hub_events::{Act, Event};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, SqlSafeStr as _, Transaction};

use crate::bus::{Bus, Committed};
use crate::connect::{Endpoints, application};
use crate::cx::Cx;
use crate::error::Error;
use crate::whole::whole;

/// The database as the rooms see it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    bus: Bus,
}

impl Store {
    /// Over a pool that logs in as the application's role (never an owner, never BYPASSRLS).
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self {
            pool,
            clock,
            bus: Bus::new(),
        }
    }

    /// Logs in as these endpoints say from now on; connections that are open go on as they are. Only another login of the
    /// same database: whoever moves starts anew.
    ///
    /// # Errors
    /// [`Error::Url`] if they lead elsewhere.
    pub fn renew(&self, endpoints: &Endpoints) -> Result<(), Error> {
        let (now, then) = (self.pool.connect_options(), application(endpoints));
        let place = |way: &PgConnectOptions| {
            let database = way.get_database().map(str::to_owned);
            (way.get_host().to_owned(), way.get_port(), database)
        };
        if place(&now) != place(&then) {
            let why = "it leads to another database: only a restart goes there";
            return Err(Error::Url(why.to_owned()));
        }
        self.pool.set_connect_options(then);
        Ok(())
    }

    /// As whom new connections log in.
    pub fn login(&self) -> String {
        self.pool.connect_options().get_username().to_owned()
    }

    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub const fn bus(&self) -> &Bus {
        &self.bus
    }

    /// A read-only transaction in `tenant`.
    pub async fn read(&self, tenant: TenantId) -> Result<ReadTx, Error> {
        let tx = begin(&self.pool, tenant, "begin read only").await?;
        Ok(ReadTx(Tx {
            inner: tx,
            tenant,
            now: self.clock.now(),
        }))
    }

    /// A writing transaction in the context's tenant.
    pub async fn write(&self, cx: &Cx) -> Result<WriteTx, Error> {
        let tenant = cx.tenant();
        let tx = begin(&self.pool, tenant, "begin").await?;
        Ok(WriteTx {
            tx: Tx {
                inner: tx,
                tenant,
                now: self.clock.now(),
            },
            principal: cx.principal.clone(),
            origin: cx.origin.clone(),
            clock: Arc::clone(&self.clock),
            bus: self.bus.clone(),
            acts: Vec::new(),
        })
    }
}

async fn begin(
    pool: &PgPool,
    tenant: TenantId,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, Error> {
    // Connections that died while they waited (a restart, a failover) show it only now: each is passed over once.
    // Nothing has happened yet, so that trying again is safe.
    let mut stale = pool.size();
    loop {
        // INVARIANT: a tenant's id prints as hexadecimal digits and hyphens; there is nothing to escape.
        // One simple query is one round trip, where `begin` and `set_config($1)` would be two.
        let sql = AssertSqlSafe(format!("{statement}; set local app.tenant = '{tenant}'"));
        // Who goes while they wait for a connection gives up their place.
        let connection = pool.acquire().await?;
        let begun = whole(Transaction::begin(connection, Some(sql.into_sql_str()))).await;
        match begun.map_err(Error::from) {
            Err(Error::Unavailable(error)) if stale > 0 && lost(&error) => stale -= 1,
            other => return other,
        }
    }
}

/// Whether the connection is gone (and not: the pool is empty, the disk is full).
fn lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => {
            database.code().is_some_and(|code| code.starts_with("57P0"))
        }
        _ => false,
    }
}

/// What statements run on: one tenant's view of the database. `repo` functions take `&mut Tx`.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    tenant: TenantId,
    now: Timestamp,
}

impl Tx {
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The transaction's one idea of now.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// For statements in files named `repo.rs`.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// A transaction that can only read.
#[derive(Debug)]
pub struct ReadTx(Tx);

impl Deref for ReadTx {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.0
    }
}

impl DerefMut for ReadTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.0
    }
}

/// A transaction that can write. Dropping it rolls back; committing it takes an act.
#[derive(Debug)]
pub struct WriteTx {
    tx: Tx,
    principal: Arc<Principal>,
    origin: Option<Arc<Origin>>,
    clock: Arc<dyn Clock>,
    bus: Bus,
    acts: Vec<(&'static str, Arc<Event>)>,
}

impl Deref for WriteTx {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

impl WriteTx {
    /// Records a further act in this transaction (one transaction may do several things).
    pub async fn record(&mut self, act: Act) -> Result<EntryId, Error> {
        let entry = EntryId::new(&*self.clock);
        let operation = act.operation;
        let event = act.into_event(
            &entry.to_string(),
            self.tx.now,
            &self.principal,
            self.origin.as_deref(),
        );
        crate::outbox::repo::insert(&mut self.tx, entry, operation, &event).await?;
        self.acts.push((operation, Arc::new(event)));
        Ok(entry)
    }

    /// Change, ledger entry and event, or nothing. Returns the entry's id.
    pub async fn commit(mut self, act: Act) -> Result<EntryId, Error> {
        let entry = self.record(act).await?;
        self.commit_progress().await?;
        Ok(entry)
    }

    /// Commits a worker's own bookkeeping (a read position, a learned profile, an expiry sweep), together
    /// with whatever acts were [`record`](Self::record)ed. Never for a change that a user or operator could see.
    pub async fn commit_progress(self) -> Result<(), Error> {
        // Whatever holds is told: who keeps a copy (of sessions, of rights) has to forget it.
        whole(async move {
            self.tx.inner.commit().await?;
            for (operation, event) in self.acts {
                self.bus.tell(Committed {
                    tenant: self.tx.tenant,
                    operation,
                    event,
                });
            }
            Ok(())
        })
        .await
    }
}
