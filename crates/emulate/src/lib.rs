//! Adversary emulation: people and programs at work, attackers among them, over the public API alone.
//!
//! Knows nothing of rules, thresholds or any other room: it sees HTTP answers, as a stranger would. What happens is a
//! scenario file with a seed; the same seed makes the same people, choices and order. Detection is judged afterwards
//! from what the API tells of incidents, and containment by making real requests.

pub mod actor;
pub mod aftermath;
pub mod attacks;
pub mod benign;
pub mod error;
pub mod judge;
pub mod population;
pub mod progress;
pub mod report;
pub mod run;
pub mod scenario;

pub use error::Error;
pub use progress::Progress;
pub use report::Report;
pub use run::{Access, run};
pub use scenario::Scenario;
