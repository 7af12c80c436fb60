//! What came of a run, as a table and the lines under it.

use hub_emulate::Report;
use hub_emulate::report::seconds;

use crate::exit::Failure;
use crate::output::Output;

/// The table and the lines under it.
pub(super) fn print(
    output: &Output,
    report: &Report,
    file: Option<&std::path::Path>,
) -> Result<(), Failure> {
    if output.json {
        return output.document(report);
    }
    let yes = |good: bool| output.verdict(good, if good { "yes" } else { "NO" });
    let rows = report.verdicts.iter().map(|verdict| {
        vec![
            verdict.techniques.join(", "),
            verdict.title.clone(),
            yes(verdict.detected),
            seconds(verdict.detect_ms),
            yes(verdict.contained),
            seconds(verdict.contain_ms),
            verdict.requests.to_string(),
            verdict.succeeded.to_string(),
            verdict.succeeded_after.to_string(),
            output.verdict(verdict.footholds == 0, &verdict.footholds.to_string()),
            verdict.incidents.len().to_string(),
        ]
    });
    output.table(
        &[
            "Technique",
            "Attack",
            "Detected",
            "after",
            "Contained",
            "after",
            "Hostile requests",
            "succeeded",
            "after containment",
            "ways in left",
            "Incidents",
        ],
        rows.collect(),
    )?;
    let none = |list: &[String]| {
        if list.is_empty() {
            output.verdict(true, "none")
        } else {
            output.verdict(false, &list.join(", "))
        }
    };
    output.line(&format!(
        "{} requests by {} people, {} programs and the attackers ({} hostile)",
        report.requests, report.people, report.programs, report.hostile_requests
    ))?;
    output.line(&format!(
        "False positives on benign users: {}",
        none(&report.false_positives)
    ))?;
    output.line(&format!(
        "Incidents that fit no attack: {}",
        none(&report.unexplained)
    ))?;
    let prompt = &report.promptness;
    output.line(&format!(
        "From the event that completed a pattern, p95: to the finding {}, to containment {}",
        seconds(prompt.finding_p95_ms),
        seconds(prompt.containment_p95_ms)
    ))?;
    match &report.release {
        Some(release) => output.line(&format!(
            "Released {} on {} (incident {}): a request from there answered {} before and {} after: {}",
            release.action,
            release.target,
            release.incident,
            release.status_before,
            release.status_after,
            output.verdict(release.worked(), if release.worked() { "reversible" } else { "NOT reversed" })
        ))?,
        None => output.line(&output.verdict(false, "No containment could be released"))?,
    }
    if let Some(file) = file {
        output.line(&format!("Report: {}", file.display()))?;
    }
    Ok(())
}
