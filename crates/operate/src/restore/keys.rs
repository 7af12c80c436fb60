//! The key ring alone, from the sealed bundle of the newest backup: the database is where it was, and its keys are lost.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hub_base::Clock;
use hub_store::PrivateCluster;
use hub_vault::RecoveryKey;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{Point, Request, Restore, Source};
use crate::backup::{RING, Take, unpack};
use crate::error::{Error, fault};
use crate::operation::{Operation, Record, Witness};

/// Puts the ring back into `data_dir`. What stands in its place is put aside; it goes back there if the one from the bundle
/// did not sign the ledgers that the database holds. The hub must be stopped.
///
/// # Errors
/// What keeps it from beginning.
pub async fn keys(
    source: Source,
    data_dir: &Path,
    key: &RecoveryKey,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Record, Error> {
    let again = || Error::Lost("the recovery key".to_owned());
    let request = Request {
        source,
        point: Point::Latest,
        into: data_dir.to_owned(),
        in_place: true,
        key: Some(RecoveryKey::parse(key.text().expose_secret()).ok_or_else(again)?),
        server: std::path::PathBuf::new(),
        processes: 1,
    };
    let restore = Restore::open(&request).await?;
    let mut operation = Operation::begin("restore", Arc::clone(&clock), witness);
    let mut subject = "the key ring".to_owned();
    let done = attempt(&restore, key, &*clock, &mut operation, &mut subject).await;
    let record = operation.end(subject, done.err().map(|error| hub_base::chain(&error)));
    restore.log()?.keep(&record)?;
    Ok(record)
}

async fn attempt(
    restore: &Restore<'_>,
    key: &RecoveryKey,
    clock: &dyn Clock,
    operation: &mut Operation<'_>,
    subject: &mut String,
) -> Result<(), Error> {
    operation.at("plan", "what is kept");
    let into = &restore.request.into;
    // No hub may come up meanwhile: it would make a ring of its own.
    let (server, hold) = PrivateCluster::claim(into).map_err(hub_store::Error::from)?;
    let info = restore.tool.info().await?;
    let (backup, manifest, sealed) = restore.choose(&info.backups).await?;
    subject.clone_from(&backup.label);
    operation.did(
        "plan",
        format!("the bundle of {}", backup.label),
        json!(null),
    );
    operation.at("keys", "the sealed bundle");
    let ring = into.join(RING);
    let stamp = clock.now().to_string().replace([':', '.'], "-");
    let aside = ring.with_file_name(format!("{RING}.before-{stamp}"));
    let stood = ring.exists();
    if stood {
        fs::rename(&ring, &aside).map_err(fault(&ring, "put aside"))?;
    }
    let done = async {
        unpack(&manifest, &sealed, key, into, Take::Ring)?;
        let said = if stood {
            format!("the ring is back; what stood there is {}", aside.display())
        } else {
            "the ring is back".to_owned()
        };
        operation.did("keys", said, json!(null));
        operation.at("ledgers", "whether it signed them");
        let ran = server.is_running();
        let starting = server.clone();
        let started = tokio::task::spawn_blocking(move || starting.start()).await;
        started.unwrap_or(Ok(())).map_err(hub_store::Error::from)?;
        let heads = restore.cluster.overseer()?.trees().await;
        let checked = heads
            .map_err(Error::from)
            .and_then(|heads| restore.keys_open(&heads).map(|_| heads.len()));
        if !ran {
            server.stop().map_err(hub_store::Error::from)?;
        }
        let said = format!("it signed the heads of {} ledgers", checked?);
        operation.did("ledgers", said, json!(null));
        Ok(())
    }
    .await;
    drop(hold);
    if done.is_err() {
        // Not there if nothing was unpacked.
        let _absent = fs::remove_file(&ring);
        if stood {
            fs::rename(&aside, &ring).map_err(fault(&aside, "put back"))?;
        }
    }
    done
}
