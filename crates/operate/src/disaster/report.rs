//! What a run found: for machines, and as a page for people.

use std::fmt::Write as _;
use std::time::Duration;

use hub_base::{HumanDuration, OperationId, Timestamp};
use serde::Serialize;

use super::scenario::{Objective, Scenario};

/// A step that was taken, or a claim that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    pub what: String,
    pub said: String,
    pub took_ms: u64,
}

/// How it was noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Noticed {
    pub by: String,
    pub said: String,
    /// After the damage.
    pub after: HumanDuration,
}

/// What became of the writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Writes {
    /// Before the damage.
    pub acknowledged: usize,
    /// Of these, not there afterwards.
    pub lost: usize,
    /// Acknowledged after the damage and before the way back, and not there afterwards.
    pub left_behind: usize,
    /// Requests that were not acknowledged.
    pub refused: usize,
}

/// One run of a scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub scenario: String,
    pub title: String,
    pub story: String,
    pub operation: OperationId,
    pub began: Timestamp,
    pub objective: Objective,
    pub injected: Vec<String>,
    pub noticed: Option<Noticed>,
    pub recovered: Vec<Taken>,
    pub proven: Vec<Taken>,
    /// From the damage until everything was proven.
    pub rto: Option<HumanDuration>,
    /// The time's worth of acknowledged writes that is not there afterwards, before the damage and after it.
    pub rpo: Option<HumanDuration>,
    pub writes: Writes,
    /// Why the objective is missed; nothing if it is met.
    pub why: Option<String>,
}

impl Report {
    pub(super) fn new(scenario: &Scenario, operation: OperationId, began: Timestamp) -> Self {
        Self {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            story: scenario.story.trim().to_owned(),
            operation,
            began,
            objective: scenario.objective,
            injected: Vec::new(),
            noticed: None,
            recovered: Vec::new(),
            proven: Vec::new(),
            rto: None,
            rpo: None,
            writes: Writes::default(),
            why: None,
        }
    }

    pub const fn is_met(&self) -> bool {
        self.why.is_none()
    }

    /// What is missed of the objective, in words.
    pub(super) fn missed(&self) -> Option<String> {
        let mut missed = Vec::new();
        for (what, measured, wanted) in [
            ("RTO", self.rto, self.objective.rto),
            ("RPO", self.rpo, self.objective.rpo),
        ] {
            match measured {
                Some(measured) if measured.0 <= wanted.0 => {}
                Some(measured) => missed.push(format!("{what} {measured}, objective {wanted}")),
                None => missed.push(format!("{what} was not measured")),
            }
        }
        (!missed.is_empty()).then(|| format!("the objective is missed: {}", missed.join("; ")))
    }

    /// For people, in Markdown.
    pub fn page(&self) -> String {
        let mut page = format!("## {}: {}\n\n{}\n\n", self.scenario, self.title, self.story);
        let verdict = match &self.why {
            None => "**Met.**".to_owned(),
            Some(why) => format!("**Missed**: {why}"),
        };
        let _infallible = writeln!(
            page,
            "{verdict} Began {}, operation {}.\n\n\
             | | measured | objective |\n|---|---|---|\n| RTO | {} | {} |\n| RPO | {} | {} |\n",
            self.began,
            self.operation,
            shown(self.rto),
            self.objective.rto,
            shown(self.rpo),
            self.objective.rpo,
        );
        for said in &self.injected {
            let _infallible = writeln!(page, "- Damage: {said}");
        }
        if let Some(noticed) = &self.noticed {
            let _infallible = writeln!(
                page,
                "- Noticed by {} after {}: {}",
                noticed.by, noticed.after, noticed.said
            );
        }
        for (word, taken) in [("Way back", &self.recovered), ("Proof", &self.proven)] {
            for one in taken {
                let seconds = one.took_ms as f64 / 1000.0;
                let _infallible = writeln!(
                    page,
                    "- {word}, {}: {} ({seconds:.1} s)",
                    one.what, one.said
                );
            }
        }
        let writes = self.writes;
        let _infallible = writeln!(
            page,
            "- Writes: {} acknowledged before the damage, {} of them lost; {} acknowledged after it and left behind; {} refused",
            writes.acknowledged, writes.lost, writes.left_behind, writes.refused
        );
        page
    }
}

fn shown(measured: Option<HumanDuration>) -> String {
    measured.map_or_else(|| "not measured".to_owned(), |measured| seconds(measured.0))
}

/// `12.3 s`.
pub fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}
