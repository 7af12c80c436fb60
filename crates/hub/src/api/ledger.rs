//! The ledger: its head, its entries, proofs, the whole of it for offline checking.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::{ErrorKind, PageRequest, Timestamp};
use hub_ledger::export::{FORMAT, Header, Line};
use hub_store::sequence::{self, Head, LedgerEntry, Search};
use hub_store::{Cx, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Asked, At, Caller, Json, List, Reply};
use super::table::Api;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes(api: &mut Api) {
    let read = Action::LedgerRead;
    api.at(
        Method::GET,
        "/api/v2/ledger/head",
        (read, "Size, root and signed checkpoint"),
        head,
    )
    .gives::<HeadView>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/ledger/entries",
        (read, "Entries in order, or newest first when searched"),
        entries,
    )
    .asks::<EntriesQuery>()
    .gives::<List<EntryView>>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/ledger/entries/{index}",
        (read, "One entry"),
        entry,
    )
    .gives::<EntryView>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/ledger/entries/{index}/proof",
        (read, "Proof that the entry is in the tree"),
        proof,
    )
    .gives::<ProofView>(StatusCode::OK);
    api.at(
        Method::GET,
        "/api/v2/ledger/export",
        (read, "Everything, for `hubctl ledger verify`"),
        export,
    )
    .answers(StatusCode::OK, "application/x-ndjson");
    api.at(
        Method::GET,
        "/api/v2/ledger/key",
        (read, "The key that checks checkpoints"),
        key,
    )
    .gives::<KeyView>(StatusCode::OK);
}

