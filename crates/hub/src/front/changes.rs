//! Requests that may change something: once begun they are made to their end, so that what follows a commit is done too,
//! whoever hung up meanwhile. Each keeps its connection's place until then, and stopping waits for it: hanging up makes no
//! room for more.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::capacity::Permit;

/// Changes at once of one connection, as many as HTTP/2 streams that are open.
pub(super) const AT_ONCE: usize = 128;

/// One connection's changes.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    tasks: TaskTracker,
    place: Arc<Permit>,
    room: Arc<Semaphore>,
}

impl Changes {
    pub(super) fn new(tasks: TaskTracker, place: Permit) -> Self {
        Self {
            tasks,
            place: Arc::new(place),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Begins it, when there is room, and waits for its answer.
    pub(super) async fn make(
        self,
        answering: impl Future<Output = Response<Body>> + Send + 'static,
    ) -> Response<Body> {
        // Never closed.
        let room = self.room.acquire_owned().await.ok();
        let place = self.place;
        let task = self.tasks.spawn(async move {
            let response = answering.await;
            drop((room, place));
            response
        });
        hub_store::whole::joined(task).await
    }
}
