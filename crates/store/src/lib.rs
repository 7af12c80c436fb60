//! PostgreSQL behind one door: a pool, tenant-scoped transactions, migrations, the private cluster, the
//! sequencer that puts committed acts into each tenant's ledger, and the durable store of ingested events.
//!
//! INVARIANT: no connection leaves this room without a tenant set (row-level security does the rest), and
//! no write commits without an [`Act`](hub_events::Act). Knows nothing of keys, rules or HTTP.

pub mod bus;
pub mod cluster;
pub mod connect;
pub mod cx;
pub mod directory;
pub mod error;
pub mod harm;
pub mod ingest;
pub mod lease;
pub mod logins;
pub mod migrate;
mod outbox;
pub mod sequence;
pub mod survey;
pub mod tx;
pub mod whole;

pub use bus::{Bus, Committed};
pub use cluster::PrivateCluster;
pub use connect::{Endpoints, connect};
pub use cx::Cx;
pub use error::Error;
pub use tx::{ReadTx, Store, Tx, WriteTx};
