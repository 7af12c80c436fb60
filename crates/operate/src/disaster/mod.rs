//! Disasters, rehearsed: an installation of the drill's own is made and used, damaged for real, the damage noticed by what an
//! operator has, the way back gone by the verbs of `hubctl`, and everything proven and measured. Which disaster is data
//! (`content/disasters/`): what the words in it do stands here.
//!
//! INVARIANT: nothing is touched but what the drill made under its scratch folder.

mod check;
mod detect;
mod door;
mod inject;
mod installation;
mod ledgers;
mod load;
mod measure;
mod processes;
mod prove;
mod recover;
mod redis;
mod report;
mod scenario;
mod write_once;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hub_base::{Clock, HumanDuration};
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::detect::Look;
use self::inject::{Attack, Before};
use self::installation::{Installation, REGIONS};
use self::load::Load;
use self::redis::Redis;
use self::write_once::WriteOnce;
use crate::error::{Error, fault};
use crate::operation::{Operation, Record, Witness};
use crate::restore::Proof;

pub use report::{Noticed, Report, Taken, Writes, seconds};
pub use scenario::{BUILT_IN, Fault, Objective, SUBJECT, Scenario, Scenarios};

/// Between two looks.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);
/// For the writes that come before the damage.
const LOADED: std::time::Duration = std::time::Duration::from_mins(2);

/// A run that ended.
#[derive(Debug)]
pub struct Done {
    pub record: Record,
    pub report: Report,
}

/// Everything that a run has in its hands.
struct Scene {
    // First, so that it is let go before its folder is removed.
    write_once: Option<WriteOnce>,
    redis: Option<Redis>,
    load: Option<Load>,
    installation: Installation,
    before: Before,
    /// The entry that was rewritten, and what it said.
    altered: Option<(u64, String)>,
    attacked: Option<Attack>,
    restored: Option<Proof>,
}

impl Scene {
    fn redis(&self) -> Result<&Redis, Error> {
        let none = || Error::Lost("Redis".to_owned());
        self.redis.as_ref().ok_or_else(none)
    }

    fn redis_mut(&mut self) -> Result<&mut Redis, Error> {
        let none = || Error::Lost("Redis".to_owned());
        self.redis.as_mut().ok_or_else(none)
    }
}

