//! What an operator sees of a deploy: gates, plan, progress, outcome.

use std::time::Duration;

use hub_operate::deploy::{Check, Entry, Figures, Journey, Observer, Outcome, Policy, Standing};
use indicatif::ProgressBar;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) fn rows(standing: &[Standing]) -> Vec<Vec<String>> {
    let row = |colour: &Standing| {
        vec![
            colour.colour.to_string(),
            colour.release.clone().unwrap_or_default(),
            format!("{} %", colour.share),
            if colour.is_up { "yes" } else { "no" }.to_owned(),
        ]
    };
    standing.iter().map(row).collect()
}

/// What brings the last release up again, if nothing runs at all: after a crash or the machine's restart nobody else does.
pub(super) fn down(standing: &[Standing], history: &[Journey]) -> Option<String> {
    if standing.iter().any(|colour| colour.release.is_some()) {
        return None;
    }
    let last = history.last()?;
    let held = match last.outcome.as_deref() {
        Some("deployed") => &last.to,
        _ => last.from.as_ref()?,
    };
    Some(format!(
        "nothing runs, and nothing starts it by itself: `hubctl rollback --to {}` brings {} up again",
        held.dir.display(),
        held.name
    ))
}

pub(super) fn line(journey: &Journey) -> Vec<String> {
    vec![
        journey.began.to_string(),
        journey.kind.clone(),
        journey.to.name.clone(),
        journey.outcome.clone().unwrap_or_default(),
        journey.back.clone().unwrap_or_default(),
    ]
}

pub(super) fn gates(output: &Output, checks: &[Check]) -> Result<(), Failure> {
    let rows = checks.iter().map(|check| {
        let word = if check.holds { "holds" } else { "FAILS" };
        vec![
            check.gate.to_owned(),
            output.verdict(check.holds, word),
            check.said.clone(),
        ]
    });
    output.table(&["Gate", "", "What was found"], rows.collect())
}

pub(super) fn shown(
    output: &Output,
    plan: &Journey,
    checks: &[Check],
    policy: &Policy,
) -> Result<(), Failure> {
    if output.json {
        return output.document(&json!({"plan": plan, "checks": checks, "policy": policy}));
    }
    gates(output, checks)?;
    let from = plan
        .from
        .as_ref()
        .map_or("nothing", |from| from.name.as_str());
    let steps: Vec<String> = policy
        .steps
        .iter()
        .map(|share| format!("{share} %"))
        .collect();
    output.line(&format!(
        "1. migrate the database to {to} (what runs can live with it)\n\
         2. start {to} as {colour}, wait until it is ready (at most {ready:?}), smoke test\n\
         3. shift the traffic from {from}: {steps}, each watched for {step:?}\n\
         4. watch it with all the traffic for {bake:?}\n\
         5. stop {other} after at most {drain:?}\n\
         Worse at any step: all the traffic returns to {other}, {colour} is stopped.",
        to = plan.to.name,
        colour = plan.colour,
        other = plan.colour.other(),
        ready = policy.ready,
        steps = steps.join(" → "),
        step = policy.step,
        bake = policy.bake,
        drain = policy.drain,
    ))
}

pub(super) fn ended(output: &Output, outcome: Outcome) -> Result<Exit, Failure> {
    let good = outcome.is_deployed();
    if output.json {
        output.document(&outcome)?;
    } else {
        let seconds = |ms: Option<u64>| {
            ms.map_or_else(
                || "–".to_owned(),
                |ms| format!("{:.1} s", ms as f64 / 1000.0),
            )
        };
        let word = output.verdict(good, if good { "deployed" } else { "taken back" });
        let total = seconds(Some(outcome.total_ms));
        let name = &outcome.journey.to.name;
        output.line(&match &outcome.journey.back {
            None => format!(
                "{word}: {name} in {total}, the switch took {}",
                seconds(outcome.switch_ms)
            ),
            Some(why) if outcome.journey.is_left() => {
                format!("{}: {name}: {why}", output.verdict(false, "left"))
            }
            Some(why) => format!(
                "{word}: {name} in {total}, the old release had all the traffic again after {}: {why}",
                seconds(outcome.back_ms)
            ),
        })?;
    }
    Ok(if good { Exit::Done } else { Exit::No })
}

/// Progress on standard error: a line for each step; on a terminal the figures of the share that is watched.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Output::is_live().then(ProgressBar::new_spinner))
    }
}

impl Observer for Progress {
    fn did(&self, entry: &Entry) {
        let text = format!(
            "{:<10} {} ({:.1} s)",
            entry.step,
            entry.said,
            entry.took_ms as f64 / 1000.0
        );
        match &self.0 {
            Some(bar) => bar.println(text),
            None => Output::new(false).note(&text),
        }
    }

    fn waits(&self, why: &str) {
        let text = format!("the way back is tried again: {why}");
        match &self.0 {
            Some(bar) => bar.println(text),
            None => Output::new(false).note(&text),
        }
    }

    fn watches(&self, share: u8, left: Duration, new: &Figures, old: &Figures) {
        let Some(bar) = &self.0 else { return };
        bar.set_message(format!(
            "{share} %, {} s left · new: {} requests, {} errors, p95 {} ms · old: {}, {}, {} ms",
            left.as_secs(),
            new.requests,
            new.errors,
            new.p95,
            old.requests,
            old.errors,
            old.p95
        ));
        bar.tick();
    }
}
