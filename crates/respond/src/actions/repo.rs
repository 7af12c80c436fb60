use std::time::Duration;

use hub_base::{ActionId, IncidentId, Timestamp};
use hub_store::Tx;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Action, Draft, Kind, State, Target};
use crate::error::{Error, inconsistent, sql};

fn action(row: &PgRow) -> Result<Action, Error> {
    let id: Uuid = row.try_get("id").map_err(sql)?;
    let kind: String = row.try_get("kind").map_err(sql)?;
    let state: String = row.try_get("state").map_err(sql)?;
    let at = |column: &str| -> Result<Option<Timestamp>, Error> {
        let at: Option<OffsetDateTime> = row.try_get(column).map_err(sql)?;
        Ok(at.map(Timestamp::from_offset))
    };
    let requested: OffsetDateTime = row.try_get("requested_at").map_err(sql)?;
    let ttl_ms: Option<i64> = row.try_get("ttl_ms").map_err(sql)?;
    Ok(Action {
        id: ActionId::from_uuid(id),
        incident: IncidentId::from_uuid(row.try_get("incident_id").map_err(sql)?),
        kind: Kind::parse(&kind).ok_or_else(|| inconsistent("response_action", "kind", id))?,
        target: Target {
            kind: row.try_get("target_kind").map_err(sql)?,
            value: row.try_get("target").map_err(sql)?,
            name: row.try_get("target_name").map_err(sql)?,
        },
        playbook: row.try_get("playbook").map_err(sql)?,
        manual: row.try_get("manual").map_err(sql)?,
        reason: row.try_get("reason").map_err(sql)?,
        ttl: ttl_ms
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis),
        state: State::parse(&state).ok_or_else(|| inconsistent("response_action", "state", id))?,
        attempts: row.try_get("attempts").map_err(sql)?,
        error: row.try_get("error").map_err(sql)?,
        effect: row.try_get("effect").map_err(sql)?,
        requested_at: Timestamp::from_offset(requested),
        applied_at: at("applied_at")?,
        until: at("until")?,
        released_at: at("released_at")?,
    })
}

