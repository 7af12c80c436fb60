//! PostgreSQL's own recovery of what was copied, up to the point.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hub_base::Timestamp;
use hub_store::cluster::Server;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Plan, Point, Restore};
use crate::error::Error;
use crate::operation::Operation;

/// For PostgreSQL to replay what was archived since the backup.
const REPLAY: Duration = Duration::from_hours(4);

impl Restore<'_> {
    /// PostgreSQL replays up to the point and becomes writable.
    pub(super) async fn recover(
        &self,
        plan: &Plan,
        operation: &mut Operation<'_>,
    ) -> Result<(), Error> {
        operation.at("recover", "replaying what was archived");
        let last = self.replayed(&self.request.point).await?;
        let said = match last {
            Some(last) => format!("the last transaction was committed at {last}"),
            None => format!("nothing was committed after {}", plan.backup.label),
        };
        operation.did("recover", said, json!({"last_commit": last}));
        Ok(())
    }

    /// Starts the server and waits until it has replayed everything. When the last transaction was committed.
    pub(super) async fn replayed(&self, point: &Point) -> Result<Option<Timestamp>, Error> {
        let server = self.server()?;
        // Made for the hub that was backed up: here the server must be found by its own PG_VERSION.
        let server = Server {
            binaries: hub_store::cluster::binaries::Binaries::find(
                major(&server.data),
                &server.data,
            )
            .map_err(hub_store::Error::from)?,
            ..server.clone()
        };
        let starting = server.clone();
        let began = tokio::task::spawn_blocking(move || starting.start()).await;
        if let Ok(Err(error)) = began {
            return Err(unreached(&server, point).unwrap_or(Error::Store(error.into())));
        }
        let overseer = self.cluster.overseer()?;
        let deadline = Instant::now() + REPLAY;
        let mut last = None;
        loop {
            match overseer.recovery().await {
                Ok(state) => {
                    last = state.last_commit.or(last);
                    if !state.replays {
                        return Ok(last);
                    }
                }
                Err(error) if !server.is_running() => {
                    return Err(unreached(&server, point).unwrap_or(Error::Store(error)));
                }
                Err(_) => {}
            }
            if Instant::now() > deadline {
                return Err(Error::Late {
                    what: "the replay of the WAL".to_owned(),
                    limit: REPLAY,
                });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Why the point was not reached, out of PostgreSQL's log.
fn unreached(server: &Server, point: &Point) -> Option<Error> {
    let log = fs::read_to_string(&server.log).ok()?;
    if !log.contains("recovery ended before configured recovery target was reached") {
        return None;
    }
    let last = log
        .lines()
        .rev()
        .find_map(|line| line.split_once("last completed transaction was at log time "));
    let reach = last.map_or_else(
        || "nothing after the backup is archived".to_owned(),
        |(_, at)| format!("the last transaction that is archived was committed at {at}"),
    );
    Some(Error::Backup(format!(
        "{point} was not reached: {reach}; restore to then, or to `latest`"
    )))
}

fn major(data: &Path) -> Option<u32> {
    let text = fs::read_to_string(data.join("PG_VERSION")).ok()?;
    text.trim().parse().ok()
}
