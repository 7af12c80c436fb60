use std::time::Duration;

use hub_base::{ActionId, IncidentId, Timestamp};
use hub_store::Tx;
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Channel, Notification, State};
use crate::actions::Action;
use crate::error::{Error, inconsistent, sql};

fn notification(row: &PgRow) -> Result<Notification, Error> {
    let id: Uuid = row.try_get("id").map_err(sql)?;
    let bad = |column| inconsistent("notification", column, id);
    let channel: String = row.try_get("channel").map_err(sql)?;
    let state: String = row.try_get("state").map_err(sql)?;
    let created: OffsetDateTime = row.try_get("created_at").map_err(sql)?;
    let sent: Option<OffsetDateTime> = row.try_get("sent_at").map_err(sql)?;
    Ok(Notification {
        id,
        incident: IncidentId::from_uuid(row.try_get("incident_id").map_err(sql)?),
        action: ActionId::from_uuid(row.try_get("action_id").map_err(sql)?),
        channel: Channel::parse(&channel).ok_or_else(|| bad("channel"))?,
        state: State::parse(&state).ok_or_else(|| bad("state"))?,
        attempts: row.try_get("attempts").map_err(sql)?,
        error: row.try_get("error").map_err(sql)?,
        created_at: Timestamp::from_offset(created),
        sent_at: sent.map(Timestamp::from_offset),
    })
}

pub(crate) async fn insert(
    tx: &mut Tx,
    id: Uuid,
    action: &Action,
    channel: Channel,
    state: State,
    payload: &str,
) -> Result<(), Error> {
    let now = tx.now().to_offset();
    sqlx::query(
        "insert into notification (tenant_id, id, incident_id, action_id, channel, state, payload, \
         not_before, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $8) \
         on conflict on constraint notification_once do nothing",
    )
    .bind(tx.tenant().uuid())
    .bind(id)
    .bind(action.incident.uuid())
    .bind(action.id.uuid())
    .bind(channel.name())
    .bind(state.name())
    .bind(payload)
    .bind(now)
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

pub(crate) async fn list(tx: &mut Tx, incident: IncidentId) -> Result<Vec<Notification>, Error> {
    let rows = sqlx::query(
        "select * from notification where tenant_id = $1 and incident_id = $2 \
         order by created_at, id limit 200",
    )
    .bind(tx.tenant().uuid())
    .bind(incident.uuid())
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter().map(notification).collect()
}

/// Takes up to `limit` due notifications until `lease` ends, and counts the try.
pub(crate) async fn claim(
    tx: &mut Tx,
    lease: Duration,
    limit: i64,
) -> Result<Vec<(Notification, String)>, Error> {
    let now = tx.now();
    let rows = sqlx::query(
        "update notification set state = 'sending', attempts = attempts + 1, leased_until = $3 \
         where tenant_id = $1 and id in (select id from notification where tenant_id = $1 and ( \
            (state = 'pending' and not_before <= $2) or (state = 'sending' and leased_until <= $2)) \
            order by not_before, id limit $4 for update skip locked) returning *",
    )
    .bind(tx.tenant().uuid())
    .bind(now.to_offset())
    .bind(now.plus(lease).to_offset())
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.iter()
        .map(|row| Ok((notification(row)?, row.try_get("payload").map_err(sql)?)))
        .collect()
}

/// Ends a try: sent, to be tried again at `again`, or given up. `false` if another worker took it over.
pub(crate) async fn end_try(
    tx: &mut Tx,
    claimed: &Notification,
    state: State,
    again: Option<Timestamp>,
    error: Option<&str>,
) -> Result<bool, Error> {
    let now = tx.now();
    let done = sqlx::query(
        "update notification set state = $4, not_before = $5, error = $6, leased_until = null, \
         sent_at = case when $4 = 'sent' then $7 end \
         where tenant_id = $1 and id = $2 and state = 'sending' and attempts = $3",
    )
    .bind(tx.tenant().uuid())
    .bind(claimed.id)
    .bind(claimed.attempts)
    .bind(state.name())
    .bind(again.unwrap_or(now).to_offset())
    .bind(error.map(|error| error.chars().take(500).collect::<String>()))
    .bind(now.to_offset())
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(done.rows_affected() == 1)
}
