//! How it is noticed: by what an operator has anyway.

use serde_json::Value;

use super::Scene;
use super::ledgers::Export;
use super::scenario::Probe;
use crate::backup::{self, Kind};
use crate::error::Error;
use crate::operation::Witness;

/// What one of them says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    Fine(String),
    Wrong(String),
}

pub(super) const fn word(probe: Probe) -> &'static str {
    match probe {
        Probe::Health => "health",
        Probe::SignIn => "sign-in",
        Probe::Backup => "the next backup",
        Probe::BackupVerify => "backup verify",
        Probe::LedgerVerify => "ledger verify",
        Probe::Redis => "Redis",
    }
}

/// Before the damage: whether it finds nothing. A probe that cries before would prove nothing after.
pub(super) async fn quiet(
    scene: &Scene,
    probe: Probe,
    witness: &dyn Witness,
) -> Result<String, Error> {
    let look = match probe {
        // The full one was made just now.
        Probe::Backup => pages(scene).await,
        _ => look(scene, probe, witness).await,
    };
    match look {
        Look::Fine(said) => Ok(said),
        Look::Wrong(said) => Err(Error::Drill(format!(
            "{} found something before anything was done: {said}",
            word(probe)
        ))),
    }
}

pub(super) async fn look(scene: &Scene, probe: Probe, witness: &dyn Witness) -> Look {
    match probe {
        Probe::Health => health(scene).await,
        Probe::SignIn => match scene.installation.everybody_signs_in().await {
            Ok(()) => Look::Fine("everybody signs in".to_owned()),
            Err(error) => Look::Wrong(hub_base::chain(&error)),
        },
        Probe::Backup => match scene.installation.back_up(Kind::Incremental, witness).await {
            Ok(()) => pages(scene).await,
            Err(error) => Look::Wrong(hub_base::chain(&error)),
        },
        Probe::BackupVerify => verified(scene, witness).await,
        Probe::LedgerVerify => ledgers(scene).await,
        Probe::Redis => match scene.redis() {
            Ok(redis) => redis.answers().await,
            Err(error) => Look::Wrong(error.to_string()),
        },
    }
}

async fn health(scene: &Scene) -> Look {
    let door = &scene.installation.door;
    if !scene.installation.has_hub() {
        return Look::Wrong("no hub serves".to_owned());
    }
    match door.get("/health", &scene.installation.operator).await {
        Ok(answer) if answer.status == 200 => Look::Fine("every part passes".to_owned()),
        Ok(answer) => {
            let json = answer.json();
            let fault = json.pointer("/database/fault").and_then(Value::as_str);
            let status = answer.status;
            Look::Wrong(match fault {
                Some(fault) => format!("/health answered {status}: {fault}"),
                None => format!("/health answered {status}"),
            })
        }
        Err(why) => Look::Wrong(why),
    }
}

async fn pages(scene: &Scene) -> Look {
    let info = match scene.installation.site() {
        Ok(site) => backup::list(&site).await,
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => match info.backups.iter().rfind(|backup| backup.error) {
            Some(bad) => Look::Wrong(format!("{} holds pages with a wrong checksum", bad.label)),
            None => Look::Fine("every page's checksum is right".to_owned()),
        },
        Err(error) => Look::Wrong(hub_base::chain(&error)),
    }
}

async fn verified(scene: &Scene, witness: &dyn Witness) -> Look {
    let verified = match scene.installation.site() {
        Ok(site) => backup::verify(&site, witness).await,
        Err(error) => Err(error),
    };
    match verified {
        Ok(verified) => match verified.faults.first() {
            None => Look::Fine(format!("{} backups are whole", verified.backups)),
            Some(first) => Look::Wrong(format!("{} faults, first: {first}", verified.faults.len())),
        },
        Err(error) => Look::Wrong(hub_base::chain(&error)),
    }
}

async fn ledgers(scene: &Scene) -> Look {
    let mut entries = 0;
    for tenant in &scene.installation.tenants {
        let export = match Export::of(&scene.installation.door, tenant).await {
            Ok(export) => export,
            Err(why) => return Look::Wrong(why),
        };
        let report = export.verify(&tenant.published, u64::MAX);
        if let Some(fault) = report.faults.first() {
            let place = fault.index.map(|index| format!("entry {index}: "));
            let place = place.unwrap_or_default();
            return Look::Wrong(format!("{}: {place}{}", tenant.slug, fault.what));
        }
        entries += report.entries;
    }
    Look::Fine(format!("{entries} entries are whole and signed"))
}
