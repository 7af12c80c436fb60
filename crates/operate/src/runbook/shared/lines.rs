//! The lines of a run's journal as the one who leads it tells them: each once, in order, from one credential at a time.

use hub_base::OperationId;
use hub_events::{Act, Outcome};
use hub_store::Cx;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    ANOTHER_LINE, LONGEST, LONGEST_EVENT, LONGEST_NAME, MOST_AT_ONCE, MOST_LINES, Overview, Shared,
    act, actor, count, fault, fits, held, repo, standing,
};
use crate::error::Error;
use crate::runbook::{Event, Told};

/// Further lines of a run's journal; those that are known are passed over. How many are known now.
///
/// They come from whoever began the run. Somebody else who tells that they go on with it, or were handed it, takes it over, which is an
/// act of its own.
///
/// # Errors
/// [`Error::UnknownRun`]; [`Error::Untimely`] if lines before these are missing, a known one is another one, the run is over, or
/// somebody else tells of it; [`Error::Record`].
pub async fn tell(cx: &Cx, id: OperationId, told: Vec<Told>) -> Result<u32, Error> {
    if told.len() > MOST_AT_ONCE {
        return Err(fault("lines", format!("must be at most {MOST_AT_ONCE}")));
    }
    for one in &told {
        check(one)?;
    }
    let mut tx = cx.write().await?;
    let mut run = held(&mut tx, id).await?;
    let fresh = fresh(&mut run, told)?;
    if fresh.is_empty() {
        return Ok(count(run.lines.len()));
    }
    let me = actor(cx);
    if run.overview.teller != me {
        if !fresh.iter().any(|told| leads(told).is_some()) {
            return Err(Error::Untimely(format!(
                "somebody else tells of the run {id}: whoever resumes it takes it over"
            )));
        }
        tx.record(takeover(&run.overview, &me)).await?;
        run.overview.teller.clone_from(&me);
    }
    if run.lines.len() > MOST_LINES {
        return Err(Error::Untimely(format!(
            "the run {id} has {MOST_LINES} lines"
        )));
    }
    for one in &fresh {
        repo::insert_line(&mut tx, id, one, &me).await?;
    }
    let after = after(cx, &run);
    repo::update(&mut tx, &after).await?;
    tx.commit(progress(&after, &fresh)).await?;
    Ok(after.lines)
}

/// Those that are not known yet, which are the run's from now on.
fn fresh(run: &mut Shared, told: Vec<Told>) -> Result<Vec<Told>, Error> {
    let id = run.overview.id;
    let untimely = |what: String| Err(Error::Untimely(what));
    let mut fresh = Vec::new();
    for one in told {
        let next = run.lines.len();
        match run.lines.get(one.number as usize) {
            Some(known) if *known == one => {}
            Some(_) => {
                return untimely(format!(
                    "line {} of the run {id} {ANOTHER_LINE}",
                    one.number
                ));
            }
            None if one.number as usize > next => {
                return untimely(format!("line {next} of the run {id} was not told yet"));
            }
            None if run.lines.last().is_some_and(is_end) => {
                return untimely("the run is over".to_owned());
            }
            None => {
                fresh.push(one.clone());
                run.lines.push(one);
            }
        }
    }
    Ok(fresh)
}

const fn is_end(told: &Told) -> bool {
    matches!(told.line.what, Event::Closed { .. })
}

/// Who leads from this line on.
fn leads(told: &Told) -> Option<&str> {
    match &told.line.what {
        Event::Handed { to } => Some(to),
        Event::Resumed | Event::Begun { .. } => Some(&told.line.by),
        _ => None,
    }
}

fn takeover(run: &Overview, by: &str) -> Act {
    act("runbook.takeover", run)
        .with("unmapped.runbook.from", run.teller.as_str())
        .with("unmapped.runbook.to", by)
}

fn check(told: &Told) -> Result<(), Error> {
    fits("by", &told.line.by, LONGEST_NAME)?;
    let output = told.output.as_deref().unwrap_or_default();
    if output.chars().count() > LONGEST {
        return Err(fault(
            "output",
            format!("use at most {LONGEST} characters: its end"),
        ));
    }
    let event = serde_json::to_value(&told.line.what).unwrap_or_default();
    // No database keeps it, and it would be told for ever.
    if output.contains('\0') || has_nul(&event) {
        return Err(fault("lines", "must have no NUL"));
    }
    if event.to_string().len() > LONGEST_EVENT {
        return Err(fault(
            "event",
            format!("must be at most {LONGEST_EVENT} bytes"),
        ));
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(all) => all.iter().any(has_nul),
        Value::Object(all) => all.values().any(has_nul),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The run's line of the list as its journal has it now.
fn after(cx: &Cx, run: &Shared) -> Overview {
    let closed = run
        .lines
        .iter()
        .rev()
        .find_map(|told| match &told.line.what {
            Event::Closed { outcome, .. } => Some((outcome.clone(), told.line.at)),
            _ => None,
        });
    Overview {
        leader: { run.lines.iter().rev().find_map(leads) }
            .map_or_else(|| run.overview.leader.clone(), str::to_owned),
        told: cx.now(),
        lines: count(run.lines.len()),
        standing: standing(&run.book, &run.now().0),
        outcome: { closed.as_ref() }
            .map(|(outcome, _)| outcome.clone())
            .or_else(|| run.overview.outcome.clone()),
        ended: closed.map(|(_, at)| at).or(run.overview.ended),
        ..run.overview.clone()
    }
}

/// What was told, by its hash: in words the ledger gets it at the end, with the operation's record.
fn progress(run: &Overview, fresh: &[Told]) -> Act {
    let mut hash = Sha256::new();
    for told in fresh {
        hash.update(serde_json::to_vec(&told.line).unwrap_or_default());
        hash.update(b"\n");
    }
    let operation = if run.outcome.is_some() {
        "runbook.end"
    } else {
        "runbook.progress"
    };
    let is_good = run.outcome.as_ref().is_none_or(|outcome| outcome == "done");
    let act = act(operation, run)
        .with("unmapped.runbook.lines", run.lines)
        .with("unmapped.runbook.sha256", hex::encode(hash.finalize()))
        .with("unmapped.runbook.standing", run.standing.as_str());
    act.outcome(if is_good {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}
