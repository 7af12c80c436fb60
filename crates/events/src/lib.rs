//! The event model in OCSF 1.8 names, the acts that the hub itself records, and the normalisers that turn foreign logs
//! into events.
//!
//! Knows nothing of databases, rules or HTTP; does no I/O.

pub mod act;
pub mod class;
pub mod event;
pub mod normalise;

pub use act::{Act, Subject};
pub use class::{Class, Outcome, Severity};
pub use event::{Event, LogSource};
