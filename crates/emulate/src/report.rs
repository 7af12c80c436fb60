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
    pub promptness: Promptness,
}

/// How prompt the hub was by its own account: from the event that completed a pattern.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Promptness {
    pub findings: usize,
    pub finding_p95_ms: Option<u64>,
    pub containments: usize,
    pub containment_p95_ms: Option<u64>,
}

impl Promptness {
    pub fn of(to_finding: Vec<u64>, to_containment: Vec<u64>) -> Self {
        Self {
            findings: to_finding.len(),
            containments: to_containment.len(),
            finding_p95_ms: p95(to_finding),
            containment_p95_ms: p95(to_containment),
        }
    }
}

/// The 95th percentile (the nearest rank), if there are any values.
fn p95(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
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
        let span = Span::of(&self.verdicts);
        let rows = self.verdicts.iter().enumerate();
        let rows = rows
            .map(|(n, verdict)| Row::new(n, verdict, span))
            .collect();
        let page = Page {
            report: self,
            rows,
            seconds: span.ms.div_ceil(1000),
        };
        page.render().map_err(Error::Report)
    }
}

#[derive(Debug, Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    rows: Vec<Row<'a>>,
    /// How long the picture is.
    seconds: u64,
}

/// From the first hostile request of all to the last.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Option<Timestamp>,
    ms: u64,
}

impl Span {
    fn of(verdicts: &[Verdict]) -> Self {
        let from = verdicts.iter().filter_map(|v| v.began_at).min();
        let to = verdicts.iter().filter_map(|v| v.ended_at).max();
        Self {
            from,
            ms: between(from, to).unwrap_or(1).max(1),
        }
    }

    /// Where a time lies in the picture.
    fn x(self, at: Option<Timestamp>) -> u64 {
        LEFT + between(self.from, at).unwrap_or(0).min(self.ms) * WIDTH / self.ms
    }
}

fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<u64> {
    u64::try_from(to?.since(from?).as_millis()).ok()
}

/// The picture's room for names, and for time.
const LEFT: u64 = 150;
const WIDTH: u64 = 640;

/// One attack with its places in the picture.
#[derive(Debug)]
struct Row<'a> {
    verdict: &'a Verdict,
    y: usize,
    from: u64,
    /// Before containment, and after it.
    free: u64,
    shut: u64,
    detected: u64,
    contained: u64,
}

impl<'a> Row<'a> {
    fn new(n: usize, verdict: &'a Verdict, span: Span) -> Self {
        let after = |ms: Option<u64>| {
            let at = verdict
                .began_at?
                .plus(std::time::Duration::from_millis(ms?));
            Some(span.x(Some(at)))
        };
        let (from, to) = (span.x(verdict.began_at), span.x(verdict.ended_at));
        let contained = after(verdict.contain_ms).unwrap_or(to);
        Self {
            verdict,
            y: n * 30,
            from,
            free: contained.saturating_sub(from).max(2),
            shut: to.saturating_sub(contained),
            detected: after(verdict.detect_ms).unwrap_or(0),
            contained,
        }
    }

    fn detect(&self) -> String {
        seconds(self.verdict.detect_ms)
    }

    fn contain(&self) -> String {
        seconds(self.verdict.contain_ms)
    }
}

/// Milliseconds as seconds with two digits, `–` for none.
pub fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(
        || "–".to_owned(),
        |ms| format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(id: &str, footholds: usize) -> Verdict {
        let at = |text: &str| text.parse().ok();
        Verdict {
            id: id.into(),
            title: "Spraying <b>".into(),
            techniques: vec!["T1110.003".into()],
            detected: true,
            detect_ms: Some(1500),
            contained: true,
            contain_ms: Some(1700),
            began_at: at("2026-11-23T10:00:00Z"),
            ended_at: at("2026-11-23T10:00:20Z"),
            requests: 120,
            succeeded: 0,
            succeeded_after: 0,
            footholds,
            incidents: vec![1],
            named: vec![],
        }
    }

    fn report(verdicts: Vec<Verdict>) -> Report {
        let at: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        Report {
            scenario: "Market day".into(),
            description: "A day".into(),
            seed: 1,
            hub: "http://127.0.0.1:8005".into(),
            tenant: "brightwater".into(),
            started_at: at,
            finished_at: at,
            people: 320,
            programs: 8,
            requests: 10,
            hostile_requests: 5,
            verdicts,
            false_positives: vec![],
            unexplained: vec![],
            release: Some(Release {
                incident: 1,
                action: "block_address".into(),
                target: "127.90.0.1".into(),
                status_before: 403,
                status_after: 401,
            }),
            promptness: Promptness::of(vec![3, 1, 2], vec![]),
        }
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = report(vec![verdict("spray", 0)]).html().unwrap();
        for foreign in ["<script", "src=", "href=", "url(", "@import", " onclick"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(!page.contains("Spraying <b>"), "text is escaped");
        assert!(page.contains("1.50 s") && page.contains("1.70 s") && page.contains("<svg"));
    }

    #[test]
    fn anything_short_of_all_is_not_good() {
        let good = report(vec![verdict("spray", 0)]);
        assert!(good.is_good());
        let spoilt: [fn(&mut Report); 7] = [
            |report| report.verdicts[0].detected = false,
            |report| report.verdicts[0].contained = false,
            |report| report.verdicts[0].footholds = 1,
            |report| report.verdicts[0].incidents.push(2),
            |report| report.false_positives.push("ada".into()),
            |report| report.unexplained.push("9: strange".into()),
            |report| report.release = None,
        ];
        for (n, spoil) in spoilt.into_iter().enumerate() {
            let mut report = good.clone();
            spoil(&mut report);
            assert!(!report.is_good(), "case {n}");
        }
    }

    #[test]
    fn the_95th_percentile_is_the_nearest_rank() {
        assert_eq!(p95(vec![]), None);
        assert_eq!(p95(vec![7]), Some(7));
        assert_eq!(p95((1..=100).rev().collect()), Some(95));
    }
}
