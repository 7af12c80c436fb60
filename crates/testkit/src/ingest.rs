//! How quick durable ingest is beside a raw COPY of the same rows into the same cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hub_base::{SystemClock, TenantId, Timestamp};
use hub_events::{Event, LogSource};
use hub_store::ingest::{self, Batch};
use hub_store::{Cx, PrivateCluster, connect, migrate};
use serde_json::json;

use crate::repo;

/// What one run measured.
#[derive(Debug, Clone, Copy)]
pub struct IngestFigures {
    pub rows: usize,
    /// `COPY FROM STDIN` on one connection into a table of the same columns and key, without row-level security;
    /// the text stands ready in memory.
    pub raw_copy: Duration,
    /// `ingest::append` in batches, each with its digest and ledger entry, acknowledged when durable.
    pub ingest: Duration,
}

impl IngestFigures {
    /// Ingest's rate by raw COPY's rate; 1 is "as quick".
    pub fn ratio(&self) -> f64 {
        self.raw_copy.as_secs_f64() / self.ingest.as_secs_f64()
    }
}

/// Ingests `batches` batches of `batch_size` generated events with `writers` at once, and copies the same rows raw.
/// On a cluster of its own with the private cluster's durable settings.
///
/// # Errors
/// If the cluster cannot be made.
pub async fn measure_ingest(
    batches: usize,
    batch_size: usize,
    writers: usize,
) -> anyhow::Result<IngestFigures> {
    let home = tempfile::tempdir()?;
    let cluster = PrivateCluster::start(home.path()).await?;
    let endpoints = cluster.endpoints()?;
    migrate::run(&endpoints).await?;
    let store = connect(&endpoints, 4, Arc::new(SystemClock));
    let cx = Cx::system(store, TenantId::SYSTEM, "bench");
    ingest::append(
        &cx,
        Batch {
            events: events(0, 100),
            ..batch()
        },
    )
    .await?;

    let sets: Vec<Batch> = (0..writers)
        .map(|n| Batch {
            events: events(n, batch_size),
            ..batch()
        })
        .collect();
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for (writer, set) in sets.into_iter().enumerate() {
        let cx = cx.clone();
        let set = Arc::new(set);
        let turns = batches / writers + usize::from(writer < batches % writers);
        running.spawn(async move {
            for _ in 0..turns {
                ingest::append(&cx, Arc::clone(&set)).await?;
            }
            Ok::<_, hub_store::Error>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done.context("a writer failed")??;
    }
    let ingest = started.elapsed();

    // The same cluster state for both: what the first left to write is written before the second.
    let raw_copy = repo::raw_copy(&cluster.url_owner(), batches, &events(0, batch_size)).await?;
    cluster.stop().await?;
    Ok(IngestFigures {
        rows: batches * batch_size,
        raw_copy,
        ingest,
    })
}

fn batch() -> Batch {
    Batch {
        source: "bench".to_owned(),
        ..Batch::default()
    }
}

/// Events such as sshd's lines make, some 600 bytes each, every one different.
fn events(writer: usize, count: usize) -> Vec<Event> {
    (0..count)
        .map(|n| {
            let at = Timestamp::from_unix_millis(1_700_000_000_000 + n as i64);
            let body = json!({
                "class_uid": 3002, "class_name": "Authentication", "category_uid": 3, "activity_id": 1,
                "type_uid": 300_201, "time": at.unix_millis(), "severity_id": 1, "status_id": 2, "status": "Failure",
                "status_detail": "invalid_credentials",
                "metadata": {"version": "1.8.0", "product": {"name": "OpenSSH"}, "log_provider": "linux",
                    "log_name": "sshd", "sequence": n},
                "user": {"name": format!("user{}", n % 997)},
                "src_endpoint": {"ip": format!("198.51.{}.{}", n / 251 % 251, n % 251), "port": 1024 + n % 60_000},
                "dst_endpoint": {"hostname": format!("host-{writer}")},
                "message": format!("Failed password for invalid user user{} from 198.51.100.{} port {} ssh2", n % 997, n % 251, n),
            });
            let body = body.as_object().cloned().unwrap_or_default();
            Event { time: at, source: LogSource::new("linux", "sshd"), body }
        })
        .collect()
}
