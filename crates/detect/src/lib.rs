//! What the hub sees in its own events and in foreign logs: Sigma rules, behaviour models, findings.
//!
//! Knows nothing of incidents, containment or HTTP: it says what was found, and others act on it. Start at
//! [`rules::RuleSet`] (the content), then [`TenantDetector`] (one tenant's state over it), then [`worker`].

pub mod content;
mod correlate;
pub mod detector;
mod entities;
pub mod error;
pub mod finding;
pub mod findings;
#[cfg(test)]
mod foreign_tests;
pub mod locations;
pub mod profiles;
pub mod rules;
mod streams;
#[cfg(test)]
mod testing;
mod view;
pub mod worker;

pub use detector::{Counters, TenantDetector};
pub use error::Error;
pub use finding::{Entity, EntityKind, Finding};
pub use locations::{Location, LocationKind};
pub use rules::{RuleFault, RuleSet, RuleSource};
pub use view::EventView;
pub use worker::{Found, Step};
