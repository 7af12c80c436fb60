//! Everything that is kept, read and compared with its checksums.

use serde::Serialize;

use super::pgbackrest::PgBackRest;
use super::{Site, beside, bundle};
use crate::error::Error;
use crate::operation::Witness;

/// What a look at everything that is kept found.
#[derive(Debug, Serialize)]
pub struct Verified {
    pub faults: Vec<String>,
    pub backups: usize,
    pub bundles: usize,
    pub took_ms: u64,
}

/// Reads every file of every repository and compares it with its checksum; bundles and manifests too.
///
/// # Errors
/// If the repositories cannot be asked.
pub async fn verify(site: &Site, witness: &dyn Witness) -> Result<Verified, Error> {
    let began = std::time::Instant::now();
    let mut faults = Vec::new();
    let info = site.info().await?;
    let mut bundles = 0;
    for stand in &info.repositories {
        let number = stand.repository;
        if let Some(away) = &stand.away {
            faults.push(format!("repository {number} cannot be read: {away}"));
            continue;
        }
        witness.begins("verify", &format!("repository {number}"));
        let tool = site.alone(number)?;
        let said = tool
            .work("verify", &[&format!("--repo={number}")], witness)
            .await?;
        // pgBackRest 2.45 ends with 0 whatever it found.
        faults.extend(complaints(&said).map(|line| format!("repository {number}: {line}")));
        for backup in info.backups.iter().filter(|one| one.repository == number) {
            if backup.error {
                faults.push(format!(
                    "{} holds pages whose checksum was wrong when it was made",
                    backup.label
                ));
            }
            match whole(&tool, number, &backup.label).await {
                Ok(()) => bundles += 1,
                Err(error) => faults.push(hub_base::chain(&error)),
            }
        }
    }
    Ok(Verified {
        faults,
        backups: info.backups.len(),
        bundles,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The lines of `pgbackrest verify` that tell of something wrong.
fn complaints(said: &str) -> impl Iterator<Item = String> {
    said.lines()
        .map(str::trim)
        .filter(|line| {
            let nothing = [
                "missing: 0",
                "checksum invalid: 0",
                "size invalid: 0",
                "other: 0",
            ];
            let wrong = ["missing:", "checksum invalid:", "size invalid:", "other:"];
            let counts = wrong.iter().any(|word| line.contains(word))
                && !nothing.iter().all(|word| line.contains(word));
            counts || line.contains("ERROR:") || line.contains("status: error")
        })
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

async fn whole(tool: &PgBackRest, number: u8, label: &str) -> Result<(), Error> {
    let (manifest, sealed) = beside(tool, number, label).await?;
    bundle::intact(&manifest, &sealed)
}
