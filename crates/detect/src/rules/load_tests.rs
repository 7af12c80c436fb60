use super::*;
use crate::rules::RuleSource;
use hub_events::LogSource;

const RULE: &str =
    "title: T\nid: a\nlogsource: {product: p}\ndetection:\n  s: {x: 1}\n  condition: s\n";

fn text(name: &str, text: &str) -> RuleSource {
    RuleSource::Text {
        name: name.into(),
        text: text.into(),
    }
}

/// The faults of one file, as they are printed.
#[track_caller]
fn check(file: &str, expected: &[&str]) {
    let (_, faults) = RuleSet::load(&[text("f.yml", file)]);
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.contains(expected), "{fault} does not say {expected}");
    }
}

#[test]
fn what_cannot_be_used_is_listed_with_its_place() {
    check(RULE, &[]);
    check(
        &format!("{RULE}---\n{RULE}"),
        &["f.yml:8: the id `a` is taken by f.yml:1"],
    );
    check(
        "title: T\nid: a\nlogsource: {}\ndetection:\n  s: {x: 1}\n  condition: s\n",
        &["names no product"],
    );
    check("", &["not a YAML mapping"]);
    check("just words", &["f.yml:1"]);
    check(&format!("{RULE}---\ntitle: [unclosed\n"), &["f.yml:"]);
    check(
        "title: T\nlogsource: {product: p}\ndetection:\n  s: {x|nope: 1}\n  condition: s\n",
        &["nope"],
    );
    check(
        &format!("{RULE}hub: {{primry: user}}\n"),
        &["`hub`: unknown field `primry`"],
    );
    check(
        &format!("{RULE}hub: {{while: other}}\n"),
        &["`hub.while` names `other`"],
    );
}

#[test]
fn a_correlation_without_its_rule_is_a_fault() {
    let correlation = "title: C\nid: c\ncorrelation:\n  type: event_count\n  rules: [missing]\n  timespan: 5m\n  condition: {gte: 3}\n";
    check(
        correlation,
        &["f.yml:1: `c`: the rule `missing` is not loaded"],
    );
    let twice = correlation.replace("missing", "a");
    let above = twice.replace("id: c", "id: d").replace("[a]", "[c]");
    check(
        &format!("{RULE}---\n{twice}---\n{above}"),
        &["is a correlation itself"],
    );
    check(
        &format!(
            "{RULE}---\n{}",
            twice.replace("  timespan", "  window: session\n  gap: 1m\n  timespan")
        ),
        &["sliding"],
    );
}

#[test]
fn rules_are_tried_only_on_their_log_source() {
    let files = [
        ("p", "{product: windows}"),
        ("s", "{product: windows, service: sysmon}"),
        ("c", "{category: webserver}"),
        ("l", "{product: linux, category: process_creation}"),
    ];
    let sources: Vec<RuleSource> = files
        .iter()
        .map(|(id, source)| {
            text(
                id,
                &RULE
                    .replace("id: a", &format!("id: {id}"))
                    .replace("{product: p}", source),
            )
        })
        .collect();
    let (rules, faults) = RuleSet::load(&sources);
    assert_eq!(faults, []);
    let count = |product: &str, service: &str, category: Option<&str>| {
        let mut source = LogSource::new(product, service);
        source.category = category.map(str::to_owned);
        rules.rules_for(&source)
    };
    assert_eq!(count("windows", "security", None), 1);
    assert_eq!(count("windows", "sysmon", None), 2);
    assert_eq!(count("linux", "auditd", None), 0);
    assert_eq!(count("linux", "", Some("process_creation")), 1);
    assert_eq!(count("apache", "access", Some("webserver")), 1);
}

#[test]
fn the_embedded_pack_loads_whole() {
    let (rules, faults) = RuleSet::embedded();
    assert!(faults.is_empty(), "{faults:?}");
    assert!(rules.len() >= 20);
}

#[test]
fn every_published_rule_loads_or_is_listed() {
    let Some(folder) =
        crate::testing::shared("every_published_rule_loads_or_is_listed", "sigma/rules")
    else {
        return;
    };
    let mut files = 0;
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "yml") {
                files += 1;
            }
        }
    }
    let (rules, faults) = RuleSet::load(&[RuleSource::Folder(folder)]);
    println!(
        "published rules: {files} files, {} loaded, {} faults",
        rules.len(),
        faults.len()
    );
    for fault in &faults {
        println!("{fault}");
    }
    let faulted: HashSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    assert!(
        rules.len() + faulted.len() >= files,
        "a file was dropped in silence"
    );
    assert!(rules.len() >= 3140);
}