fn millis(ttl: Option<Duration>) -> Option<i64> {
    ttl.map(|ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

/// Queues an action; `false` if the incident already has it. One whose time ran out starts anew, for the attack
/// goes on; one that an operator released does not.
pub(crate) async fn queue(
    tx: &mut Tx,
    id: ActionId,
    incident: IncidentId,
    draft: &Draft,
) -> Result<bool, Error> {
    let now = tx.now().to_offset();
    let done = sqlx::query(
        "insert into response_action (tenant_id, id, incident_id, kind, phase, target_kind, target, \
         target_name, playbook, reason, ttl_ms, state, not_before, requested_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending', $12, $12) \
         on conflict on constraint response_action_once do update set state = 'pending', attempts = 0, \
         not_before = excluded.not_before, requested_at = excluded.requested_at, leased_until = null, \
         error = null, effect = '{}', applied_at = null, until = null, released_at = null, \
         release_cause = null, manual = false, reason = excluded.reason, playbook = excluded.playbook, \
         ttl_ms = excluded.ttl_ms \
         where response_action.state = 'released' and response_action.release_cause = 'expiry'",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .bind(incident.uuid())
    .bind(draft.kind.name())
    .bind(draft.kind.phase())
    .bind(&draft.target.kind)
    .bind(&draft.target.value)
    .bind(&draft.target.name)
    .bind(&draft.playbook)
    .bind(&draft.reason)
    .bind(millis(draft.ttl))
    .bind(now)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(done.rows_affected() == 1)
}

/// Queues an operator's action; one that ended (released, skipped, failed) starts anew under its own id.
/// `None` if it is waiting or standing.
pub(crate) async fn queue_manual(
    tx: &mut Tx,
    id: ActionId,
    incident: IncidentId,
    draft: &Draft,
) -> Result<Option<ActionId>, Error> {
    let now = tx.now().to_offset();
    let row: Option<(Uuid,)> = sqlx::query_as(
        "insert into response_action (tenant_id, id, incident_id, kind, phase, target_kind, target, \
         target_name, manual, reason, ttl_ms, state, not_before, requested_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, true, $9, $10, 'pending', $11, $11) \
         on conflict on constraint response_action_once do update set manual = true, \
         reason = excluded.reason, ttl_ms = excluded.ttl_ms, state = 'pending', attempts = 0, \
         not_before = excluded.not_before, requested_at = excluded.requested_at, leased_until = null, \
         error = null, effect = '{}', applied_at = null, until = null, released_at = null, release_cause = null, playbook = null \
         where response_action.state in ('released', 'skipped', 'failed') returning id",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .bind(incident.uuid())
    .bind(draft.kind.name())
    .bind(draft.kind.phase())
    .bind(&draft.target.kind)
    .bind(&draft.target.value)
    .bind(&draft.target.name)
    .bind(&draft.reason)
    .bind(millis(draft.ttl))
    .bind(now)
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(|(id,)| ActionId::from_uuid(id)))
}

/// Whether this incident already waits for evidence that nobody has begun to collect.
pub(crate) async fn awaits_evidence(
    tx: &mut Tx,
    incident: IncidentId,
) -> Result<(bool, i64), Error> {
    sqlx::query_as(
        "select coalesce(bool_or(state = 'pending' and attempts = 0), false), count(*) \
         from response_action where tenant_id = $1 and incident_id = $2 and kind = 'preserve_evidence'",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .fetch_one(tx.conn())
    .await
    .map_err(sql)
}

/// Takes up to `limit` due actions for this worker until `lease` ends, and counts the try. An action waits
/// for an earlier phase of its incident, but only as long as that is on its first try: evidence that cannot
/// be had must not hold up containment.
pub(crate) async fn claim(tx: &mut Tx, lease: Duration, limit: i64) -> Result<Vec<Action>, Error> {
    let now = tx.now();
    let rows = sqlx::query(
        "update response_action set state = 'applying', attempts = attempts + 1, leased_until = $3 \
         where tenant_id = $1 and id in ( \
            select a.id from response_action a where a.tenant_id = $1 and ( \
                (a.state = 'pending' and a.not_before <= $2) \
                or (a.state = 'applying' and a.leased_until <= $2)) \
            and not exists (select 1 from response_action b where b.tenant_id = a.tenant_id \
                and b.incident_id = a.incident_id and b.phase < a.phase and ( \
                    (b.state = 'pending' and b.attempts = 0) \
                    or (b.state = 'applying' and b.leased_until > $2))) \
            order by a.phase, a.requested_at, a.id limit $4 for update of a skip locked) \
         returning *",
    )
    .bind(tx.tenant().uuid())
    .bind(now.to_offset())
    .bind(now.plus(lease).to_offset())
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter().map(action).collect()
}

/// The action, locked, if this worker still holds it on the try it claimed.
pub(crate) async fn lock_claimed(tx: &mut Tx, claimed: &Action) -> Result<bool, Error> {
    let row: Option<(Uuid,)> = sqlx::query_as(
        "select id from response_action where tenant_id = $1 and id = $2 and state = 'applying' \
         and attempts = $3 for update",
    )
    .bind(tx.tenant().uuid())
    .bind(claimed.id.uuid())
    .bind(claimed.attempts)
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.is_some())
}

/// Marks the action done: applied with its effect, or skipped with the reason.
pub(crate) async fn finish(
    tx: &mut Tx,
    id: ActionId,
    state: State,
    effect: &Value,
    until: Option<Timestamp>,
    error: Option<&str>,
) -> Result<(), Error> {
    let now = tx.now().to_offset();
    sqlx::query(
        "update response_action set state = $3, effect = $4, until = $5, error = $6, leased_until = null, \
         applied_at = case when $3 = 'applied' then $7 end where tenant_id = $1 and id = $2",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .bind(state.name())
    .bind(effect)
    .bind(until.map(Timestamp::to_offset))
    .bind(error)
    .bind(now)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

/// Gives a failed try back: `again` says when, or never.
pub(crate) async fn give_back(
    tx: &mut Tx,
    claimed: &Action,
    again: Option<Timestamp>,
    error: &str,
) -> Result<bool, Error> {
    let state = if again.is_some() {
        State::Pending
    } else {
        State::Failed
    };
    let at = again.unwrap_or_else(|| tx.now()).to_offset();
    let done = sqlx::query(
        "update response_action set state = $4, not_before = $5, error = $6, leased_until = null \
         where tenant_id = $1 and id = $2 and state = 'applying' and attempts = $3",
    )
    .bind(tx.tenant().uuid())
    .bind(claimed.id.uuid())
    .bind(claimed.attempts)
    .bind(state.name())
    .bind(at)
    .bind(error.chars().take(500).collect::<String>())
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(done.rows_affected() == 1)
}

/// One action of an incident, locked.
pub(crate) async fn lock(
    tx: &mut Tx,
    incident: IncidentId,
    id: ActionId,
) -> Result<Option<Action>, Error> {
    let row = sqlx::query(
        "select * from response_action where tenant_id = $1 and incident_id = $2 and id = $3 for update",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    row.as_ref().map(action).transpose()
}

/// An incident's actions in the order in which they were asked for.
pub(crate) async fn list(tx: &mut Tx, incident: IncidentId) -> Result<Vec<Action>, Error> {
    let rows = sqlx::query(
        "select * from response_action where tenant_id = $1 and incident_id = $2 \
         order by requested_at, phase, id limit 2000",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter().map(action).collect()
}

/// Marks an applied action released.
pub(crate) async fn set_released(
    tx: &mut Tx,
    id: ActionId,
    cause: &'static str,
) -> Result<(), Error> {
    let now = tx.now().to_offset();
    sqlx::query(
        "update response_action set state = 'released', released_at = $3, release_cause = $4 where tenant_id = $1 and id = $2",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .bind(now)
    .bind(cause)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

/// Applied actions whose time is over, at most `limit`.
pub(crate) async fn expired(tx: &mut Tx, limit: i64) -> Result<Vec<Action>, Error> {
    let now = tx.now().to_offset();
    let rows = sqlx::query(
        "select * from response_action where tenant_id = $1 and state = 'applied' and until <= $2 \
         order by until limit $3",
    )
    .bind(tx.tenant().uuid())
    .bind(now)
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter().map(action).collect()
}

/// Another applied action of the same kind on the same target, locked.
pub(crate) async fn other_applied(tx: &mut Tx, not: &Action) -> Result<Option<ActionId>, Error> {
    let row: Option<(Uuid,)> = sqlx::query_as(
        "select id from response_action where tenant_id = $1 and kind = $2 and target = $3 \
         and state = 'applied' and id <> $4 order by applied_at limit 1 for update",
    )
    .bind(tx.tenant().uuid())
    .bind(not.kind.name())
    .bind(&not.target.value)
    .bind(not.id.uuid())
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    Ok(row.map(|(id,)| ActionId::from_uuid(id)))
}

/// Replaces an action's effect.
pub(crate) async fn set_effect(tx: &mut Tx, id: ActionId, effect: &Value) -> Result<(), Error> {
    sqlx::query("update response_action set effect = $3 where tenant_id = $1 and id = $2")
        .bind(tx.tenant().uuid())
        .bind(id.uuid())
        .bind(effect)
        .execute(tx.conn())
        .await
        .map_err(sql)?;
    Ok(())
}

/// How an incident's containment stands: (applied, waiting, failed).
pub(crate) async fn containment(
    tx: &mut Tx,
    incident: IncidentId,
) -> Result<(i64, i64, i64), Error> {
    sqlx::query_as(
        "select count(*) filter (where state = 'applied'), \
         count(*) filter (where state in ('pending', 'applying')), \
         count(*) filter (where state = 'failed') \
         from response_action where tenant_id = $1 and incident_id = $2 and phase = 1",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .fetch_one(tx.conn())
    .await
    .map_err(sql)
}
