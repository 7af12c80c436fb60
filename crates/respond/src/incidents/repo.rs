use hub_base::{FindingId, IncidentId, PageRequest, Timestamp};
use hub_detect::{Entity, Finding};
use hub_events::Severity;
use hub_store::Tx;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::correlate::{Candidate, WINDOW};
use super::{Attached, Filter, Incident, Involved, Role, Status, Verdict};
use crate::error::{Error, inconsistent, sql};

/// Findings whose bodies one incident keeps; further ones are counted only.
pub(crate) const FINDINGS: i64 = 1000;
/// Entities that one incident keeps.
pub(crate) const ENTITIES: i64 = 2000;

fn incident(row: &PgRow) -> Result<Incident, Error> {
    let id: Uuid = row.try_get("id").map_err(sql)?;
    let bad = |column| inconsistent("incident", column, id);
    let text = |column: &str| row.try_get::<String, _>(column).map_err(sql);
    let severity: i16 = row.try_get("severity").map_err(sql)?;
    let verdict: Option<String> = row.try_get("verdict").map_err(sql)?;
    let maybe = |column: &str| -> Result<Option<Timestamp>, Error> {
        let at: Option<OffsetDateTime> = row.try_get(column).map_err(sql)?;
        Ok(at.map(Timestamp::from_offset))
    };
    let at = |column: &'static str| maybe(column)?.ok_or_else(|| bad(column));
    Ok(Incident {
        id: IncidentId::from_uuid(id),
        number: row.try_get("number").map_err(sql)?,
        title: text("title")?,
        severity: Severity::from_id(u8::try_from(severity).map_err(|_| bad("severity"))?),
        status: Status::parse(&text("status")?).ok_or_else(|| bad("status"))?,
        verdict: match verdict {
            Some(name) => Some(Verdict::parse(&name).ok_or_else(|| bad("verdict"))?),
            None => None,
        },
        primary: Entity {
            kind: text("primary_kind")?
                .parse()
                .map_err(|_| bad("primary_kind"))?,
            value: text("primary_value")?,
            name: row.try_get("primary_name").map_err(sql)?,
        },
        techniques: row.try_get("techniques").map_err(sql)?,
        finding_count: row.try_get("finding_count").map_err(sql)?,
        first_activity_at: at("first_activity_at")?,
        last_activity_at: at("last_activity_at")?,
        detected_at: at("detected_at")?,
        opened_at: at("opened_at")?,
        acknowledged_at: maybe("acknowledged_at")?,
        contained_at: maybe("contained_at")?,
        eradicated_at: maybe("eradicated_at")?,
        recovered_at: maybe("recovered_at")?,
        closed_at: maybe("closed_at")?,
    })
}

