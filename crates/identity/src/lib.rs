//! Who somebody is: tenants, people, passwords, sessions, access tokens, programs' API keys.
//!
//! Knows nothing of what anybody may do (that is `access`), of HTTP, or of rules. A credential carries its tenant,
//! so that even looking it up happens behind the wall between tenants.

pub mod acts;
pub mod authenticate;
pub mod credential;
pub mod enrolment;
pub mod error;
pub mod hash_pool;
pub mod keys;
pub mod passwords;
pub mod revocations;
pub mod sessions;
pub mod tenants;
pub mod throttle;
pub mod users;

pub use authenticate::Authenticator;
pub use error::Error;
pub use hash_pool::HashPool;
pub use revocations::Revocations;
pub use throttle::Throttle;
