//! Runs that ended while the hub was away: it is told of their end later.

use std::path::Path;

use hub_base::{OperationId, plain};
use hub_operate::operation::OperationLog;
use hub_operate::runbook::shared::{ANOTHER_BOOK, ANOTHER_LINE};
use hub_operate::runbook::{self, Mark, Past};
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use super::PATIENCE;
use super::teller::Teller;
use crate::client::Client;
use crate::commands::told::told;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Tells the console what it does not know of a run that is over. How many lines that was.
pub(in super::super) async fn tell(
    state: &Path,
    past: Past,
    client: &Client,
) -> Result<usize, Failure> {
    let id = past.id;
    let beginning = json!({"id": id, "runbook": past.book.name, "text": past.book.text, "by": past.by,
        "began": past.began, "incident": past.incident});
    let (faults, _nobody) = unbounded_channel();
    let teller = Teller::new(client.clone(), id, beginning, faults);
    let fresh = teller.whole(past.lines).await?;
    runbook::mark(state, id, Mark::Told)?;
    Ok(fresh)
}

/// Tells of every run that ended while the hub was away, and the ledger of operations that it was not told of. Whoever cannot be told
/// holds nothing up.
pub(in super::super) async fn catch_up(
    state: &Path,
    client: &Client,
    output: &Output,
) -> Result<(), Failure> {
    if !client.has_token() || !state.is_dir() {
        return Ok(());
    }
    for id in runbook::unheard(state) {
        // Somebody else's, or one that this release cannot read.
        let Ok(Some(past)) = runbook::past(state, id) else {
            continue;
        };
        match timeout(PATIENCE, tell(state, past, client)).await {
            Ok(Ok(_)) => output.note(&format!("the console was told how the run {id} ended")),
            Ok(Err(failure)) if failure.exit == Exit::Usage => {
                refused(state, id, &failure, output);
            }
            Ok(Err(failure)) if failure.exit != Exit::Unreachable => {}
            // It is tried again next time.
            Ok(Err(_)) | Err(_) => return Ok(()),
        }
    }
    let log = OperationLog::open(state)?;
    let ledger = told(client, log.untold()?, |id| log.tell(id), output);
    match timeout(PATIENCE, ledger).await {
        Ok(done) => done,
        Err(_) => Ok(()),
    }
}

/// For good only if it has the run otherwise: another hub, an older one or somebody else's credential is no reason.
fn refused(state: &Path, id: OperationId, failure: &Failure, output: &Output) {
    let why = plain(&failure.error.to_string());
    let is_for_good = [ANOTHER_LINE, ANOTHER_BOOK]
        .iter()
        .any(|words| why.contains(words));
    output.note(&format!(
        "the console does not want to be told how the run {id} ended: {why}"
    ));
    if is_for_good {
        let _next_time = runbook::mark(state, id, Mark::Refused);
    }
}
