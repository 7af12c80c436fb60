//! What pods say of themselves: `/metrics` of each (OpenMetrics text), added up per colour.
//!
//! Counters of a pod begin at 0 again when its container does; what a colour answered never goes down.

use std::collections::BTreeMap;

/// What one page says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Page {
    /// Whether it counts requests at all: one that does not is not one without requests. Each pod's own health is asked all the
    /// time, and counted.
    pub(super) tells: bool,
    pub(super) requests: u64,
    /// Answers of 500 and above.
    pub(super) errors: u64,
    /// Upper bound in milliseconds → answers within it, cumulative.
    pub(super) within: BTreeMap<u32, u64>,
    /// Requests in progress; nothing if the release does not tell.
    pub(super) in_progress: Option<u64>,
}

/// Answers that took longer than the last bucket are counted as this long.
const LONGEST: u32 = 60_000;
/// Answers of one page whose times are told: a figure that overflowed is not that many.
const MOST: usize = 200_000;

impl Page {
    /// Reads what is needed and passes over the rest.
    pub(super) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            let Some((head, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let (name, labels) = head.split_once('{').unwrap_or((head, ""));
            let Some(count) = whole(value) else { continue };
            page.tells |= name == "hub_requests_total";
            // Health checks are the cluster's own and not people's.
            if label(labels, "route").is_some_and(|route| route.starts_with("/health")) {
                continue;
            }
            match name {
                "hub_requests_total" => {
                    page.requests = page.requests.saturating_add(count);
                    if label(labels, "status").is_some_and(|status| status >= "500") {
                        page.errors = page.errors.saturating_add(count);
                    }
                }
                "hub_request_seconds_bucket" => {
                    if let Some(bound) = label(labels, "le").and_then(millis) {
                        let within = page.within.entry(bound).or_default();
                        *within = within.saturating_add(count);
                    }
                }
                "hub_requests_in_progress" => page.in_progress = Some(count),
                _ => {}
            }
        }
        page
    }

    /// What came since `before`; everything, if the counters have begun again.
    pub(super) fn since(&self, before: &Self) -> Self {
        let began_again = self.requests < before.requests;
        if began_again {
            return self.clone();
        }
        let within = self.within.iter().map(|(bound, count)| {
            let earlier = before.within.get(bound).copied().unwrap_or(0);
            (*bound, count.saturating_sub(earlier))
        });
        Self {
            tells: self.tells,
            requests: self.requests - before.requests,
            errors: self.errors.saturating_sub(before.errors),
            within: within.collect(),
            in_progress: self.in_progress,
        }
    }

    /// One figure for each answer: the upper bound of its bucket. As exact as the buckets are.
    pub(super) fn latencies(&self) -> Vec<u32> {
        let mut all = Vec::new();
        let mut below = 0;
        for (bound, count) in &self.within {
            let new = usize::try_from(count.saturating_sub(below)).unwrap_or(MOST);
            let room = MOST.saturating_sub(all.len());
            all.extend(std::iter::repeat_n(*bound, new.min(room)));
            below = below.max(*count);
        }
        all
    }
}

fn whole(value: &str) -> Option<u64> {
    // Some writers print counters as floating-point numbers.
    value.split('.').next()?.parse().ok()
}

fn millis(bound: &str) -> Option<u32> {
    if bound == "+Inf" {
        return Some(LONGEST);
    }
    let seconds: f64 = bound.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range"
    )]
    let millis = (seconds * 1000.0).ceil().clamp(1.0, f64::from(LONGEST)) as u32;
    Some(millis)
}

/// The value of a label in `a="x",b="y"}`. Our own label values have no quotes in them.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.trim_end_matches('}').split("\",").find_map(|pair| {
        let (key, value) = pair.split_once("=\"")?;
        (key == name).then(|| value.trim_end_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# TYPE hub_requests counter\n\
        hub_requests_total{method=\"GET\",route=\"/api/v2/me\",status=\"200\"} 90\n\
        hub_requests_total{method=\"GET\",route=\"/api/v2/me\",status=\"503\"} 10\n\
        hub_requests_total{method=\"GET\",route=\"/health/ready\",status=\"503\"} 1000\n\
        hub_request_seconds_bucket{le=\"0.005\",route=\"/api/v2/me\"} 60\n\
        hub_request_seconds_bucket{le=\"0.01\",route=\"/api/v2/me\"} 95\n\
        hub_request_seconds_bucket{le=\"+Inf\",route=\"/api/v2/me\"} 100\n\
        hub_connections_open 5\nhub_requests_in_progress 7\n# EOF\n";

    #[test]
    fn health_checks_are_nobodys_requests() {
        let page = Page::parse(TEXT);
        assert_eq!((page.requests, page.errors), (100, 10));
        assert_eq!(page.in_progress, Some(7));
        // The release before does not tell, which is not the same as none.
        let silent = TEXT.replace("hub_requests_in_progress 7\n", "");
        assert_eq!(Page::parse(&silent).in_progress, None);
        assert!(page.tells && !Page::parse("hub_connections_open 5\n").tells);
        let latencies = page.latencies();
        assert_eq!(latencies.len(), 100);
        assert_eq!(latencies.iter().filter(|ms| **ms == 5).count(), 60);
        assert_eq!(latencies.iter().filter(|ms| **ms == 10).count(), 35);
        assert_eq!(latencies.iter().filter(|ms| **ms == LONGEST).count(), 5);
    }

    #[test]
    fn a_restarted_container_counts_from_nothing() {
        let before = Page::parse(TEXT);
        let text = TEXT.replace("} 90", "} 95").replace(
            "0.005\",route=\"/api/v2/me\"} 60",
            "0.005\",route=\"/api/v2/me\"} 65",
        );
        let since = Page::parse(&text).since(&before);
        assert_eq!((since.requests, since.errors), (5, 0));
        let fresh = Page::parse(&TEXT.replace("} 90", "} 1").replace("} 10\n", "} 1\n"));
        assert_eq!(fresh.since(&before).requests, 2);
    }

    #[test]
    fn a_figure_that_overflowed_breaks_nothing() {
        let most = u64::MAX;
        let page = Page::parse(&format!(
            "hub_requests_total{{route=\"/a\",status=\"200\"}} {most}\n\
             hub_requests_total{{route=\"/b\",status=\"500\"}} {most}\n\
             hub_request_seconds_bucket{{le=\"0.1\",route=\"/a\"}} {most}\n\
             hub_request_seconds_bucket{{le=\"0.1\",route=\"/b\"}} {most}\n\
             hub_requests_in_progress {most}\n"
        ));
        assert_eq!((page.requests, page.errors), (most, most));
        assert_eq!(page.latencies().len(), MOST);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(?s).{0,400}") {
            let page = Page::parse(&text);
            prop_assert!(page.errors <= page.requests);
        }
    }
}
