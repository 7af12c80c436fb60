//! What a binary says about itself: logs and metrics.
//!
//! Knows nothing of any other room. Only the binaries call it; rooms use `tracing` and nothing else.

pub mod error;
pub mod logs;
pub mod metrics;

pub use error::Error;
pub use logs::LogFormat;
