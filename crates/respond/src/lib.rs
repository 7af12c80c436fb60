//! Incidents out of findings, and what is done about them: playbooks, containment that can be undone,
//! evidence, notification.
//!
//! Knows nothing of how findings are found, of passwords, or of serving HTTP. Everything it does to a
//! tenant commits together with the act that says so, and every containment has its way back.

mod accounts;
pub mod actions;
pub mod blocks;
pub mod config;
pub mod error;
pub mod evidence;
pub mod incidents;
pub mod notify;
pub mod playbooks;
pub mod protected;
pub mod timeline;

pub use config::RespondConfig;
pub use error::Error;
pub use playbooks::Playbooks;

#[cfg(test)]
mod testing;
