//! Steps that are finished once they are begun, even if nobody waits for them any more: a client hangs up, a limit passes,
//! and the future that stood in the middle of a step is dropped.
//!
//! The driver recovers from that between and during statements. It does not where a statement opens a transaction (it forgets
//! that there is one) or a COPY (it no longer knows which answer belongs to which question): the connection's next user would
//! go on in a transaction that is not theirs, or be given an answer to another's question.

use std::sync::{Arc, Weak};

use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// Whether anybody still waits for a step: what nobody will hear of may be left undone, where that is in order.
#[derive(Debug)]
pub(crate) struct Audience(Weak<()>);

impl Audience {
    pub(crate) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// Runs `step` to its end; what it gives, if somebody still waits.
///
/// # Panics
/// If `step` does.
pub(crate) async fn whole<T: Send + 'static>(step: impl Future<Output = T> + Send + 'static) -> T {
    joined(tokio::spawn(step.in_current_span())).await
}

/// The same, told whether anybody waits.
pub(crate) async fn whole_before<T, F>(step: impl FnOnce(Audience) -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let present = Arc::new(());
    let done = whole(step(Audience(Arc::downgrade(&present)))).await;
    drop(present);
    done
}

/// What a task gives that nobody ends before its time.
///
/// # Panics
/// If the task did.
pub async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
