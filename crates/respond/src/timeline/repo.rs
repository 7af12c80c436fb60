use hub_base::{IncidentId, Timestamp};
use hub_store::Tx;
use time::OffsetDateTime;

use super::{Entry, Kind};
use crate::error::{Error, inconsistent, sql};

/// Longest text of one entry, in characters.
const TEXT: usize = 2000;

/// Adds one entry.
pub(crate) async fn add(
    tx: &mut Tx,
    incident: IncidentId,
    at: Timestamp,
    kind: Kind,
    actor: &str,
    text: &str,
    techniques: &[String],
) -> Result<(), Error> {
    sqlx::query(
        "insert into incident_timeline (tenant_id, incident_id, at, kind, actor, body, techniques) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .bind(at.to_offset())
    .bind(kind.name())
    .bind(actor)
    .bind(text.chars().take(TEXT).collect::<String>())
    .bind(techniques)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

type Row = (i64, OffsetDateTime, String, String, String, Vec<String>);

/// The first `limit` entries, oldest first.
pub(crate) async fn list(
    tx: &mut Tx,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, at, kind, actor, body, techniques from incident_timeline \
         where tenant_id = $1 and incident_id = $2 order by id limit $3",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.into_iter()
        .map(|(id, at, kind, actor, text, techniques)| {
            let kind =
                Kind::parse(&kind).ok_or_else(|| inconsistent("incident_timeline", "kind", id))?;
            Ok(Entry {
                at: Timestamp::from_offset(at),
                kind,
                actor,
                text,
                techniques,
            })
        })
        .collect()
}
