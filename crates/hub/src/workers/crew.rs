//! Supervision: each worker runs until told to stop; one that fails or panics is started again, later each time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;

/// Tells a worker to finish.
pub(crate) type Stop = watch::Receiver<bool>;

/// Comes back when told to stop.
pub(crate) async fn told(stop: &mut Stop) {
    // A crew that is gone has stopped as well.
    let _gone = stop.wait_for(|stopping| *stopping).await;
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A worker that ran this long has recovered.
const RECOVERED: Duration = Duration::from_mins(1);

/// How a worker is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) running: bool,
    pub(crate) restarts: u64,
    pub(crate) last_fault: Option<String>,
}

/// All workers of this process.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    tasks: TaskTracker,
    stop: watch::Sender<bool>,
    metrics: Metrics,
    conditions: Arc<Mutex<BTreeMap<&'static str, Condition>>>,
}

impl Crew {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: watch::Sender::new(false),
            metrics,
            conditions: Arc::default(),
        }
    }

    /// Starts `work` under `name`. It returns `Ok` only when told to stop.
    pub(crate) fn hire<F, W>(&self, name: &'static str, work: F)
    where
        F: Fn(Stop) -> W + Send + 'static,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let crew = self.clone();
        self.tasks
            .spawn(async move { crew.supervise(name, work).await });
    }

    async fn supervise<F, W>(&self, name: &'static str, work: F)
    where
        F: Fn(Stop) -> W + Send + 'static,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let mut pause = FIRST_PAUSE;
        let mut stop = self.stop.subscribe();
        loop {
            self.note(name, |condition| condition.running = true);
            let began = Instant::now();
            // A task of its own, so that a panic ends the round and not the supervision.
            let ended = tokio::spawn(work(self.stop.subscribe())).await;
            self.note(name, |condition| condition.running = false);
            if *stop.borrow() {
                return;
            }
            let fault = match ended {
                Ok(Ok(())) => "it ended by itself".to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(panic) => panic.to_string(),
            };
            tracing::error!(worker = name, error = %fault, "a worker failed and is started again");
            self.metrics.worker_restarted(name);
            self.note(name, |condition| {
                condition.restarts += 1;
                condition.last_fault = Some(fault.clone());
            });
            if began.elapsed() > RECOVERED {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = told(&mut stop) => return,
            }
        }
    }

    fn note(&self, name: &'static str, change: impl FnOnce(&mut Condition)) {
        let mut conditions = self
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(conditions.entry(name).or_default());
    }

    pub(crate) fn conditions(&self) -> BTreeMap<&'static str, Condition> {
        self.conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Tells all to finish and waits for them; false if some did not within `limit`.
    pub(crate) async fn dismiss(&self, limit: Duration) -> bool {
        self.stop.send_replace(true);
        self.tasks.close();
        timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_worker_that_fails_or_panics_is_started_again() {
        let crew = Crew::new(Metrics::new());
        let rounds = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&rounds);
        crew.hire("shaky", move |mut stop| {
            let round = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match round {
                    0 => anyhow::bail!("first"),
                    1 => panic!("second"),
                    _ => {
                        stop.wait_for(|stopping| *stopping).await?;
                        Ok(())
                    }
                }
            }
        });
        while !crew
            .conditions()
            .get("shaky")
            .is_some_and(|c| c.running && c.restarts == 2)
        {
            tokio::task::yield_now().await;
        }
        assert!(rounds.load(Ordering::SeqCst) >= 2);
        let condition = crew.conditions()["shaky"].clone();
        assert!(condition.running && condition.restarts == 2);
        assert!(crew.dismiss(Duration::from_secs(1)).await);
    }
}
