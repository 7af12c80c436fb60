//! Steps that are finished once they are begun, even if nobody waits for them any more: a client hangs up, a limit passes,
//! and the future that stood in the middle of a step is dropped.
//!
//! The driver recovers from that between and during statements. It does not where a statement opens a transaction (it forgets
//! that there is one) or a COPY (it no longer knows which answer belongs to which question): the connection's next user would
//! go on in a transaction that is not theirs, or be given an answer to another's question.

use tracing::Instrument as _;

/// Runs `step` to its end; what it gives, if somebody still waits.
///
/// # Panics
/// If `step` does.
pub(crate) async fn whole<T: Send + 'static>(step: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(step.in_current_span()).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
