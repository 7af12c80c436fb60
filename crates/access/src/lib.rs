//! Who may do what: roles, Cedar decisions for the hub's own operations, AuthZEN evaluation for client services.
//!
//! Knows nothing of credentials or HTTP. Policies are few and generic (`content/policies/`); grants are data on the
//! principal, cached per person and forgotten when a role changes. What no policy permits is denied.

pub mod action;
pub mod authorizer;
pub mod error;
pub mod evaluation;
mod grants;
pub mod policies;
pub mod roles;

pub use action::Action;
pub use authorizer::{Authorizer, Decision, Resource};
pub use error::Error;
pub use policies::{Fault, Policies};
