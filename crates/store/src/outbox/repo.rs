use hub_base::EntryId;
use hub_events::Event;

use crate::error::Error;
use crate::tx::Tx;

/// Puts an act's event into the outbox, in the act's own transaction.
pub(crate) async fn insert(
    tx: &mut Tx,
    entry: EntryId,
    operation: &str,
    event: &Event,
) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    // `Map` keeps its keys sorted, so the text is the same for the same event.
    let body = serde_json::to_string(event).map_err(|_| Error::Inconsistent {
        table: "ledger_outbox",
        column: "body",
        id: entry.to_string(),
    })?;
    sqlx::query(
        "insert into ledger_outbox (tenant_id, id, operation, occurred_at, body) values ($1, $2, $3, $4, $5)",
    )
    .bind(tenant)
    .bind(entry.uuid())
    .bind(operation)
    .bind(event.time.to_offset())
    .bind(body)
    .execute(tx.conn())
    .await?;
    Ok(())
}
