//! Operations on a running Security Hub: a plan that can be shown first, steps that may be done twice, each with its way
//! back, a journal on disk before each next step.
//!
//! Knows nothing of HTTP serving and of any other room's domain; what it did is told to whoever runs it.

pub mod backup;
pub mod cleanup;
pub mod cluster;
mod config;
pub mod deploy;
pub mod disaster;
pub mod dora;
pub mod drill;
mod error;
pub mod holds;
pub mod local;
pub mod notify;
pub mod operation;
pub mod pair;
mod place;
mod program;
pub mod records;
pub mod release;
pub mod restore;
pub mod rotate;
pub mod runbook;
mod serving;
mod smoke;

pub use config::Config;
pub use error::Error;
pub use place::Place;
pub use release::Release;
