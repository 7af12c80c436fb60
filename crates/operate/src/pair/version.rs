//! Versions of Patroni that lose what was acknowledged.

use serde_json::Value;

/// The first in which a former leader does not take the lock back from who took over (patroni/patroni#2689).
const MENDED: [u32; 3] = [3, 0, 3];

/// What `infrastructure/patroni/start.py` mends, and tells by a fourth number.
const KNOWN: [u32; 3] = [3, 0, 2];

/// The fault of the node at this address, by what it tells under `/patroni`.
pub(super) fn fault(url: &str, told: &str) -> Option<String> {
    let told: Value = serde_json::from_str(told).ok()?;
    let version = told.pointer("/patroni/version")?.as_str()?;
    let numbers: Vec<u32> = version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    let by_start = numbers.len() > KNOWN.len() && numbers.starts_with(&KNOWN);
    let is_mended = by_start || numbers.as_slice() >= MENDED.as_slice();
    (!is_mended).then(|| {
        format!(
            "{url} runs Patroni {version}: cut off for long, it takes the lead back from who took over, and what was \
             acknowledged there is lost; take 3.0.3 or later (or start 3.0.2 with `start.py`)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_takes_the_lead_back_is_named() {
        let told = |version: &str| {
            let text = format!(r#"{{"state": "running", "patroni": {{"version": "{version}"}}}}"#);
            fault("https://a", &text)
        };
        let old = told("3.0.2").unwrap();
        assert!(old.starts_with("https://a runs Patroni 3.0.2:"), "{old}");
        assert!(told("2.1.7").is_some());
        assert!(told("2.1.7.1").is_some());
        for safe in ["3.0.2.1", "3.0.3", "3.1.0", "4.0.4", "10.0.0"] {
            assert_eq!(told(safe), None, "{safe}");
        }
        assert_eq!(fault("https://a", "no JSON"), None);
    }
}
