//! What a database holds, told in figures that another time can be compared with: the proof of a restore.
//!
//! Reads across tenants, so it needs a superuser's way in; nothing leaves but counts, hashes and signed checkpoints. Rows leave
//! only over [`Overseer::as_owner`], one tenant's at a time.

pub(crate) mod repo;

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, TenantId, Timestamp};
use hub_ledger::{Frontier, Hash, leaf_hash};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::connect::{self, Endpoints};
use crate::error::Error;
use crate::migrate;
use crate::tx::Store;

/// A superuser's way into one database.
#[derive(Debug, Clone)]
pub struct Overseer(PgConnectOptions);

/// One tenant's ledger, as its head says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    pub tenant: TenantId,
    pub slug: String,
    pub size: u64,
    /// In hexadecimal.
    pub root: String,
    /// The signed note over size and root.
    pub checkpoint: String,
}

/// One table's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub rows: i64,
    /// The sum of the rows' hashes, in no order.
    pub sum: String,
}

/// What recovery has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the server still replays.
    pub replays: bool,
    /// When the last transaction was committed that was replayed.
    pub last_commit: Option<Timestamp>,
}

/// Where the write-ahead log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wal {
    /// The segment that is written now.
    pub current: String,
    /// How much of it is written.
    pub offset: u64,
    /// Bytes of a whole segment.
    pub segment: u64,
    /// The whole segments of this timeline that the server still has, oldest first, and how long each has been whole, by
    /// the server's own clock; and whether it waits to be archived.
    pub whole: Vec<(String, Duration, bool)>,
}

/// A tree computed anew from its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    pub size: u64,
    /// The roots at the sizes that were asked for, as far as the entries reach.
    pub roots: BTreeMap<u64, Hash>,
    /// The first entry whose text is not what its leaf says.
    pub altered: Option<i64>,
    /// When the last entry got its place.
    pub newest: Option<Timestamp>,
}

impl Overseer {
    /// # Errors
    /// [`Error::Url`].
    pub fn at(url: &str) -> Result<Self, Error> {
        PgConnectOptions::from_str(url)
            .map(|options| Self(options.application_name("hubctl")))
            .map_err(|error| Error::Url(error.to_string()))
    }

    /// A store whose sessions begin as the owner of the tables, on whom row-level security is forced: its transactions see
    /// and change one tenant, as the application's do, but may make tables beside.
    ///
    /// # Errors
    /// [`Error::Invalid`] if nothing is forced on the owner, [`Error::Unavailable`], [`Error::Refused`].
    pub async fn as_owner(&self, clock: Arc<dyn Clock>) -> Result<Store, Error> {
        let owner = self.owner().await?;
        Ok(Store::new(
            connect::become_role(self.0.clone(), owner),
            clock,
        ))
    }

    /// INVARIANT: whoever it names cannot see past a tenant's wall.
    async fn owner(&self) -> Result<String, Error> {
        let (owner, is_above) = repo::owner(&mut self.enter().await?).await?;
        if is_above {
            return Err(Error::Invalid(format!(
                "the tables belong to `{owner}`, whom row-level security does not bind: give them to a role without SUPERUSER \
                 and BYPASSRLS"
            )));
        }
        Ok(owner)
    }

    /// Applies the migrations that are missing; their names.
    ///
    /// # Errors
    /// As [`migrate::run`].
    pub async fn migrate(&self) -> Result<Vec<&'static str>, Error> {
        let owner = self.owner().await?;
        let options = self.0.clone().options([("role", owner)]);
        let endpoints = Endpoints {
            owner: options.clone(),
            app: options,
        };
        migrate::run(&endpoints).await
    }

    pub(crate) async fn enter(&self) -> Result<PgConnection, Error> {
        let entering = PgConnection::connect_with(&self.0);
        let db = tokio::time::timeout(Duration::from_secs(10), entering).await;
        db.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
            .map_err(Error::Unavailable)
    }

    /// Each tenant's ledger as it stands.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn trees(&self) -> Result<Vec<Tree>, Error> {
        repo::trees(&mut self.enter().await?).await
    }

    /// Every table of the hub, counted and summed; reads all of them.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn tables(&self) -> Result<Vec<Table>, Error> {
        let mut db = self.enter().await?;
        let mut tables = Vec::new();
        for name in repo::table_names(&mut db).await? {
            tables.push(repo::sum(&mut db, &name).await?);
        }
        Ok(tables)
    }

    /// Bytes of the whole database.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn size(&self) -> Result<u64, Error> {
        repo::size(&mut self.enter().await?).await
    }

    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn recovery(&self) -> Result<Recovery, Error> {
        repo::recovery(&mut self.enter().await?).await
    }

    /// Has the server read its configuration again.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn reload(&self) -> Result<(), Error> {
        repo::reload(&mut self.enter().await?).await
    }

    /// A setting as the server has it now.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn setting(&self, name: &str) -> Result<String, Error> {
        repo::setting(&mut self.enter().await?, name).await
    }

    /// Where the write-ahead log stands.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn wal(&self) -> Result<Wal, Error> {
        repo::wal(&mut self.enter().await?).await
    }

    /// The legal holds in force: the reason of each, and since when.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn holds(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        repo::holds(&mut self.enter().await?).await
    }

    /// Ends the current WAL segment, so that everything up to now is archived.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn switch_wal(&self) -> Result<(), Error> {
        repo::switch_wal(&mut self.enter().await?).await
    }

    /// The transaction that gave an entry of a tenant's ledger its place; `None` if there is no such entry.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn transaction_of(&self, slug: &str, index: i64) -> Result<Option<String>, Error> {
        repo::transaction_of(&mut self.enter().await?, slug, index).await
    }

    /// Computes a tenant's tree anew from the text of its entries, with its roots at `sizes`.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn replay(&self, tenant: TenantId, sizes: &[u64]) -> Result<Replayed, Error> {
        const AT_ONCE: i64 = 5000;
        let mut db = self.enter().await?;
        let mut tree = Frontier::default();
        let mut told = Replayed {
            size: 0,
            roots: BTreeMap::new(),
            altered: None,
            newest: None,
        };
        if sizes.contains(&0) {
            told.roots.insert(0, tree.root());
        }
        loop {
            let after = i64::try_from(told.size).unwrap_or(i64::MAX) - 1;
            let rows = repo::leaves(&mut db, tenant, after, AT_ONCE).await?;
            if rows.is_empty() {
                return Ok(told);
            }
            for row in rows {
                let leaf = leaf_hash(row.body.as_bytes());
                let in_place = u64::try_from(row.index).ok() == Some(told.size);
                if told.altered.is_none() && !(in_place && leaf.0.as_slice() == row.hash) {
                    told.altered = Some(row.index);
                }
                tree.push(leaf);
                told.size += 1;
                told.newest = Some(row.sequenced_at);
                if sizes.contains(&told.size) {
                    told.roots.insert(told.size, tree.root());
                }
            }
        }
    }
}
