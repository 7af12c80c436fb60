//! Metrics as OpenMetrics text: one registry per process, and the bucket bounds that all histograms share.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of what [`print`] gives.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds for durations from a fraction of a millisecond to half a minute.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// An empty registry whose metrics' names begin with `prefix_`.
pub fn registry(prefix: &str) -> Registry {
    Registry::with_prefix(prefix)
}

/// A histogram of durations in seconds.
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// Everything in the registry, as OpenMetrics text with its closing `# EOF`.
pub fn print(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail; an encoder that refuses a metric leaves the text short, which scrapers notice.
    let _short = encode(&mut text, registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn a_counter_prints_as_openmetrics() {
        let mut registry = registry("hub");
        let served = Counter::<u64>::default();
        registry.register("served", "Requests served", served.clone());
        served.inc();
        let text = print(&registry);
        assert!(
            text.contains("hub_served_total 1") && text.ends_with("# EOF\n"),
            "{text}"
        );
    }
}
