//! What a run came to, as data and as a page that needs nothing but itself.

use askama::Template;
use hub_base::Timestamp;
use serde::Serialize;

use crate::error::Error;
use crate::judge::Verdict;

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub scenario: String,
    pub description: String,
    pub seed: u64,
    pub hub: String,
    pub tenant: String,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub people: usize,
    pub programs: usize,
    pub requests: u64,
    pub hostile_requests: u64,
    pub verdicts: Vec<Verdict>,
    /// Benign people and programs who could no longer work at the end.
    pub false_positives: Vec<String>,
    /// Incidents that fit no attack.
    pub unexplained: Vec<String>,
    pub release: Option<Release>,
}

/// One containment taken back, with the requests that show it.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    pub incident: i64,
    pub action: String,
    pub target: String,
    pub status_before: u16,
    pub status_after: u16,
}

impl Release {
    pub const fn worked(&self) -> bool {
        self.status_before == 403 && self.status_after != 403
    }
}

impl Report {
    /// Everything caught, contained, once each, nobody else touched, and a release that worked.
    pub fn is_good(&self) -> bool {
        self.verdicts.iter().all(Verdict::is_good)
            && self.false_positives.is_empty()
            && self.unexplained.is_empty()
            && self.release.as_ref().is_some_and(Release::worked)
    }

    /// The HTML page.
    ///
    /// # Errors
    /// [`Error::Report`].
    pub fn html(&self) -> Result<String, Error> {
        let longest = self
            .verdicts
            .iter()
            .filter_map(|v| v.contain_ms)
            .max()
            .unwrap_or(1)
            .max(1);
        let rows = self
            .verdicts
            .iter()
            .map(|verdict| Row { verdict, longest })
            .collect();
        Page { report: self, rows }.render().map_err(Error::Report)
    }

    /// The p95 of a list of milliseconds (the nearest rank), if there are any.
    pub fn p95(mut values: Vec<u64>) -> Option<u64> {
        values.sort_unstable();
        let rank = (values.len() * 95).div_ceil(100);
        values.get(rank.checked_sub(1)?).copied()
    }
}

#[derive(Debug, Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    rows: Vec<Row<'a>>,
}

#[derive(Debug)]
struct Row<'a> {
    verdict: &'a Verdict,
    longest: u64,
}

impl Row<'_> {
    /// Width of a bar in the picture, 0 to 300.
    fn bar(&self, ms: &Option<u64>) -> u64 {
        ms.map_or(0, |ms| (ms * 300 / self.longest).clamp(2, 300))
    }

    fn shown(&self, ms: &Option<u64>) -> String {
        seconds(*ms)
    }
}

/// Milliseconds as seconds with two digits, `–` for none.
pub fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(
        || "–".to_owned(),
        |ms| format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
    )
}
