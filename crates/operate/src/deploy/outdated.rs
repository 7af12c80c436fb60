//! A journey that was cut off, and what somebody else has deployed since.

use serde_json::Value;
use tokio::time::Instant;

use super::engine::{Engine, Outcome, Refusal};
use super::journal::LEFT;
use super::{Held, Journey, Stage, Target};
use crate::error::Error;

impl<T: Target> Engine<'_, T> {
    /// Whether somebody else has changed since what this journey knows of, from another journal or by hand: then neither its way on nor
    /// its way back leads anywhere. Where nobody can tell, it is not so: the way back must not wait for that.
    pub(super) async fn is_outdated(&mut self, journey: &Journey) -> Option<Refusal> {
        let standing = self.target.standing().await.ok()?;
        let is =
            |held: Option<&Held>, dir: &str| held.is_some_and(|held| held.dir.as_os_str() == dir);
        let somebody = standing.iter().find_map(|one| {
            let dir = one.release.as_deref()?;
            let (is_ours, counts) = if one.colour == journey.colour {
                // What an earlier deploy left there without a share goes when this one starts.
                let started = journey.stage >= Stage::Started;
                (is(Some(&journey.to), dir), started || one.share > 0)
            } else {
                (is(journey.from.as_ref(), dir), one.share > 0)
            };
            (!is_ours && counts).then(|| format!("{dir} runs as {}", one.colour))
        })?;
        Some(format!(
            "somebody else has deployed since: {somebody}. Nothing was changed"
        ))
    }

    /// Ends it where it stands.
    pub(super) fn leave(&mut self, mut journey: Journey, why: Refusal) -> Result<Outcome, Error> {
        let began = Instant::now();
        let entry = self.entry("leave", why.clone(), began, Value::Null);
        self.observer.did(&entry);
        journey.entries.push(entry);
        journey.back = Some(why);
        journey.outcome = Some(LEFT.to_owned());
        self.end(journey, began, None, None)
    }
}
