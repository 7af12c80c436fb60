//! The real server through its public door.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect fails"
)]

mod accounts;
mod bad_days;
mod bad_input;
mod browser;
mod by_itself;
mod cleanup;
mod console;
mod deploy;
mod disk_full;
mod door;
mod emulation;
mod export;
mod foreign;
mod forms;
mod ha;
mod hung_up;
mod incidents;
mod keys;
mod operator;
mod records;
mod recovery;
mod revoked;
mod runbooks;
mod service;
mod sign_in;
mod tampered;
mod tool;
mod unauthorized;
mod way_back;
mod world;
