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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::IpAddr;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::front::capacity::Capacity;

    #[tokio::test]
    async fn a_change_that_was_let_go_keeps_its_place_until_it_is_made_and_stopping_waits_for_it() {
        let capacity = Capacity::new(3, 3, &[]);
        let tasks = TaskTracker::new();
        let place = capacity.admit(IpAddr::from([192, 0, 2, 1])).unwrap();
        let changes = Changes::new(tasks.clone(), place);
        let (go, gone) = oneshot::channel::<()>();
        let (began, begun) = oneshot::channel();
        let making = tokio::spawn(changes.make(async move {
            began.send(()).unwrap();
            let _told = gone.await;
            Response::new(Body::empty())
        }));
        begun.await.unwrap();
        making.abort();
        assert!(making.await.unwrap_err().is_cancelled());
        tasks.close();
        assert_eq!((tasks.len(), capacity.open()), (1, 1));
        go.send(()).unwrap();
        tasks.wait().await;
        assert_eq!(capacity.open(), 0);
    }

    #[tokio::test]
    async fn a_connection_has_so_many_changes_and_no_more() {
        let capacity = Capacity::new(3, 3, &[]);
        let place = capacity.admit(IpAddr::from([192, 0, 2, 1])).unwrap();
        let changes = Changes::new(TaskTracker::new(), place);
        for _ in 0..AT_ONCE {
            // Hung up at once, as streams that are reset.
            let making = changes.clone().make(pending());
            assert!(timeout(Duration::ZERO, making).await.is_err());
        }
        assert_eq!(changes.tasks.len(), AT_ONCE);
        let one_more = changes.clone().make(pending());
        assert!(timeout(Duration::ZERO, one_more).await.is_err());
        assert_eq!(changes.tasks.len(), AT_ONCE);
    }
}
