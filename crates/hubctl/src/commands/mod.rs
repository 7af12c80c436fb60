//! One file per family of commands.

pub(crate) mod account;
pub(crate) mod backup;
pub(crate) mod cleanup;
pub(crate) mod content;
pub(crate) mod database;
pub(crate) mod deploy;
pub(crate) mod disaster;
pub(crate) mod emulate;
pub(crate) mod incident;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod progress;
pub(crate) mod release;
pub(crate) mod restore;
pub(crate) mod restore_tenant;
pub(crate) mod runbook;
mod standing;
pub(crate) mod tenant;
pub(crate) mod told;
