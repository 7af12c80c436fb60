//! What the server counts. Names are stable: dashboards and alerts rely on them.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use hub_base::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    /// The route's pattern, never the path: bounded by the route table.
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Work {
    worker: &'static str,
}

/// A handle on every metric; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    registry: Registry,
    requests: Family<Request, Counter>,
    latency: Family<Route, Histogram, fn() -> Histogram>,
    in_progress: Gauge,
    connections: Gauge,
    refused: Family<Result, Counter>,
    authentications: Family<Result, Counter>,
    ingested: Counter,
    access_overflow: Counter,
    findings: Counter,
    incidents: Counter,
    containment: Histogram,
    ledger_entries: Gauge,
    ledger_backlog: Gauge,
    detection_backlog: Gauge,
    restarts: Family<Work, Counter>,
    rounds: Family<Work, Counter>,
    hashes_waiting: Gauge,
    blocked_addresses: Gauge,
    operations: Family<Operation, Gauge>,
}

/// A request that waits for its answer's head, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct InProgress(Gauge);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = All {
            registry: hub_telemetry::metrics::registry("hub"),
            requests: Family::default(),
            latency: Family::new_with_constructor(
                hub_telemetry::metrics::seconds as fn() -> Histogram,
            ),
            in_progress: Gauge::default(),
            connections: Gauge::default(),
            refused: Family::default(),
            authentications: Family::default(),
            ingested: Counter::default(),
            access_overflow: Counter::default(),
            findings: Counter::default(),
            incidents: Counter::default(),
            containment: hub_telemetry::metrics::seconds(),
            ledger_entries: Gauge::default(),
            ledger_backlog: Gauge::default(),
            detection_backlog: Gauge::default(),
            restarts: Family::default(),
            rounds: Family::default(),
            hashes_waiting: Gauge::default(),
            blocked_addresses: Gauge::default(),
            operations: Family::default(),
        };
        register(&mut all);
        Self(Arc::new(all))
    }

    pub(crate) fn print(&self) -> String {
        hub_telemetry::metrics::print(&self.0.registry)
    }

    pub(crate) fn request(
        &self,
        method: &Method,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let labels = Request {
            method: name(method),
            route,
            status,
        };
        self.0.requests.get_or_create(&labels).inc();
        self.0
            .latency
            .get_or_create(&Route { route })
            .observe(took.as_secs_f64());
    }

    /// Counts a request until its answer's head is there, or it only asks and its client has gone. Nobody waits for what
    /// looks at the server itself: health checks and this page are not counted.
    pub(crate) fn begin(&self, path: &str) -> Option<InProgress> {
        if path.starts_with("/health") || path == "/metrics" {
            return None;
        }
        self.0.in_progress.inc();
        Some(InProgress(self.0.in_progress.clone()))
    }

    pub(crate) fn connections_open(&self, open: usize) {
        self.0
            .connections
            .set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub(crate) fn connections_refused(&self, why: &'static str) {
        self.0.refused.get_or_create(&Result { result: why }).inc();
    }

    pub(crate) fn authenticated(&self, result: &'static str) {
        self.0
            .authentications
            .get_or_create(&Result { result })
            .inc();
    }

    pub(crate) fn events_ingested(&self, events: u64) {
        self.0.ingested.inc_by(events);
    }

    pub(crate) fn access_overflow(&self) {
        self.0.access_overflow.inc();
    }

    pub(crate) fn finding(&self) {
        self.0.findings.inc();
    }

    pub(crate) fn incident(&self) {
        self.0.incidents.inc();
    }

    /// From an attack's first activity to its containment.
    pub(crate) fn contained(&self, took: Duration) {
        self.0.containment.observe(took.as_secs_f64());
    }

    /// Entries in all ledgers, and acts that wait for their place in one.
    pub(crate) fn ledger(&self, entries: u64, waiting: i64) {
        self.0
            .ledger_entries
            .set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.0.ledger_backlog.set(waiting);
    }

    /// Entries of all ledgers that detection has not read.
    pub(crate) fn detection(&self, unread: i64) {
        self.0.detection_backlog.set(unread);
    }

    pub(crate) fn worker_restarted(&self, worker: &'static str) {
        self.0.restarts.get_or_create(&Work { worker }).inc();
    }

    pub(crate) fn worker_round(&self, worker: &'static str) {
        self.0.rounds.get_or_create(&Work { worker }).inc();
    }

    pub(crate) fn hashes_waiting(&self, waiting: usize) {
        self.0
            .hashes_waiting
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn blocked_addresses(&self, blocked: usize) {
        self.0
            .blocked_addresses
            .set(i64::try_from(blocked).unwrap_or(i64::MAX));
    }

    /// When an operation of each kind last went well.
    pub(crate) fn operations(&self, newest: &[(&'static str, Timestamp)]) {
        for &(kind, ended) in newest {
            let gauge = self.0.operations.get_or_create(&Operation { kind });
            gauge.set(ended.unix_seconds());
        }
    }
}

/// The methods that routes have; whatever else is sent is counted together.
const fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn register(all: &mut All) {
    let registry = &mut all.registry;
    registry.register("requests", "Requests answered", all.requests.clone());
    registry.register(
        "request_seconds",
        "Time to the response's head",
        all.latency.clone(),
    );
    registry.register(
        "requests_in_progress",
        "Requests that wait for their answer's head",
        all.in_progress.clone(),
    );
    registry.register(
        "connections_open",
        "Open connections",
        all.connections.clone(),
    );
    registry.register(
        "connections_refused",
        "Connections turned away or dropped, by reason",
        all.refused.clone(),
    );
    registry.register(
        "authentications",
        "Credentials checked, by result",
        all.authentications.clone(),
    );
    registry.register(
        "events_ingested",
        "Events stored durably",
        all.ingested.clone(),
    );
    registry.register(
        "access_overflow",
        "Requests whose access event was not kept",
        all.access_overflow.clone(),
    );
    registry.register("findings", "Findings", all.findings.clone());
    registry.register("incidents", "Incidents opened", all.incidents.clone());
    registry.register(
        "containment_seconds",
        "First activity of an attack to containment",
        all.containment.clone(),
    );
    registry.register(
        "ledger_entries",
        "Entries in all ledgers",
        all.ledger_entries.clone(),
    );
    registry.register(
        "ledger_backlog",
        "Acts waiting for their place in a ledger",
        all.ledger_backlog.clone(),
    );
    registry.register(
        "detection_backlog",
        "Entries of all ledgers that detection has not read; a batch of events is one",
        all.detection_backlog.clone(),
    );
    registry.register(
        "worker_restarts",
        "Workers restarted after a fault",
        all.restarts.clone(),
    );
    registry.register(
        "worker_rounds",
        "Rounds that workers made",
        all.rounds.clone(),
    );
    registry.register(
        "hashes_waiting",
        "Password checks waiting for a thread",
        all.hashes_waiting.clone(),
    );
    registry.register(
        "blocked_addresses",
        "Address blocks in force",
        all.blocked_addresses.clone(),
    );
    registry.register(
        "operation_done_timestamp_seconds",
        "When an operation of this kind last went well",
        all.operations.clone(),
    );
}