/// Takes the tenant's counter: from here to the end of the transaction, correlation is in one order.
pub(crate) async fn lock_counter(tx: &mut Tx) -> Result<(), Error> {
    sqlx::query(
        "insert into incident_counter (tenant_id) values ($1) \
         on conflict (tenant_id) do update set last = incident_counter.last",
    )
    .bind(tx.tenant().uuid())
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

/// The tenant's next incident number.
pub(crate) async fn next_number(tx: &mut Tx) -> Result<i64, Error> {
    let (number,): (i64,) = sqlx::query_as(
        "update incident_counter set last = last + 1 where tenant_id = $1 returning last",
    )
    .bind(tx.tenant().uuid())
    .fetch_one(tx.conn())
    .await
    .map_err(sql)?;
    Ok(number)
}

/// The incident that already holds this finding.
pub(crate) async fn holder(tx: &mut Tx, finding: FindingId) -> Result<Option<IncidentId>, Error> {
    let row: Option<(Uuid,)> = sqlx::query_as(
        "select incident_id from incident_finding where tenant_id = $1 and finding_id = $2",
    )
    .bind(tx.tenant().uuid())
    .bind(finding.uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(|(id,)| IncidentId::from_uuid(id)))
}

type Held = (
    Uuid,
    i64,
    OffsetDateTime,
    OffsetDateTime,
    String,
    String,
    String,
);

/// Open incidents near the finding's time that hold any of its entities, with those entities.
pub(crate) async fn candidates(tx: &mut Tx, finding: &Finding) -> Result<Vec<Candidate>, Error> {
    let all = || std::iter::once(&finding.primary).chain(&finding.entities);
    let kinds: Vec<&str> = all().map(|e| e.kind.name()).collect();
    let values: Vec<&str> = all().map(|e| e.value.as_str()).collect();
    let rows: Vec<Held> = sqlx::query_as(
        "select i.id, i.number, i.first_activity_at, i.last_activity_at, e.kind, e.value, e.role \
         from incident_entity e join incident i on i.tenant_id = e.tenant_id and i.id = e.incident_id \
         where e.tenant_id = $1 and (e.kind, e.value) in (select * from unnest($2::text[], $3::text[])) \
         and i.status <> 'closed' and i.last_activity_at >= $4 and i.first_activity_at <= $5 \
         order by i.last_activity_at desc, i.id limit 2000",
    )
    .bind(tx.tenant().uuid())
    .bind(&kinds)
    .bind(&values)
    .bind(finding.first_event_at.minus(WINDOW).to_offset())
    .bind(finding.last_event_at.plus(WINDOW).to_offset())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    let mut found: Vec<Candidate> = Vec::new();
    for (id, number, first, last, kind, value, role) in rows {
        let bad = |column| inconsistent("incident_entity", column, id);
        let kind = kind.parse().map_err(|_| bad("kind"))?;
        let role = Role::parse(&role).ok_or_else(|| bad("role"))?;
        let id = IncidentId::from_uuid(id);
        match found.last_mut() {
            Some(candidate) if candidate.id == id => candidate.entities.push((kind, value, role)),
            _ => found.push(Candidate {
                id,
                number,
                first_activity_at: Timestamp::from_offset(first),
                last_activity_at: Timestamp::from_offset(last),
                entities: vec![(kind, value, role)],
            }),
        }
    }
    Ok(found)
}

/// Whether another open incident holds the entity as its attacker.
pub(crate) async fn is_held_elsewhere(
    tx: &mut Tx,
    incident: IncidentId,
    entity: &Entity,
) -> Result<bool, Error> {
    let (held,): (bool,) = sqlx::query_as(
        "select exists (select from incident_entity e \
           join incident i on i.tenant_id = e.tenant_id and i.id = e.incident_id \
         where e.tenant_id = $1 and e.kind = $2 and e.value = $3 and e.incident_id <> $4 \
         and e.role = 'primary' and i.status <> 'closed')",
    )
    .bind(tx.tenant().uuid())
    .bind(entity.kind.name())
    .bind(&entity.value)
    .bind(incident.uuid())
    .fetch_one(tx.conn())
    .await
    .map_err(sql)?;
    Ok(held)
}

pub(crate) async fn insert(tx: &mut Tx, incident: &Incident) -> Result<(), Error> {
    sqlx::query(
        "insert into incident (tenant_id, id, number, title, severity, status, primary_kind, primary_value, \
         primary_name, techniques, first_activity_at, last_activity_at, detected_at, opened_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.id.uuid())
    .bind(incident.number)
    .bind(&incident.title)
    .bind(i16::from(incident.severity.id()))
    .bind(incident.status.name())
    .bind(incident.primary.kind.name())
    .bind(&incident.primary.value)
    .bind(&incident.primary.name)
    .bind(&incident.techniques)
    .bind(incident.first_activity_at.to_offset())
    .bind(incident.last_activity_at.to_offset())
    .bind(incident.detected_at.to_offset())
    .bind(incident.opened_at.to_offset())
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

/// Writes what may change of an incident (which the caller has locked).
pub(crate) async fn save(tx: &mut Tx, incident: &Incident) -> Result<(), Error> {
    let at = |at: Option<Timestamp>| at.map(Timestamp::to_offset);
    sqlx::query(
        "update incident set severity = $3, status = $4, verdict = $5, techniques = $6, finding_count = $7, \
         first_activity_at = $8, last_activity_at = $9, acknowledged_at = $10, contained_at = $11, \
         eradicated_at = $12, recovered_at = $13, closed_at = $14 where tenant_id = $1 and id = $2",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.id.uuid())
    .bind(i16::from(incident.severity.id()))
    .bind(incident.status.name())
    .bind(incident.verdict.map(Verdict::name))
    .bind(&incident.techniques)
    .bind(incident.finding_count)
    .bind(incident.first_activity_at.to_offset())
    .bind(incident.last_activity_at.to_offset())
    .bind(at(incident.acknowledged_at))
    .bind(at(incident.contained_at))
    .bind(at(incident.eradicated_at))
    .bind(at(incident.recovered_at))
    .bind(at(incident.closed_at))
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

pub(crate) async fn find(tx: &mut Tx, id: IncidentId) -> Result<Option<Incident>, Error> {
    let row = sqlx::query("select * from incident where tenant_id = $1 and id = $2")
        .bind(tx.tenant().uuid())
        .bind(id.uuid())
        .fetch_optional(tx.conn())
        .await
        .map_err(sql)?;
    row.as_ref().map(incident).transpose()
}

/// The incident, locked to the end of the transaction. Whoever changes anything of an incident takes this
/// lock first, so that two such changes never wait for each other in a circle.
pub(crate) async fn lock(tx: &mut Tx, id: IncidentId) -> Result<Option<Incident>, Error> {
    let row = sqlx::query("select * from incident where tenant_id = $1 and id = $2 for update")
        .bind(tx.tenant().uuid())
        .bind(id.uuid())
        .fetch_optional(tx.conn())
        .await
        .map_err(sql)?;
    row.as_ref().map(incident).transpose()
}

/// Keeps the finding with the incident; beyond [`FINDINGS`] only its id.
pub(crate) async fn attach(
    tx: &mut Tx,
    incident: IncidentId,
    finding: FindingId,
    body: &Value,
) -> Result<(), Error> {
    let now = tx.now().to_offset();
    sqlx::query(
        "insert into incident_finding (tenant_id, finding_id, incident_id, attached_at, body) \
         values ($1, $2, $3, $4, $5)",
    )
    .bind(tx.tenant().uuid())
    .bind(finding.uuid())
    .bind(incident.uuid())
    .bind(now)
    .bind(body)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

/// Adds an entity, or raises its role from a mere target; says whether it was new. Beyond [`ENTITIES`],
/// new ones are not kept.
pub(crate) async fn involve(
    tx: &mut Tx,
    incident: IncidentId,
    entity: &Entity,
    role: Role,
) -> Result<(), Error> {
    let now = tx.now().to_offset();
    sqlx::query(
        "insert into incident_entity (tenant_id, incident_id, kind, value, name, role, first_seen_at) \
         select $1, $2, $3, $4, $5, $6, $7 \
         where (select count(*) from incident_entity where tenant_id = $1 and incident_id = $2) < $8 \
         on conflict (tenant_id, incident_id, kind, value) do update set \
         role = case when incident_entity.role = 'target' then excluded.role else incident_entity.role end, \
         name = coalesce(incident_entity.name, excluded.name)",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .bind(entity.kind.name())
    .bind(&entity.value)
    .bind(&entity.name)
    .bind(role.name())
    .bind(now)
    .bind(ENTITIES)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

pub(crate) async fn list(
    tx: &mut Tx,
    filter: Filter,
    page: &PageRequest<i64>,
) -> Result<Vec<Incident>, Error> {
    let (open_only, status) = match filter {
        Filter::All => (false, None),
        Filter::Open => (true, None),
        Filter::Is(status) => (false, Some(status.name())),
    };
    let rows = sqlx::query(
        "select * from incident where tenant_id = $1 and ($2::bigint is null or number < $2) \
         and ($3::text is null or status = $3) and (not $4 or status <> 'closed') \
         order by number desc limit $5",
    )
    .bind(tx.tenant().uuid())
    .bind(page.after)
    .bind(status)
    .bind(open_only)
    .bind(i64::from(page.limit) + 1)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter().map(incident).collect()
}

/// An incident's entities, the primary first, then attackers, compromised, targets.
pub(crate) async fn entities(
    tx: &mut Tx,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<Involved>, Error> {
    let rows: Vec<(String, String, Option<String>, String)> = sqlx::query_as(
        "select kind, value, name, role from incident_entity where tenant_id = $1 and incident_id = $2 \
         order by array_position(array['primary', 'attacker', 'compromised', 'target'], role), \
         first_seen_at, kind, value limit $3",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.into_iter()
        .map(|(kind, value, name, role)| {
            let bad = |column| inconsistent("incident_entity", column, incident);
            let kind = kind.parse().map_err(|_| bad("kind"))?;
            let role = Role::parse(&role).ok_or_else(|| bad("role"))?;
            Ok(Involved {
                entity: Entity { kind, value, name },
                role,
            })
        })
        .collect()
}

/// An incident's findings, oldest first.
pub(crate) async fn findings(
    tx: &mut Tx,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<Attached>, Error> {
    let rows: Vec<(Uuid, OffsetDateTime, Value)> = sqlx::query_as(
        "select finding_id, attached_at, body from incident_finding \
         where tenant_id = $1 and incident_id = $2 order by attached_at, finding_id limit $3",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    Ok(rows
        .into_iter()
        .map(|(id, at, body)| Attached {
            id: FindingId::from_uuid(id),
            attached_at: Timestamp::from_offset(at),
            body,
        })
        .collect())
}
