//! Other systems' logs: taken in batches, acknowledged when durable; what did not parse can be read.

use axum::extract::State;
use http::{HeaderMap, Method, StatusCode};
use hub_access::Action;
use hub_base::{ErrorKind, Timestamp};
use hub_events::LogSource;
use hub_events::normalise::{Format, MAX_LINES, Normalised, Options, lines, normalise};
use hub_store::ingest::{self, Batch, KeptLine, Quarantined, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Asked, Caller, Json, List, Raw};
use super::table::Api;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    let limit = api.app().config.limits.ingest_body;
    api.with_body_limit(limit)
        .at(
            Method::POST,
            "/api/v2/events",
            (Action::EventsIngest, "A batch of log lines or events"),
            take,
        )
        .asks::<TakeQuery>()
        .gives::<ReceiptView>(StatusCode::ACCEPTED);
    api.at(
        Method::GET,
        "/api/v2/events/quarantine",
        (Action::EventsRead, "Lines that did not parse, newest first"),
        quarantine,
    )
    .asks::<QuarantineQuery>()
    .gives::<List<LineView>>(StatusCode::OK);
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TakeQuery {
    /// `ocsf`, `json`, `sshd` or `cloudtrail`.
    format: String,
    /// Of the first line, for logs whose times have no year.
    year: Option<i32>,
    /// The product and service of plain JSON: `product/service`.
    source: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuarantineQuery {
    limit: Option<u16>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ReceiptView {
    batch_id: String,
    accepted: u32,
    quarantined: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LineView {
    batch_id: String,
    received_at: Timestamp,
    line: u32,
    reason: String,
    raw: String,
}

impl From<KeptLine> for LineView {
    fn from(kept: KeptLine) -> Self {
        Self {
            batch_id: kept.batch.to_string(),
            received_at: kept.received_at,
            line: kept.line.line,
            reason: kept.line.reason,
            raw: kept.line.raw,
        }
    }
}

fn source(text: &str) -> LogSource {
    let (product, service) = text.split_once('/').unwrap_or((text, "generic"));
    LogSource::new(product, service)
}

async fn take(
    State(app): State<App>,
    Caller(cx): Caller,
    Asked(query): Asked<TakeQuery>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<(StatusCode, Json<ReceiptView>), Problem> {
    let format: Format = query
        .format
        .parse()
        .map_err(|error| Problem::malformed().detail(format!("query: format: {error}")))?;
    let options = Options {
        year: query.year,
        source: query.source.as_deref().map(source),
        ..Options::at(cx.now())
    };
    // Short lines become events many times their size: their number is bounded beside the bytes.
    if lines(format, &body) > MAX_LINES {
        return Err(Problem::too_large().detail(format!("a batch has at most {MAX_LINES} lines")));
    }
    // Reading megabytes of text must not hold up the other requests of this thread.
    let read = tokio::task::spawn_blocking(move || normalise(format, &body, &options)).await;
    let read = read.map_err(|error| Problem::from_error(ErrorKind::Internal, &error))?;
    let key = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let receipt = ingest::append(&cx, batch(format, read, key)).await?;
    if receipt.fresh {
        app.metrics.events_ingested(u64::from(receipt.accepted));
    }
    Ok((StatusCode::ACCEPTED, Json(receipt.into())))
}

fn batch(format: Format, read: Normalised, idempotency_key: Option<String>) -> Batch {
    let quarantined = read
        .rejected
        .into_iter()
        .map(|line| Quarantined {
            line: line.line,
            reason: line.reason,
            raw: line.raw,
        })
        .collect();
    Batch {
        source: format.name().to_owned(),
        events: read.events,
        quarantined,
        idempotency_key,
    }
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> Self {
        Self {
            batch_id: receipt.batch.to_string(),
            accepted: receipt.accepted,
            quarantined: receipt.quarantined,
        }
    }
}

async fn quarantine(
    Caller(cx): Caller,
    Asked(query): Asked<QuarantineQuery>,
) -> Result<List<LineView>, Problem> {
    let limit = i64::from(query.limit.unwrap_or(100).clamp(1, 500));
    let lines = ingest::quarantine(&mut *cx.read().await?, limit).await?;
    Ok(List::whole(lines.into_iter().map(LineView::from)))
}
