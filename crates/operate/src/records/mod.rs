//! What was done to the installation, in the ledger: an entry for each step and one for the whole.
//!
//! Whoever did it tells afterwards, perhaps twice, perhaps late (the hub itself was being replaced): an operation is taken
//! once.

mod repo;

use hub_base::Timestamp;
use hub_events::{Act, Class, Outcome, Subject};
use hub_store::{Cx, Tx};
use serde_json::Value;

use crate::deploy::Journey;
use crate::dora::{self, Dora};
use crate::error::Error;
use crate::operation::Entry;
pub use crate::operation::Record;

/// OCSF's `activity_id` of an application's update (class 6002).
const UPDATE: u8 = 8;
/// Steps of one operation at most, and characters of one text.
const MOST_STEPS: usize = 200;
const LONGEST: usize = 2000;
/// What an operation can be.
pub const KINDS: &[&str] = &[
    "deploy",
    "rollback",
    "migration",
    "backup",
    "restore",
    "drill",
    "key_rotation",
    "cleanup",
    "runbook",
    "switchover",
    "failover",
];
/// How it can end; the last two are not what was wanted.
pub const OUTCOMES: &[&str] = &["deployed", "done", "rolled_back", "failed"];

impl Record {
    /// What a journal says of an operation; `None` while it is under way.
    pub fn of(journey: Journey) -> Option<Self> {
        Some(Self {
            id: journey.id,
            kind: journey.kind,
            subject: journey.to.name,
            outcome: journey.outcome?,
            why: journey.back,
            began: journey.began,
            ended: journey.ended?,
            steps: journey.entries,
        })
    }

    /// The same as far as the ledger takes it: a program may have said more than it takes, and a clock may have been set back
    /// meanwhile. It is better told shortened than never.
    pub fn fitting(mut self) -> Self {
        let texts = self.steps.iter_mut().map(|step| &mut step.said);
        for text in texts.chain([&mut self.subject]).chain(&mut self.why) {
            if let Some((end, _)) = text.char_indices().nth(LONGEST) {
                let kept = text
                    .char_indices()
                    .nth(LONGEST - 1)
                    .map_or(end, |(at, _)| at);
                text.truncate(kept);
                text.push('…');
            }
        }
        if self.steps.len() > MOST_STEPS {
            // How it began and how it ended tell most.
            self.steps
                .drain(MOST_STEPS / 2..self.steps.len() - MOST_STEPS / 2);
        }
        self.ended = self.ended.max(self.began);
        self
    }

    fn validate(&self) -> Result<(), Error> {
        let fault = |field: &'static str, what: String| Err(Error::Record { field, what });
        if !KINDS.contains(&self.kind.as_str()) {
            return fault("kind", format!("must be one of {}", KINDS.join(", ")));
        }
        if !OUTCOMES.contains(&self.outcome.as_str()) {
            return fault("outcome", format!("must be one of {}", OUTCOMES.join(", ")));
        }
        if self.steps.len() > MOST_STEPS {
            return fault("steps", format!("must be at most {MOST_STEPS}"));
        }
        if self.ended < self.began {
            return fault("ended", "must not be before it began".to_owned());
        }
        let texts = self.steps.iter().map(|step| &step.said);
        let mut texts = texts.chain([&self.subject]).chain(&self.why);
        if texts.any(|text| text.chars().count() > LONGEST) {
            return fault(
                "steps",
                format!("no text may be longer than {LONGEST} characters"),
            );
        }
        Ok(())
    }
}

/// Takes an operation into the ledger; false if it was known already.
///
/// # Errors
/// [`Error::Record`] names the field that cannot be.
pub async fn record(cx: &Cx, record: &Record) -> Result<bool, Error> {
    record.validate()?;
    let mut tx = cx.write().await?;
    if !repo::insert(&mut tx, record).await? {
        return Ok(false);
    }
    if record.kind == "runbook" {
        crate::runbook::shared::ended(&mut tx, record).await?;
    }
    for step in &record.steps {
        tx.record(act("operation.step", record, Some(step))).await?;
    }
    tx.commit(act("operation.end", record, None)).await?;
    Ok(true)
}

fn act(operation: &'static str, record: &Record, step: Option<&Entry>) -> Act {
    let is_good = matches!(record.outcome.as_str(), "deployed" | "done") || step.is_some();
    // What it was done to.
    let object = match record.kind.as_str() {
        "deploy" | "rollback" | "migration" => "release",
        "backup" | "restore" | "drill" => "backup",
        "key_rotation" => "key",
        "runbook" => "runbook",
        "switchover" | "failover" => "database",
        _ => "installation",
    };
    let act = Act::new(operation, Class::ApplicationLifecycle, UPDATE, "admin")
        .on(Subject::new(object, &record.subject))
        .outcome(if is_good {
            Outcome::Success
        } else {
            Outcome::Failure
        })
        .with("unmapped.operation.uid", record.id.to_string())
        .with("unmapped.operation.kind", record.kind.as_str());
    match step {
        Some(step) => act
            .with("unmapped.operation.step", step.step.as_str())
            .with("unmapped.operation.said", step.said.as_str())
            .with("unmapped.operation.at", step.at.to_string())
            .with("unmapped.operation.took_ms", step.took_ms)
            .with("unmapped.operation.figures", step.figures.clone()),
        None => act
            .with("unmapped.operation.outcome", record.outcome.as_str())
            .with("unmapped.operation.began", record.began.to_string())
            .with("unmapped.operation.ended", record.ended.to_string())
            .with(
                "unmapped.operation.why",
                record.why.clone().map_or(Value::Null, Value::from),
            ),
    }
}

/// The newest operations first, at most `limit`.
///
/// # Errors
/// [`Error::Inconsistent`] if a row does not parse, [`Error::Store`].
pub async fn list(tx: &mut Tx, limit: i64) -> Result<Vec<Record>, Error> {
    repo::list(tx, limit).await
}

/// When an operation of each kind last went well.
///
/// # Errors
/// [`Error::Store`].
pub async fn newest(tx: &mut Tx) -> Result<Vec<(&'static str, Timestamp)>, Error> {
    let newest = repo::newest(tx).await?;
    let known = |name: &str| KINDS.iter().find(|kind| **kind == name).copied();
    let newest = newest.into_iter();
    Ok(newest
        .filter_map(|(kind, ended)| Some((known(&kind)?, ended)))
        .collect())
}

/// The DORA figures of the deploys that the ledger has.
///
/// # Errors
/// As [`list`].
pub async fn dora(tx: &mut Tx) -> Result<Dora, Error> {
    let now = tx.now();
    let deploys = repo::deploys(tx, dora::since(now)).await?;
    Ok(dora::figures(&deploys, now))
}

#[cfg(test)]
mod tests;
