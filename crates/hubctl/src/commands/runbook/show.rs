//! Runbooks and runs as tables, words and documents.

use std::path::Path;

use hub_base::{HumanDuration, OperationId};
use hub_operate::runbook::{self, Found, How, Report, What};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) fn list(found: &[Found], output: &Output) -> Result<Exit, Failure> {
    if output.json {
        let items = found.iter().map(|(name, book)| match book {
            Ok(book) => {
                let front = &book.front;
                let blocks = book.sections.iter().flat_map(|section| &section.items);
                let blocks = blocks.filter(|item| matches!(item.what, What::Command { .. })).count();
                json!({"name": name, "title": book.title, "purpose": front.purpose, "severity": front.severity,
                    "roles": front.roles, "time_limit": front.time_limit, "ask": front.ask, "objective": front.objective,
                    "blocks": blocks})
            }
            Err(faults) => json!({"name": name, "faults": faults.len()}),
        });
        output.document(&json!({"items": items.collect::<Vec<_>>()}))?;
        return Ok(Exit::Done);
    }
    let rows = found.iter().map(|(name, book)| {
        if let Ok(book) = book {
            vec![
                name.clone(),
                book.front.severity.to_string(),
                book.front.time_limit.to_string(),
                book.front.purpose.clone(),
            ]
        } else {
            let word = output.verdict(false, "cannot be read: `hubctl runbook check`");
            vec![name.clone(), String::new(), String::new(), word]
        }
    });
    output.table(&["Runbook", "Severity", "Within", "For"], rows.collect())?;
    Ok(Exit::Done)
}

pub(super) fn report(
    state: &Path,
    id: Option<OperationId>,
    output: &Output,
) -> Result<Exit, Failure> {
    if let Some(id) = id {
        return whole(&runbook::report(state, id)?, output);
    }
    let runs = runbook::runs(state)?;
    if output.json {
        output.document(&json!({ "items": runs }))?;
        return Ok(Exit::Done);
    }
    let rows = runs.iter().map(|run| {
        let good = run.standing == "done";
        let standing = if run.is_over {
            output.verdict(good, &run.standing)
        } else {
            run.standing.clone()
        };
        vec![
            run.runbook.clone(),
            run.began.to_string(),
            run.by.clone(),
            standing,
            run.id.to_string(),
        ]
    });
    output.table(
        &["Runbook", "Began", "With", "Stands", "Id"],
        rows.collect(),
    )?;
    Ok(Exit::Done)
}

fn whole(report: &Report, output: &Output) -> Result<Exit, Failure> {
    let intact = report.steps.iter().all(|step| step.intact != Some(false));
    if output.json {
        output.document(report)?;
    } else {
        words(report, output)?;
    }
    Ok(if intact { Exit::Done } else { Exit::No })
}

fn words(report: &Report, output: &Output) -> Result<(), Failure> {
    let summary = &report.summary;
    output.line(&format!(
        "{}: {}{} ({})",
        summary.runbook,
        summary.standing,
        otherwise(report),
        summary.id
    ))?;
    let (took, limit) = (lasting(report.took_ms), lasting(report.limit_ms));
    let late = if report.took_ms > report.limit_ms {
        ", too long"
    } else {
        ""
    };
    output.line(&format!(
        "Began {}, {took} of {limit}{late}; the runbook was {}",
        summary.began, report.sha256
    ))?;
    if let Some(why) = &report.why {
        output.line(&format!("Why: {why}"))?;
    }
    let rows = report.steps.iter().map(|step| {
        let kept = match step.intact {
            Some(true) => step.ended.sha256.clone().unwrap_or_default(),
            Some(false) => output.verdict(false, "CHANGED since"),
            None => String::new(),
        };
        vec![
            step.at.to_string(),
            step.step.clone(),
            step.title.clone(),
            step.by.clone(),
            step.ended.words(),
            lasting(step.ended.took_ms).to_string(),
            kept,
        ]
    });
    output.table(
        &[
            "When",
            "Step",
            "",
            "Who",
            "How it ended",
            "Took",
            "SHA-256 of the output",
        ],
        rows.collect(),
    )?;
    for note in &report.notes {
        output.line(&format!("{} {}: {}", note.at, note.by, note.text))?;
    }
    Ok(())
}

/// How many steps nobody took, or took as the runbook does not say: `done` alone would hide them.
fn otherwise(report: &Report) -> String {
    let count = |how: How| {
        let steps = report.steps.iter();
        steps.filter(|step| step.ended.how == how).count()
    };
    match (count(How::Skipped), count(How::ByHand)) {
        (0, 0) => String::new(),
        (skipped, 0) => format!(", {skipped} left out"),
        (0, by_hand) => format!(", {by_hand} by hand"),
        (skipped, by_hand) => format!(", {skipped} left out, {by_hand} by hand"),
    }
}

pub(super) fn lasting(milliseconds: u64) -> HumanDuration {
    let exact = std::time::Duration::from_millis(milliseconds);
    // Milliseconds matter below ten seconds only.
    HumanDuration(match exact.as_secs() {
        0..10 => exact,
        seconds => std::time::Duration::from_secs(seconds),
    })
}