#[derive(Debug, Serialize, JsonSchema)]
struct HeadView {
    origin: String,
    size: u64,
    root: String,
    /// A signed note; empty as long as the ledger is.
    checkpoint: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EntryView {
    index: i64,
    id: String,
    operation: String,
    occurred_at: Timestamp,
    sequenced_at: Timestamp,
    leaf_hash: String,
    /// The exact text under the leaf hash: an OCSF event.
    body: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ProofView {
    index: i64,
    size: u64,
    leaf_hash: String,
    path: Vec<String>,
    checkpoint: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct KeyView {
    name: String,
    key: String,
    /// The statements by which each earlier key named the next, oldest first.
    successions: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EntriesQuery {
    /// Without a search: entries after this index. With one: entries before it.
    after: Option<i64>,
    limit: Option<u16>,
    /// Exactly this operation.
    operation: Option<String>,
    /// This text anywhere in the entry.
    q: Option<String>,
}

impl From<LedgerEntry> for EntryView {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            index: entry.index,
            id: entry.id.to_string(),
            operation: entry.operation,
            occurred_at: entry.occurred_at,
            sequenced_at: entry.sequenced_at,
            leaf_hash: hex::encode(entry.leaf_hash.0),
            body: entry.body,
        }
    }
}

async fn head(Caller(cx): Caller) -> Reply<HeadView> {
    let head = sequence::head(&mut *cx.read().await?).await?;
    let origin = sequence::origin(cx.tenant());
    Ok(Json(match head {
        Some(head) => HeadView {
            origin,
            size: head.size,
            root: hex::encode(head.root.0),
            checkpoint: head.checkpoint,
        },
        None => HeadView {
            origin,
            size: 0,
            root: hex::encode(sequence::empty_root().0),
            checkpoint: String::new(),
        },
    }))
}

async fn entries(
    Caller(cx): Caller,
    Asked(query): Asked<EntriesQuery>,
) -> Result<List<EntryView>, Problem> {
    let limit = i64::from(PageRequest::<i64>::new(None, query.limit).limit);
    let mut tx = cx.read().await?;
    let found = if query.operation.is_none() && query.q.is_none() {
        sequence::entries(&mut tx, query.after, limit).await?
    } else {
        let search = Search {
            operation: query.operation,
            text: query.q,
            before: query.after,
            limit,
        };
        sequence::search(&mut tx, &search).await?
    };
    let full = found.len() as i64 == limit;
    let next = found
        .last()
        .filter(|_| full)
        .map(|entry| entry.index.to_string());
    Ok(List {
        items: found.into_iter().map(EntryView::from).collect(),
        next,
    })
}

async fn entry(Caller(cx): Caller, At((index,)): At<(i64,)>) -> Reply<EntryView> {
    let entry = sequence::entry(&mut *cx.read().await?, index).await?;
    entry
        .map(|entry| Json(entry.into()))
        .ok_or_else(|| Problem::of(ErrorKind::NotFound))
}

async fn proof(Caller(cx): Caller, At((index,)): At<(i64,)>) -> Reply<ProofView> {
    let proof = sequence::inclusion_proof(&mut *cx.read().await?, index).await?;
    let proof = proof.ok_or_else(|| Problem::of(ErrorKind::NotFound))?;
    Ok(Json(ProofView {
        index,
        size: proof.head.size,
        leaf_hash: hex::encode(proof.entry.leaf_hash.0),
        path: proof.path.iter().map(|hash| hex::encode(hash.0)).collect(),
        checkpoint: proof.head.checkpoint,
    }))
}

async fn key(State(app): State<App>, _: Caller) -> Reply<KeyView> {
    let key = app.keys.checkpoints.key();
    let key = key.map_err(|error| Problem::from_error(ErrorKind::Internal, &error))?;
    Ok(Json(KeyView {
        name: key.name().to_owned(),
        key: key.to_string(),
        successions: app.keys.checkpoints.successions(),
    }))
}

/// Entries that one read of an export takes.
const EXPORT_BATCH: i64 = 1000;

/// A stream: the header, then every entry that the header's checkpoint covers.
async fn export(State(app): State<App>, Caller(cx): Caller) -> Result<Response, Problem> {
    let head = sequence::head(&mut *cx.read().await?).await?;
    let head =
        head.ok_or_else(|| Problem::of(ErrorKind::NotFound).detail("the ledger has no entry yet"))?;
    let first = line(&header(&app, &cx, &head)?)?;
    let size = head.size as i64;
    let rest = stream::try_unfold((cx, -1_i64), move |(cx, after)| async move {
        if after + 1 >= size {
            return Ok::<_, std::io::Error>(None);
        }
        let (bytes, last) = batch(&cx, after, size)
            .await
            .map_err(std::io::Error::other)?;
        Ok(Some((bytes, (cx, last))))
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(
        stream::iter([Ok(first)]),
        rest,
    ));
    let name = "attachment; filename=\"ledger.ndjson\"";
    Ok((
        [
            (CONTENT_TYPE, "application/x-ndjson"),
            (CONTENT_DISPOSITION, name),
        ],
        body,
    )
        .into_response())
}

fn header(app: &App, cx: &Cx, head: &Head) -> Result<Header, Problem> {
    // Perhaps signed by an earlier key: nothing has happened in this tenant since.
    let checkpoints = &app.keys.checkpoints;
    let key = checkpoints
        .key_of(&head.checkpoint)
        .map_or_else(|| checkpoints.key(), Ok);
    let key = key.map_err(|error| Problem::from_error(ErrorKind::Internal, &error))?;
    Ok(Header {
        format: FORMAT.to_owned(),
        tenant: cx.tenant().to_string(),
        origin: sequence::origin(cx.tenant()),
        size: head.size,
        key: key.to_string(),
        checkpoint: head.checkpoint.clone(),
        successions: checkpoints.successions(),
    })
}

fn line(value: &impl Serialize) -> Result<Bytes, Problem> {
    let mut text = serde_json::to_vec(value)
        .map_err(|error| Problem::from_error(ErrorKind::Internal, &error))?;
    text.push(b'\n');
    Ok(text.into())
}

async fn batch(cx: &Cx, after: i64, size: i64) -> Result<(Bytes, i64), hub_store::Error> {
    let mut tx = cx.read().await?;
    let entries = read(&mut tx, after, size).await?;
    let mut text = Vec::new();
    let mut last = size;
    for entry in &entries {
        let printed = serde_json::to_writer(
            &mut text,
            &Line {
                index: entry.index.unsigned_abs(),
                id: entry.id.to_string().into(),
                leaf: hex::encode(entry.leaf_hash.0).into(),
                body: entry.body.as_str().into(),
            },
        );
        if printed.is_ok() {
            text.push(b'\n');
        }
        last = entry.index;
    }
    Ok((text.into(), last))
}

async fn read(tx: &mut Tx, after: i64, size: i64) -> Result<Vec<LedgerEntry>, hub_store::Error> {
    sequence::entries(tx, Some(after), EXPORT_BATCH.min(size - after - 1)).await
}