/// Runs one scenario under `scratch`. What goes wrong is in the report; what a failed run leaves is kept there.
///
/// # Errors
/// What keeps it from beginning.
pub async fn run(
    scenario: &Scenario,
    scratch: &Path,
    server: &Path,
    clock: Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Done, Error> {
    std::fs::create_dir_all(scratch).map_err(fault(scratch, "made"))?;
    let mut operation = Operation::begin("drill", Arc::clone(&clock), witness);
    let mut report = Report::new(scenario, operation.id(), operation.now());
    operation.at("install", "an installation of the drill's own");
    let mut scene = make(scenario, scratch, server, &clock, witness).await?;
    operation.did(
        "install",
        "a hub with two tenants, backed up into two repositories",
        serde_json::Value::Null,
    );
    let done = rehearse(scenario, &mut scene, &mut operation, &mut report).await;
    let missed = done.and_then(|()| {
        report
            .missed()
            .map_or(Ok(()), |why| Err(Error::NotProven(why)))
    });
    if let Err(error) = missed {
        let Scene {
            write_once,
            installation,
            ..
        } = scene;
        drop(write_once);
        let kept = installation.keep().await;
        let why = format!("{} (left in {})", hub_base::chain(&error), kept.display());
        report.why = Some(why);
    }
    let record = operation.end(scenario.subject(), report.why.clone());
    Ok(Done { record, report })
}

async fn make(
    scenario: &Scenario,
    scratch: &Path,
    server: &Path,
    clock: &Arc<dyn Clock>,
    witness: &dyn Witness,
) -> Result<Scene, Error> {
    let wanted = scenario.installation;
    let installation =
        Installation::make(scratch, server, wanted, Arc::clone(clock), witness).await?;
    let second: PathBuf = installation.repository(REGIONS.1);
    Ok(Scene {
        write_once: wanted
            .write_once
            .then(|| WriteOnce::begin(second))
            .transpose()?,
        redis: if wanted.redis {
            Some(Redis::make(&installation.first_region().join("redis")).await?)
        } else {
            None
        },
        load: None,
        before: Before {
            at: clock.now(),
            last_proven: None,
        },
        installation,
        altered: None,
        attacked: None,
        restored: None,
    })
}

async fn rehearse(
    scenario: &Scenario,
    scene: &mut Scene,
    operation: &mut Operation<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    loaded(scenario, scene, operation).await?;
    let began = Instant::now();
    operation.at("inject", &scenario.title);
    for injection in &scenario.inject {
        let done = inject::inject(scene, injection).await?;
        operation.did("inject", done.said.clone(), done.figures);
        report.injected.push(done.said);
    }
    let noticed = noticed(scenario, scene, operation, began).await?;
    report.noticed = Some(noticed);
    for step in &scenario.recover {
        let name = recover::word(step);
        operation.at("recover", name);
        let said = recover::step(scene, step, operation.witness()).await?;
        let took_ms = operation.did("recover", said.clone(), json!({"step": name}));
        report.recovered.push(taken(name, said, took_ms));
    }
    for claim in &scenario.prove {
        let name = prove::word(*claim);
        operation.at("prove", name);
        let said = prove::prove(scene, *claim, operation.witness()).await?;
        let took_ms = operation.did("prove", said.clone(), json!({"claim": name}));
        report.proven.push(taken(name, said, took_ms));
    }
    report.rto = Some(measure::exact(began.elapsed()));
    operation.at("objective", "what became of the writes");
    measure::writes(scene, report).await?;
    let said = format!(
        "RTO {} (objective {}), RPO {} (objective {}), {} of {} writes lost",
        seconds(began.elapsed()),
        scenario.objective.rto,
        report.rpo.map_or_else(String::new, |rpo| seconds(rpo.0)),
        scenario.objective.rpo,
        report.writes.lost,
        report.writes.acknowledged,
    );
    let figures = json!({"rto": report.rto, "rpo": report.rpo, "writes": report.writes});
    operation.did("objective", said, figures);
    Ok(())
}

fn taken(what: &str, said: String, took_ms: u64) -> Taken {
    Taken {
        what: what.to_owned(),
        said,
        took_ms,
    }
}

/// Writes until there is something to lose, and sees that nothing is wrong yet.
async fn loaded(
    scenario: &Scenario,
    scene: &mut Scene,
    operation: &mut Operation<'_>,
) -> Result<(), Error> {
    operation.at("load", "writes that are acknowledged");
    let wanted = scenario.load;
    let installation = &scene.installation;
    let load = Load::start(
        &installation.door,
        &installation.tenants,
        wanted.pause.0,
        &installation.clock,
    );
    scene.load = Some(load);
    let deadline = Instant::now() + LOADED;
    loop {
        scene.installation.publish().await?;
        let written = scene.load.as_ref().map_or(0, Load::count);
        if written >= wanted.writes && (!wanted.archived || scene.installation.archives().await?) {
            break;
        }
        if Instant::now() > deadline {
            return Err(Error::Late {
                what: format!("{} writes and their archive", wanted.writes),
                limit: LOADED,
            });
        }
        sleep(LOOK).await;
    }
    let written = scene.load.as_ref().map_or(0, Load::count);
    operation.did(
        "load",
        format!("{written} writes were acknowledged"),
        json!({"writes": written}),
    );
    for probe in &scenario.detect.by {
        let at = scene.installation.clock.now();
        let said = detect::quiet(scene, *probe, operation.witness()).await?;
        if *probe == scenario::Probe::LedgerVerify {
            scene.before.last_proven = Some(at);
        }
        operation.did(
            "before",
            format!("{}: {said}", detect::word(*probe)),
            json!(null),
        );
    }
    scene.installation.publish().await?;
    scene.installation.renew_tokens().await?;
    scene.before.at = scene.installation.clock.now();
    Ok(())
}

/// Asks in turn until one of them finds something.
async fn noticed(
    scenario: &Scenario,
    scene: &Scene,
    operation: &mut Operation<'_>,
    began: Instant,
) -> Result<Noticed, Error> {
    operation.at("detect", "by what an operator has");
    let within = scenario.detect.within;
    loop {
        for probe in &scenario.detect.by {
            let Look::Wrong(said) = detect::look(scene, *probe, operation.witness()).await else {
                continue;
            };
            let after = measure::exact(began.elapsed());
            let by = detect::word(*probe);
            operation.did(
                "detect",
                format!("{by} says after {}: {said}", seconds(after.0)),
                json!({"after": after}),
            );
            return Ok(Noticed {
                by: by.to_owned(),
                said,
                after,
            });
        }
        if began.elapsed() > within.0 {
            let all: Vec<&str> = scenario
                .detect
                .by
                .iter()
                .map(|one| detect::word(*one))
                .collect();
            return Err(Error::NotProven(format!(
                "nobody noticed within {}: {} found nothing",
                HumanDuration(within.0),
                all.join(", ")
            )));
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests;
