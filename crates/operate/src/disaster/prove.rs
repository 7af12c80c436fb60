//! What must hold in the end, asked of the hub that serves now.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Scene;
use super::detect::{self, Look};
use super::installation::Tenant;
use super::ledgers::Export;
use super::load::{self, Load};
use super::scenario::{Claim, Probe};
use crate::backup::Kind;
use crate::error::Error;
use crate::operation::Witness;
use crate::smoke;

/// For an acknowledged write to get its place in the ledger.
const PLACED: Duration = Duration::from_secs(30);

pub(super) const fn word(claim: Claim) -> &'static str {
    match claim {
        Claim::Answers => "answers",
        Claim::Ledgers => "ledgers",
        Claim::Writes => "writes",
        Claim::SignsIn => "signs_in",
        Claim::OldTokens => "old_tokens",
        Claim::EntryIsBack => "entry_is_back",
        Claim::KeptUnharmed => "kept_unharmed",
        Claim::BackedUp => "backed_up",
        Claim::NoneRefused => "none_refused",
        Claim::RedisIsBack => "redis_is_back",
    }
}

/// In words.
///
/// # Errors
/// [`Error::NotProven`] says what does not hold.
pub(super) async fn prove(
    scene: &mut Scene,
    claim: Claim,
    witness: &dyn Witness,
) -> Result<String, Error> {
    match claim {
        Claim::Answers => answers(scene).await,
        Claim::Ledgers => ledgers(scene).await,
        Claim::Writes => writes(scene).await,
        Claim::SignsIn => {
            scene.installation.everybody_signs_in().await?;
            Ok("each tenant's owner signs in with the password of before".to_owned())
        }
        Claim::OldTokens => old_tokens(scene).await,
        Claim::EntryIsBack => entry_is_back(scene).await,
        Claim::KeptUnharmed => kept(scene),
        Claim::BackedUp => {
            scene.installation.back_up(Kind::Full, witness).await?;
            held(detect::look(scene, Probe::BackupVerify, witness).await)
        }
        Claim::NoneRefused => none_refused(scene),
        Claim::RedisIsBack => scene.redis()?.is_back().await,
    }
}

fn held(look: Look) -> Result<String, Error> {
    match look {
        Look::Fine(said) => Ok(said),
        Look::Wrong(why) => Err(Error::NotProven(why)),
    }
}

fn unproven(why: impl Into<String>) -> Error {
    Error::NotProven(why.into())
}

async fn answers(scene: &Scene) -> Result<String, Error> {
    let door = &scene.installation.door;
    let url = door.url();
    let ready = smoke::get(door.http(), &url, "/health/ready").await;
    let (status, text) = ready.map_err(unproven)?;
    if status != 200 {
        return Err(unproven(format!("/health/ready answered {status}: {text}")));
    }
    let asked = smoke::ask_all(door.http(), &url).await;
    asked.map_err(unproven)?;
    Ok("ready, and the smoke test of a deploy passes".to_owned())
}

async fn ledgers(scene: &Scene) -> Result<String, Error> {
    let mut said = Vec::new();
    for tenant in &scene.installation.tenants {
        // What is published beyond the restored point was lost with it.
        let restored = scene.restored.as_ref().and_then(|proof| {
            let mut ledgers = proof.ledgers.iter();
            ledgers.find(|ledger| ledger.tenant == tenant.slug)
        });
        let size = restored.map_or(u64::MAX, |ledger| ledger.size);
        let export = Export::of(&scene.installation.door, tenant).await;
        let report = export.map_err(unproven)?.verify(&tenant.published, size);
        if let Some(fault) = report.faults.first() {
            let place = fault.index.map(|index| format!("entry {index}: "));
            let place = place.unwrap_or_default();
            return Err(unproven(format!(
                "the ledger of {}: {place}{}",
                tenant.slug, fault.what
            )));
        }
        said.push(format!("{}: {} entries", tenant.slug, report.entries));
    }
    Ok(format!(
        "{}; signed by the published key, continuing the published checkpoint",
        said.join(", ")
    ))
}

/// One more write, as a client makes it: whoever is told to come back later does, for a while.
async fn taken(scene: &Scene, tenant: &Tenant) -> Result<String, Error> {
    let deadline = Instant::now() + PLACED;
    loop {
        match load::write(&scene.installation.door, tenant).await {
            Ok(batch) => return Ok(batch),
            Err(why) if Instant::now() > deadline => return Err(unproven(why)),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// One more for each tenant, and its place: whoever was acknowledged before has theirs then too.
pub(super) async fn writes(scene: &Scene) -> Result<String, Error> {
    let installation = &scene.installation;
    for tenant in &installation.tenants {
        let batch = taken(scene, tenant).await?;
        let deadline = Instant::now() + PLACED;
        loop {
            let export = Export::of(&installation.door, tenant).await;
            if export.map_err(unproven)?.batches().contains(&batch) {
                break;
            }
            if Instant::now() > deadline {
                return Err(unproven(format!(
                    "a write of {} has no place in the ledger after {PLACED:?}",
                    tenant.slug
                )));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok("each tenant's write is acknowledged and has its place in the ledger".to_owned())
}

async fn old_tokens(scene: &Scene) -> Result<String, Error> {
    for tenant in &scene.installation.tenants {
        let answer = scene.installation.door.get("/api/v2/me", &tenant.token);
        let status = answer.await.map_err(unproven)?.status;
        if status != 200 {
            return Err(unproven(format!(
                "a token of {} of before is answered with {status}",
                tenant.slug
            )));
        }
    }
    Ok("tokens that were signed before are good".to_owned())
}

async fn entry_is_back(scene: &Scene) -> Result<String, Error> {
    let (Some((index, body)), Some(tenant)) = (&scene.altered, scene.installation.tenants.first())
    else {
        return Err(unproven("no entry was altered"));
    };
    let export = Export::of(&scene.installation.door, tenant).await;
    if export.map_err(unproven)?.body(*index).as_deref() != Some(&**body) {
        return Err(unproven(format!("entry {index} is another one still")));
    }
    Ok(format!(
        "entry {index} of {} says what it said",
        tenant.slug
    ))
}

fn none_refused(scene: &Scene) -> Result<String, Error> {
    match scene.load.as_ref().map(Load::told) {
        Some((done, 0)) if !done.is_empty() => Ok(format!(
            "{} writes were acknowledged, none refused",
            done.len()
        )),
        Some((_, refused)) => Err(unproven(format!("{refused} writes were refused"))),
        None => Err(unproven("nothing was written")),
    }
}

fn kept(scene: &Scene) -> Result<String, Error> {
    match (&scene.attacked, &scene.write_once) {
        (Some(attack), Some(kept)) if attack.refused > 0 => Ok(format!(
            "{} files of the second repository could be neither written nor removed ({}); {} that had just come could",
            attack.refused,
            kept.means(),
            attack.encrypted
        )),
        _ => Err(unproven("nothing was refused to the intruder")),
    }
}
