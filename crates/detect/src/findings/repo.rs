use hub_base::{FindingId, Page, PageRequest, Timestamp};
use hub_events::Severity;
use hub_store::Tx;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;
use crate::finding::{Entity, Finding};

/// False if the finding was there already.
pub(crate) async fn insert(tx: &mut Tx, finding: &Finding) -> Result<bool, Error> {
    let tenant = tx.tenant().uuid();
    let entities = serde_json::to_value(&finding.entities).unwrap_or(Value::Array(Vec::new()));
    let done = sqlx::query(
        "insert into finding (tenant_id, id, rule, title, severity, techniques, tactics, primary_kind,
           primary_value, primary_name, entities, events, first_event_at, last_event_at, detected_at,
           count, authors, dedup_key, summary)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         on conflict on constraint finding_once do nothing",
    )
    .bind(tenant)
    .bind(finding.id.uuid())
    .bind(&finding.rule)
    .bind(&finding.title)
    .bind(i16::from(finding.severity.id()))
    .bind(&finding.techniques)
    .bind(&finding.tactics)
    .bind(finding.primary.kind.name())
    .bind(&finding.primary.value)
    .bind(&finding.primary.name)
    .bind(entities)
    .bind(&finding.events)
    .bind(finding.first_event_at.to_offset())
    .bind(finding.last_event_at.to_offset())
    .bind(finding.detected_at.to_offset())
    .bind(i64::try_from(finding.count).unwrap_or(i64::MAX))
    .bind(&finding.authors)
    .bind(&finding.dedup_key)
    .bind(&finding.summary)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn list(
    tx: &mut Tx,
    page: &PageRequest<FindingId>,
) -> Result<Page<Finding, FindingId>, Error> {
    let tenant = tx.tenant().uuid();
    let rows = sqlx::query(
        "select * from finding where tenant_id = $1 and ($2::uuid is null or id < $2)
         order by id desc limit $3",
    )
    .bind(tenant)
    .bind(page.after.map(FindingId::uuid))
    .bind(i64::from(page.limit) + 1)
    .fetch_all(tx.conn())
    .await?;
    let items: Result<Vec<Finding>, Error> = rows.iter().map(finding).collect();
    Ok(Page::from_surplus(items?, page.limit, |finding| finding.id))
}

pub(crate) async fn by_ids(tx: &mut Tx, ids: &[FindingId]) -> Result<Vec<Finding>, Error> {
    let tenant = tx.tenant().uuid();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows =
        sqlx::query("select * from finding where tenant_id = $1 and id = any($2) order by id")
            .bind(tenant)
            .bind(ids)
            .fetch_all(tx.conn())
            .await?;
    rows.iter().map(finding).collect()
}

fn finding(row: &PgRow) -> Result<Finding, Error> {
    let id: Uuid = row.try_get("id")?;
    let fault = |column| Error::Inconsistent {
        table: "finding",
        column,
        id: id.to_string(),
    };
    let at = |column: &str| -> Result<Timestamp, Error> {
        Ok(Timestamp::from_offset(
            row.try_get::<OffsetDateTime, _>(column)?,
        ))
    };
    let kind: String = row.try_get("primary_kind")?;
    let entities: Vec<Entity> = serde_json::from_value(row.try_get::<Value, _>("entities")?)
        .map_err(|_| fault("entities"))?;
    let severity: i16 = row.try_get("severity")?;
    Ok(Finding {
        id: FindingId::from_uuid(id),
        rule: row.try_get("rule")?,
        title: row.try_get("title")?,
        severity: Severity::from_id(u8::try_from(severity).map_err(|_| fault("severity"))?),
        techniques: row.try_get("techniques")?,
        tactics: row.try_get("tactics")?,
        primary: Entity {
            kind: kind.parse().map_err(|_| fault("primary_kind"))?,
            value: row.try_get("primary_value")?,
            name: row.try_get("primary_name")?,
        },
        entities,
        events: row.try_get("events")?,
        first_event_at: at("first_event_at")?,
        last_event_at: at("last_event_at")?,
        detected_at: at("detected_at")?,
        count: u64::try_from(row.try_get::<i64, _>("count")?).map_err(|_| fault("count"))?,
        authors: row.try_get("authors")?,
        dedup_key: row.try_get("dedup_key")?,
        summary: row.try_get("summary")?,
    })
}
