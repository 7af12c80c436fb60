use std::collections::HashMap;

use hub_base::{ActionId, BatchId, EntryId, EvidenceId, IncidentId, Timestamp};
use hub_store::Tx;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Evidence;
use crate::error::{Error, sql};

pub(crate) async fn insert(
    tx: &mut Tx,
    evidence: &Evidence,
    sha256: &[u8; 32],
    bytes: &[u8],
) -> Result<(), Error> {
    sqlx::query(
        "insert into evidence (tenant_id, id, incident_id, action_id, collected_at, format, size, sha256, \
         complete, items, bundle) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(tx.tenant().uuid())
    .bind(evidence.id.uuid())
    .bind(evidence.incident.uuid())
    .bind(evidence.action.uuid())
    .bind(evidence.collected_at.to_offset())
    .bind(&evidence.format)
    .bind(evidence.size)
    .bind(sha256.as_slice())
    .bind(evidence.complete)
    .bind(&evidence.items)
    .bind(bytes)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

type Row = (
    Uuid,
    Uuid,
    Uuid,
    OffsetDateTime,
    String,
    i64,
    Vec<u8>,
    bool,
    Value,
);
type FullRow = (
    Uuid,
    Uuid,
    Uuid,
    OffsetDateTime,
    String,
    i64,
    Vec<u8>,
    bool,
    Value,
    Vec<u8>,
);

fn evidence(row: Row) -> Evidence {
    let (id, incident, action, collected_at, format, size, sha256, complete, items) = row;
    Evidence {
        id: EvidenceId::from_uuid(id),
        incident: IncidentId::from_uuid(incident),
        action: ActionId::from_uuid(action),
        collected_at: Timestamp::from_offset(collected_at),
        format,
        size,
        sha256: hex::encode(sha256),
        complete,
        items,
    }
}

pub(crate) async fn list(tx: &mut Tx, incident: IncidentId) -> Result<Vec<Evidence>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, incident_id, action_id, collected_at, format, size, sha256, complete, items \
         from evidence where tenant_id = $1 and incident_id = $2 order by collected_at, id limit 1000",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    Ok(rows.into_iter().map(evidence).collect())
}

pub(crate) async fn find(
    tx: &mut Tx,
    incident: IncidentId,
    id: EvidenceId,
) -> Result<Option<(Evidence, Vec<u8>)>, Error> {
    let row: Option<FullRow> = sqlx::query_as(
        "select id, incident_id, action_id, collected_at, format, size, sha256, complete, items, bundle \
         from evidence where tenant_id = $1 and incident_id = $2 and id = $3",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(
        |(id, incident, action, at, format, size, sha256, complete, items, bytes)| {
            (
                evidence((
                    id, incident, action, at, format, size, sha256, complete, items,
                )),
                bytes,
            )
        },
    ))
}

/// An event's place in the ledger, if it has one yet, and its text.
pub(crate) type Found = HashMap<String, (Option<i64>, String)>;

/// The hub's own acts, from the ledger or still waiting for it.
pub(crate) async fn acts(tx: &mut Tx, ids: &[EntryId]) -> Result<Found, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<(Uuid, Option<i64>, String)> = sqlx::query_as(
        "select id, idx, body from ledger_entry where tenant_id = $1 and id = any($2) \
         union all select id, null::bigint, body from ledger_outbox where tenant_id = $1 and id = any($2)",
    )
    .bind(tx.tenant().uuid())
    .bind(&ids)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    Ok(rows
        .into_iter()
        .map(|(id, index, body)| (id.to_string(), (index, body)))
        .collect())
}

/// Events of ingested batches.
pub(crate) async fn events(tx: &mut Tx, places: &[(BatchId, i32)]) -> Result<Found, Error> {
    if places.is_empty() {
        return Ok(Found::new());
    }
    let batches: Vec<Uuid> = places.iter().map(|(batch, _)| batch.uuid()).collect();
    let ordinals: Vec<i32> = places.iter().map(|(_, ordinal)| *ordinal).collect();
    let rows: Vec<(Uuid, i32, String)> = sqlx::query_as(
        "select e.batch_id, e.ordinal, e.body from unnest($2::uuid[], $3::integer[]) as p (batch, ordinal) \
         join event e on e.tenant_id = $1 and e.batch_id = p.batch and e.ordinal = p.ordinal",
    )
    .bind(tx.tenant().uuid())
    .bind(&batches)
    .bind(&ordinals)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    Ok(rows
        .into_iter()
        .map(|(batch, ordinal, body)| (format!("{batch}/{ordinal}"), (None, body)))
        .collect())
}

/// Every block, standing or not, of one address.
pub(crate) async fn blocks_of(tx: &mut Tx, address: &str) -> Result<Vec<Value>, Error> {
    let Some(network) = crate::actions::parse_network(address) else {
        return Ok(Vec::new());
    };
    let rows: Vec<(
        Uuid,
        OffsetDateTime,
        Option<OffsetDateTime>,
        Option<OffsetDateTime>,
    )> = sqlx::query_as(
        "select id, created_at, until, released_at from address_block \
             where tenant_id = $1 and network = $2 order by created_at limit 100",
    )
    .bind(tx.tenant().uuid())
    .bind(network.to_string())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    let at = |at: OffsetDateTime| Timestamp::from_offset(at);
    Ok(rows
        .into_iter()
        .map(|(id, created, until, released)| {
            json!({
                "id": id, "network": network.to_string(), "created_at": at(created),
                "until": until.map(at), "released_at": released.map(at),
            })
        })
        .collect())
}
