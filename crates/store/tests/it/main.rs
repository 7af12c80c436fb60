//! The store against a real PostgreSQL.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod let_go;
#[cfg(test)]
mod migration_lint;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod rls;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod way_back;
