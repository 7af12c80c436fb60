//! Real foreign logs: what was read in them by hand, and what the rules say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use hub_base::{ManualClock, Timestamp};
use hub_events::normalise::{Format, Options, normalise};

use crate::detector::TenantDetector;
use crate::finding::Finding;
use crate::rules::{RuleSet, RuleSource};
use crate::testing::shared;

/// The fifteen loudest addresses of the log, read by hand: `true` guesses, `false` is the administrator.
///
/// 24.151.103.17 tries `elastic_user_0` to `_9` with wrong passwords 147 times in ten minutes and then gets in: a
/// campaign that succeeded. 85.245.107.41 is the administrator: 15 slips over two days beside 174 good sign-ins.
const TRUTH: [(&str, bool); 15] = [
    ("24.151.103.17", true),
    ("49.4.143.105", true),
    ("34.204.227.175", true),
    ("201.178.81.113", true),
    ("181.26.186.35", true),
    ("122.163.61.218", true),
    ("85.245.107.41", false),
    ("221.194.44.190", true),
    ("181.25.206.27", true),
    ("181.25.201.155", true),
    ("14.54.210.101", true),
    ("77.231.252.103", true),
    ("222.186.56.220", true),
    ("218.60.136.106", true),
    ("106.57.58.19", true),
];

fn detector(sources: &[RuleSource]) -> TenantDetector {
    let (rules, _) = RuleSet::load(sources);
    let now = Timestamp::from_unix_seconds(1_700_000_000);
    TenantDetector::new(Arc::new(rules), Arc::new(ManualClock::at(now)))
}

fn run(detector: &mut TenantDetector, format: Format, bytes: &[u8]) -> (usize, Vec<Finding>) {
    let mut options = Options::at(Timestamp::from_unix_seconds(1_700_000_000));
    options.year = Some(2017);
    let normalised = normalise(format, bytes, &options);
    let events = normalised.events.len();
    let mut findings = Vec::new();
    for (n, mut event) in normalised.events.into_iter().enumerate() {
        findings.extend(detector.observe(&mut event, &format!("e{n}")));
    }
    (events, findings)
}

#[test]
fn guessing_campaigns_of_a_real_server_are_found_and_its_administrator_is_not() {
    let test = "guessing_campaigns_of_a_real_server_are_found_and_its_administrator_is_not";
    let Some(file) = shared(test, "sshd/auth.log") else {
        return;
    };
    let bytes = std::fs::read(file).unwrap();
    let (_, findings) = run(&mut detector(&[RuleSource::Embedded]), Format::Sshd, &bytes);
    let mut streams: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings.iter().filter(|f| f.rule == "hub-sshd-guessing") {
        let is_first = usize::from(finding.dedup_key.ends_with("/0"));
        *streams.entry(finding.primary.value.as_str()).or_default() += is_first;
    }
    println!(
        "{} addresses found, {} findings",
        streams.len(),
        findings.len()
    );
    let mut wrong = BTreeSet::new();
    for (address, guesses) in TRUTH {
        let found = streams.contains_key(address);
        println!(
            "{} {address}: truth {guesses}, found {found}",
            if found == guesses { "hit " } else { "MISS" }
        );
        if found != guesses {
            wrong.insert(address);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    // One stream per campaign: an address that comes back after more than a day begins another.
    assert!(
        streams.values().all(|count| (1..=3).contains(count)),
        "{streams:?}"
    );
}

#[test]
fn published_rules_run_over_a_real_cloud_account() {
    let test = "published_rules_run_over_a_real_cloud_account";
    let (Some(logs), Some(rules)) = (shared(test, "cloudtrail"), shared(test, "sigma/rules"))
    else {
        return;
    };
    let mut detector = detector(&[RuleSource::Folder(rules)]);
    let (mut folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) = (vec![logs], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.retain(|file| file.extension().is_some_and(|ext| ext == "json"));
    files.sort();
    let (mut events, mut fired) = (0, BTreeMap::<String, usize>::new());
    for file in &files {
        let (read, findings) = run(
            &mut detector,
            Format::CloudTrail,
            &std::fs::read(file).unwrap(),
        );
        events += read;
        for finding in findings {
            assert!(
                finding.authors.is_some(),
                "the rule's licence asks for its authors: {}",
                finding.rule
            );
            *fired.entry(finding.title).or_default() += 1;
        }
    }
    println!("{events} events of {} files", files.len());
    for (title, count) in &fired {
        println!("{count:5}  {title}");
    }
    assert!(events > 2000, "{events}");
    assert!(fired.len() >= 5, "{fired:?}");
}
