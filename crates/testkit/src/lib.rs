//! What tests stand on: a real database each, a tenant in it, a clock that they move by hand.
//!
//! Knows nothing of any one room's domain. Only ever a dev-dependency.

mod cluster;
mod database;
mod guarded;
pub mod hub;
mod ingest;
pub mod mail;
mod repo;

pub use database::{TestDb, database, tenant, try_database};
pub use guarded::Guarded;
pub use ingest::{IngestFigures, measure_ingest};
