//! The server `security-hub`: front door, API, console, workers. Wiring only: every rule of the domain is in a room.
//!
//! Start at [`run`]: the command line; then `start` (what a server is made of), `front` (how a request gets in),
//! `api` (the table of routes), `workers` (what the hub does by itself).

mod api;
pub mod cli;
mod commands;
pub mod config;
mod console;
mod detection;
pub mod exit;
mod front;
mod keys;
mod live;
mod metrics;
mod permits;
mod problem;
mod reload;
mod start;
mod state;
mod workers;

pub use commands::run;
