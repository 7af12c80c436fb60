//! The store against a real PostgreSQL.

mod cluster;
mod ingest;
mod migrations;
mod outage;
mod rls;
