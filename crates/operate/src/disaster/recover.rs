//! The way back: each step calls what the verb of `hubctl` calls.

use std::sync::Arc;

use super::Scene;
use super::installation::{Installation, REGIONS};
use super::processes;
use super::scenario::{From, Step, To};
use crate::backup::Config;
use crate::error::Error;
use crate::operation::Witness;
use crate::restore::{self, Point, Request, Source};

pub(super) const fn word(step: &Step) -> &'static str {
    match step {
        Step::StopHub {} => "stop_hub",
        Step::Isolate {} => "isolate",
        Step::Restore { .. } => "restore",
        Step::RestoreKeys {} => "restore_keys",
        Step::StartRedis {} => "start_redis",
        Step::StartHub {} => "start_hub",
    }
}

/// Does one step; in words.
pub(super) async fn step(
    scene: &mut Scene,
    step: &Step,
    witness: &dyn Witness,
) -> Result<String, Error> {
    match step {
        Step::StopHub {} => {
            scene.installation.stop_hub().await;
            Ok("the hub is stopped".to_owned())
        }
        Step::Isolate {} => {
            scene.installation.kill_hub().await;
            let ended = processes::kill_all(&scene.installation.first_region()).await;
            Ok(format!("the hub and {ended} processes more were ended"))
        }
        Step::Restore { from, to } => restored(scene, *from, *to, witness).await,
        Step::RestoreKeys {} => keys(scene, witness).await,
        Step::StartRedis {} => {
            scene.redis_mut()?.start().await?;
            Ok("Redis runs".to_owned())
        }
        Step::StartHub {} => {
            scene.installation.start_hub().await?;
            Ok(format!("a hub serves at {}", scene.installation.door.url()))
        }
    }
}

async fn restored(
    scene: &mut Scene,
    from: From,
    to: To,
    witness: &dyn Witness,
) -> Result<String, Error> {
    let point = match to {
        To::Latest => Point::Latest,
        To::Before => Point::Time(scene.before.at),
        To::LastProven => Point::Time(
            scene
                .before
                .last_proven
                .ok_or_else(|| Error::Drill("no ledger was verified before".to_owned()))?,
        ),
    };
    let installation = &mut scene.installation;
    let (source, into, key) = match from {
        From::Installation => (
            Source::Site(Box::new(installation.site()?)),
            installation.data_dir.clone(),
            None,
        ),
        From::SecondRepository => (
            Source::Repository(Box::new(Installation::repository_of(
                installation.repository(REGIONS.1),
            ))),
            installation.standby(),
            Some(installation.key()?),
        ),
    };
    let request = Request {
        source,
        point,
        in_place: from == From::Installation,
        into: into.clone(),
        key,
        server: installation.server().clone(),
        processes: Config::default().processes,
    };
    let done = restore::run(&request, Arc::clone(&installation.clock), witness).await?;
    let subject = done.record.subject;
    let Some(proof) = done.proof else {
        return Err(Error::NotProven(done.record.why.unwrap_or_default()));
    };
    installation.data_dir = into;
    let entries: u64 = proof.ledgers.iter().map(|ledger| ledger.size).sum();
    let said = format!(
        "{} of {subject}: {} ledgers with {entries} entries agree with the checkpoints of the backup, {} tables are readable",
        request.point,
        proof.ledgers.len(),
        proof.tables.len()
    );
    scene.restored = Some(proof);
    Ok(said)
}

async fn keys(scene: &mut Scene, witness: &dyn Witness) -> Result<String, Error> {
    let installation = &scene.installation;
    let source = Source::Site(Box::new(installation.site()?));
    let clock = Arc::clone(&installation.clock);
    let key = installation.key()?;
    let done = restore::keys(source, &installation.data_dir, &key, clock, witness).await?;
    match done.why {
        None => Ok(format!("from the bundle of {}", done.subject)),
        Some(why) => Err(Error::NotProven(why)),
    }
}
