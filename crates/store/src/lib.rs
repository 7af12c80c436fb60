//! PostgreSQL behind one door: a pool, tenant-scoped transactions, migrations, the private cluster, and
//! the sequencer that puts committed acts into each tenant's ledger.
//!
//! INVARIANT: no connection leaves this room without a tenant set (row-level security does the rest), and
//! no write commits without an [`Act`](hub_events::Act). Knows nothing of keys, rules or HTTP.

pub mod bus;
pub mod cx;
pub mod error;
mod outbox;
pub mod tx;

pub use bus::{Bus, Committed};
pub use cx::Cx;
pub use error::Error;
pub use tx::{ReadTx, Store, Tx, WriteTx};
