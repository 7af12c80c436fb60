//! Telling the hub's ledger what was done to the installation.

use hub_base::OperationId;
use hub_operate::Error;
use hub_operate::operation::Record;
use serde_json::json;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Tells each. What cannot be told now is told after the next operation: the hub may be the very thing that is down.
pub(crate) async fn told(
    client: &Client,
    untold: Vec<Record>,
    remember: impl Fn(OperationId) -> Result<(), Error>,
    output: &Output,
) -> Result<(), Failure> {
    if untold.is_empty() {
        return Ok(());
    }
    if !client.has_token() {
        let count = untold.len();
        output.note(&format!(
            "not in the hub's ledger yet: {count} done here; give --url and --token-file (an API key with the scope operations.record)"
        ));
        return Ok(());
    }
    for record in untold {
        let (id, kind) = (record.id, record.kind.clone());
        let told = client.post("/api/v2/operations", json!(record.fitting()));
        match told.await {
            Ok(_) => remember(id)?,
            // Of this one it wants to know nothing, perhaps being older: the others are told all the same.
            Err(failure) if failure.exit == Exit::Usage => output.note(&format!(
                "the hub's ledger refused the {kind} {id}; it is tried again after the next operation: {}",
                failure.error
            )),
            Err(failure) => {
                output.note(&format!(
                    "the hub's ledger could not be told; it is tried again after the next operation: {}",
                    failure.error
                ));
                return Ok(());
            }
        }
    }
    Ok(())
}
