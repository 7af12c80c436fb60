use hub_base::{ActionId, BlockId, IncidentId, Timestamp};
use hub_store::Tx;
use ipnet::IpNet;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Block;
use crate::actions::Action;
use crate::error::{Error, inconsistent, sql};

pub(crate) async fn insert(
    tx: &mut Tx,
    id: BlockId,
    action: &Action,
    network: IpNet,
    until: Option<Timestamp>,
) -> Result<(), Error> {
    let now = tx.now().to_offset();
    sqlx::query(
        "insert into address_block (tenant_id, id, action_id, incident_id, network, reason, created_at, until) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tx.tenant().uuid())
    .bind(id.uuid())
    .bind(action.id.uuid())
    .bind(action.incident.uuid())
    .bind(network.to_string())
    .bind(&action.reason)
    .bind(now)
    .bind(until.map(Timestamp::to_offset))
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(())
}

/// Lets go the action's block; its network, if it stood.
pub(crate) async fn release(tx: &mut Tx, action: ActionId) -> Result<Option<IpNet>, Error> {
    let now = tx.now().to_offset();
    let row: Option<(Uuid, String)> = sqlx::query_as(
        "update address_block set released_at = $3 \
         where tenant_id = $1 and action_id = $2 and released_at is null returning id, network",
    )
    .bind(tx.tenant().uuid())
    .bind(action.uuid())
    .bind(now)
    .fetch_optional(tx.conn())
    .await
    .map_err(sql)?;
    row.map(|(id, network)| {
        network
            .parse()
            .map_err(|_| inconsistent("address_block", "network", id))
    })
    .transpose()
}

type Row = (
    Uuid,
    Uuid,
    Uuid,
    String,
    String,
    OffsetDateTime,
    Option<OffsetDateTime>,
);

/// Blocks that are neither released nor over.
pub(crate) async fn standing(tx: &mut Tx) -> Result<Vec<Block>, Error> {
    let tenant = tx.tenant();
    let now = tx.now().to_offset();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, action_id, incident_id, network, reason, created_at, until from address_block \
         where tenant_id = $1 and released_at is null and (until is null or until > $2) \
         order by created_at, id limit 100000",
    )
    .bind(tenant.uuid())
    .bind(now)
    .fetch_all(tx.conn())
    .await
    .map_err(sql)?;
    rows.into_iter()
        .map(|(id, action, incident, network, reason, created, until)| {
            Ok(Block {
                tenant,
                id: BlockId::from_uuid(id),
                network: network
                    .parse()
                    .map_err(|_| inconsistent("address_block", "network", id))?,
                incident: IncidentId::from_uuid(incident),
                action: ActionId::from_uuid(action),
                reason,
                created_at: Timestamp::from_offset(created),
                until: until.map(Timestamp::from_offset),
            })
        })
        .collect()
}
