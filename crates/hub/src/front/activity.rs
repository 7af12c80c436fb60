//! What one connection is doing: whether a request is in progress, since when it is silent, since when a
//! half-sent head is coming. Decides when a connection has lived long enough.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long a connection may do what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the first byte, and for a head once its first byte has come.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// Between two requests when the server is stopping.
    pub(super) stopping: Duration,
    /// For a client to take the next bytes of what it asked for.
    pub(super) stall: Duration,
}

/// Shared between a connection's socket, its requests and its watch.
#[derive(Debug)]
pub(super) struct Activity {
    born: Instant,
    in_progress: AtomicUsize,
    served_any: AtomicBool,
    /// Milliseconds after `born` at which the connection last became idle.
    idle_since: AtomicU64,
    /// Milliseconds after `born`, plus one, at which the first byte of an unfinished head came; 0 for none.
    head_since: AtomicU64,
    /// Milliseconds after `born`, plus one, at which the client took no more bytes; 0 if it does.
    stalled_since: AtomicU64,
}

/// What should become of a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    Wait(Instant),
    /// End it in good order: nothing is in progress.
    Close,
    /// Drop it: what it sends never becomes a request, or what it asked for it does not take.
    Drop,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            in_progress: AtomicUsize::new(0),
            served_any: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
        })
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn bytes_came(&self) {
        self.bytes_came_at(self.elapsed());
    }

    fn bytes_came_at(&self, elapsed: u64) {
        if self.in_progress.load(Ordering::Relaxed) == 0 {
            let now = elapsed + 1;
            // Only the first byte of a head counts; a trickle does not renew the wait.
            let _kept =
                self.head_since
                    .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether the client took bytes, or could not.
    fn wrote<T>(&self, polled: &Poll<T>) {
        let since = &self.stalled_since;
        if polled.is_ready() {
            since.store(0, Ordering::Relaxed);
        } else {
            let now = self.elapsed() + 1;
            let _kept = since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A request begins; it lasts until the guard is dropped, which is when its answer has been sent.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        self.served_any.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        InProgress(Arc::clone(self))
    }

    pub(super) fn judge(
        &self,
        patience: &Patience,
        stopping: Option<Instant>,
        now: Instant,
    ) -> Verdict {
        let stalled = self.stalled_since.load(Ordering::Relaxed);
        if stalled > 0 {
            let until = self.born + Duration::from_millis(stalled - 1) + patience.stall;
            if now >= until {
                return Verdict::Drop;
            }
        }
        if self.in_progress.load(Ordering::Relaxed) > 0 {
            return Verdict::Wait(now + Duration::from_secs(1));
        }
        let head = self.head_since.load(Ordering::Relaxed);
        if head > 0 {
            let until = self.born + Duration::from_millis(head - 1) + patience.head;
            return if now >= until {
                Verdict::Drop
            } else {
                Verdict::Wait(until)
            };
        }
        let idle_since = self.born + Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        let first = !self.served_any.load(Ordering::Relaxed);
        let mut until = idle_since + if first { patience.head } else { patience.idle };
        if let Some(stopped_at) = stopping {
            until = until.min(idle_since.max(stopped_at) + patience.stopping);
        }
        match (now >= until, first && stopping.is_none()) {
            (false, _) => Verdict::Wait(until),
            (true, true) => Verdict::Drop,
            (true, false) => Verdict::Close,
        }
    }
}

/// While this lives, a request is in progress.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Activity>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.elapsed(), Ordering::Relaxed);
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response body that keeps its request in progress until it is sent or dropped.
#[derive(Debug)]
pub(super) struct Tracked {
    body: Body,
    _request: InProgress,
}

impl Tracked {
    pub(super) const fn new(body: Body, request: InProgress) -> Self {
        Self {
            body,
            _request: request,
        }
    }
}

impl hyper::body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that tells its connection's activity when bytes come.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) const fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.activity.wrote(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.activity.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_mins(1),
        stopping: Duration::from_secs(1),
        stall: Duration::from_secs(20),
    };

    fn after(activity: &Activity, seconds: u64) -> Instant {
        // What happened in the test so far took milliseconds.
        activity.born + Duration::from_millis(seconds * 1000 + 900)
    }

    #[test]
    fn silence_from_the_start_is_dropped() {
        let activity = Activity::new();
        assert!(matches!(
            activity.judge(&PATIENCE, None, after(&activity, 8)),
            Verdict::Wait(_)
        ));
        assert_eq!(
            activity.judge(&PATIENCE, None, after(&activity, 10)),
            Verdict::Drop
        );
    }

    #[test]
    fn a_trickle_does_not_renew_the_wait_for_a_head() {
        let activity = Activity::new();
        for second in 0..10 {
            activity.bytes_came_at(second * 1000);
        }
        assert!(matches!(
            activity.judge(&PATIENCE, None, after(&activity, 8)),
            Verdict::Wait(_)
        ));
        assert_eq!(
            activity.judge(&PATIENCE, None, after(&activity, 10)),
            Verdict::Drop
        );
    }

    #[test]
    fn who_takes_nothing_of_an_answer_is_dropped_and_who_takes_a_little_is_not() {
        let activity = Activity::new();
        let _request = activity.begin();
        activity.wrote::<()>(&Poll::Pending);
        assert!(matches!(
            activity.judge(&PATIENCE, None, after(&activity, 18)),
            Verdict::Wait(_)
        ));
        assert_eq!(
            activity.judge(&PATIENCE, None, after(&activity, 20)),
            Verdict::Drop
        );
        activity.wrote(&Poll::Ready(()));
        assert!(matches!(
            activity.judge(&PATIENCE, None, after(&activity, 500)),
            Verdict::Wait(_)
        ));
    }

    #[test]
    fn a_kept_connection_is_closed_in_good_order_when_idle() {
        let activity = Activity::new();
        drop(activity.begin());
        assert!(matches!(
            activity.judge(&PATIENCE, None, after(&activity, 58)),
            Verdict::Wait(_)
        ));
        assert_eq!(
            activity.judge(&PATIENCE, None, after(&activity, 60)),
            Verdict::Close
        );
    }

    #[test]
    fn when_stopping_a_silent_connection_has_a_second_and_a_request_has_its_time() {
        let activity = Activity::new();
        let stopped = Some(activity.born);
        let request = activity.begin();
        assert!(matches!(
            activity.judge(&PATIENCE, stopped, after(&activity, 20)),
            Verdict::Wait(_)
        ));
        drop(request);
        assert!(matches!(
            activity.judge(&PATIENCE, stopped, after(&activity, 0)),
            Verdict::Wait(_)
        ));
        assert_eq!(
            activity.judge(&PATIENCE, stopped, after(&activity, 1)),
            Verdict::Close
        );
    }
}
