//! Other systems' real logs, sent by `hubctl` to a real hub: what was read in them by hand, and what came of them.
//!
//! The truth table below was made by reading `auth.log` (each refusal counted, `message repeated n times` as n), before
//! looking at what the rules say: hits and misses are printed by the test. All fifteen are hits today: fourteen
//! campaigns are one incident each, the administrator is none.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::tool::{all, document, hubctl, key, patiently, shared};
use crate::world::{Actor, Answer, World};

/// One address of the log, as read.
struct Loud {
    address: &'static str,
    /// Sign-ins that sshd refused, and that it accepted.
    refused: u32,
    accepted: u32,
    is_campaign: bool,
}

const fn guesses(address: &'static str, refused: u32) -> Loud {
    Loud {
        address,
        refused,
        accepted: 0,
        is_campaign: true,
    }
}

/// The fifteen addresses with the most refusals (the last two are the first of many with six).
///
/// - 24.151.103.17 signs in to ten accounts, a sign-in every quarter of an hour, over two days with ten slips; then, on
///   30 March from 15:54:19 to 16:01:35, it is refused 147 times on one account, every three seconds, and gets in one
///   second after the last. Whoever that was, it is guessing, and it got in.
/// - 85.245.107.41 is the administrator: four keys and eleven passwords refused over two days, never more than four in
///   ten minutes, beside 174 sign-ins that are accepted.
/// - 34.204.227.175 is refused 43 times in four minutes with an empty user name.
/// - The others try `root`, `admin`, `pi` and their like, are never let in, and are gone within minutes; each comes once.
const LOUDEST: [Loud; 15] = [
    Loud {
        accepted: 47,
        ..guesses("24.151.103.17", 157)
    },
    guesses("49.4.143.105", 120),
    guesses("34.204.227.175", 43),
    guesses("201.178.81.113", 36),
    guesses("181.26.186.35", 30),
    guesses("122.163.61.218", 30),
    Loud {
        accepted: 174,
        is_campaign: false,
        ..guesses("85.245.107.41", 15)
    },
    guesses("221.194.44.190", 15),
    guesses("181.25.206.27", 12),
    guesses("181.25.201.155", 12),
    guesses("14.54.210.101", 12),
    guesses("77.231.252.103", 9),
    guesses("222.186.56.220", 9),
    guesses("218.60.136.106", 6),
    guesses("106.57.58.19", 6),
];

/// Addresses of the whole log with six refusals or more in some ten minutes.
const CAMPAIGNS: usize = 101;

/// Comes last and is found like any other: once it is, everything before it has been read.
const SENTINEL: &str = "192.0.2.99";

async fn send(actor: &Actor, query: &str, body: impl Into<reqwest::Body>) -> Answer {
    let path = format!("/api/v2/events?{query}");
    Answer::of(
        actor
            .request(Method::POST, &path)
            .body(body)
            .send()
            .await
            .unwrap(),
    )
    .await
}

/// Waits until detection has read all that was ingested so far.
async fn read_all(world: &World) {
    let lines: Vec<_> = (0..6)
        .map(|second| {
            format!("Dec 31 23:50:0{second} bastion sshd[9]: Failed password for root from {SENTINEL} port 4 ssh2")
        })
        .collect();
    let answer = send(&world.owner, "format=sshd&year=2017", lines.join("\n")).await;
    assert_eq!(answer.expect(202).body["accepted"], 6);
    patiently("the finding of the sentinel", || async {
        let page = world.owner.get("/api/v2/incidents?limit=5").await.body;
        let items = page["items"].as_array()?.clone();
        let is_there = items.iter().any(|one| address(one) == Some(SENTINEL));
        is_there.then_some(())
    })
    .await;
}

/// The address that an incident is about, if it is about one.
fn address(incident: &Value) -> Option<&str> {
    incident["entities"]
        .as_array()?
        .iter()
        .find(|entity| entity["role"] == "primary" && entity["kind"] == "address")?["value"]
        .as_str()
}

/// Incidents by the address that they are about.
async fn incidents(world: &World) -> BTreeMap<String, Vec<Value>> {
    let mut by_address: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for incident in all(&world.owner, "/api/v2/incidents").await {
        if let Some(address) = address(&incident).filter(|address| *address != SENTINEL) {
            by_address
                .entry(address.to_owned())
                .or_default()
                .push(incident);
        }
    }
    by_address
}

/// Prints the table of hits and misses; gives the addresses where the hub says otherwise than the truth.
#[expect(clippy::print_stdout, reason = "the table is for people")]
fn compare(found: &BTreeMap<String, Vec<Value>>) -> BTreeSet<&'static str> {
    let mut wrong = BTreeSet::new();
    println!("     address          refused  accepted  truth     incidents  findings");
    for loud in &LOUDEST {
        let of_it = found.get(loud.address).map_or(&[][..], Vec::as_slice);
        let findings = of_it.iter().filter_map(|one| one["finding_count"].as_u64());
        let is_hit = of_it.len() == usize::from(loud.is_campaign);
        if !is_hit {
            wrong.insert(loud.address);
        }
        println!(
            "{} {:<16} {:>7}  {:>8}  {:<8}  {:>9}  {:>8}",
            if is_hit { "hit " } else { "MISS" },
            loud.address,
            loud.refused,
            loud.accepted,
            if loud.is_campaign {
                "campaign"
            } else {
                "nobody"
            },
            of_it.len(),
            findings.sum::<u64>(),
        );
    }
    println!(
        "{} addresses have an incident; by hand: {CAMPAIGNS}",
        found.len()
    );
    wrong
}

#[tokio::test]
async fn each_guessing_campaign_is_one_incident_and_the_administrator_is_none() {
    let test = "each_guessing_campaign_is_one_incident_and_the_administrator_is_none";
    let Some(log) = shared(test, "sshd/auth.log") else {
        return;
    };
    let world = World::new().await;
    let (_, key) = key(&world, &["events.ingest"]).await;
    let log = log.to_str().unwrap();
    let arguments = [
        "--json", "ingest", "--format", "sshd", "--year", "2017", log,
    ];
    let told = document(&hubctl(&world.hub.url, &key, &arguments).await);
    assert_eq!(told["quarantined"], 0, "{told}");
    assert!(told["accepted"].as_u64().unwrap() >= 7121, "{told}");
    read_all(&world).await;

    let found = incidents(&world).await;
    let wrong = compare(&found);
    assert!(wrong.is_empty(), "{wrong:?}");
    let doubled: Vec<_> = found.iter().filter(|(_, list)| list.len() > 1).collect();
    assert!(
        doubled.is_empty(),
        "one campaign, several incidents: {doubled:?}"
    );
    assert_eq!(found.len(), CAMPAIGNS, "{:?}", found.keys());
}

#[tokio::test]
async fn published_rules_run_over_a_real_cloud_account_and_a_second_reading_stores_nothing() {
    let test = "published_rules_run_over_a_real_cloud_account_and_a_second_reading_stores_nothing";
    let (Some(logs), Some(rules)) = (
        shared(test, "cloudtrail/CloudTrail"),
        shared(test, "sigma/rules"),
    ) else {
        return;
    };
    let folder = rules.to_str().unwrap().to_owned();
    let world = World::with(|setting| setting.with("HUB_CONTENT_FOREIGN_RULES", &folder)).await;
    every_rule_is_loaded_or_refused_with_its_reason(&world).await;

    let (_, key) = key(&world, &["events.ingest"]).await;
    let arguments = [
        "--json",
        "ingest",
        "--format",
        "cloudtrail",
        logs.to_str().unwrap(),
    ];
    let first = document(&hubctl(&world.hub.url, &key, &arguments).await);
    assert_eq!(
        (&first["accepted"], &first["quarantined"]),
        (&json!(2900), &json!(0))
    );
    let sent = first["batches"].as_u64().unwrap();
    patiently("the batches in the ledger", || async {
        (batches(&world).await == sent).then_some(())
    })
    .await;
    let second = document(&hubctl(&world.hub.url, &key, &arguments).await);
    assert_eq!(second, first, "the same receipts");
    read_all(&world).await;
    assert_eq!(batches(&world).await, sent);
    told_with_authors(&all(&world.owner, "/api/v2/findings").await);
}

/// Batches of CloudTrail in the ledger.
async fn batches(world: &World) -> u64 {
    let export = world.owner.get("/api/v2/ledger/export").await;
    let Value::String(export) = &export.expect(200).body else {
        panic!("not lines: {}", export.body)
    };
    let batches = export.lines().skip(1).filter(|line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let body: Value = serde_json::from_str(entry["body"].as_str().unwrap()).unwrap();
        body["body"]["unmapped"]["batch"]["source"] == "cloudtrail"
    });
    batches.count() as u64
}

/// Whoever runs the hub can see what became of each of the folder's files.
async fn every_rule_is_loaded_or_refused_with_its_reason(world: &World) {
    let health = world.operator.get("/health").await;
    let rules = &health.expect(200).body["rules"];
    assert!(rules["loaded"].as_u64().unwrap() > 3000, "{rules}");
    // The last word about the rules: what was refused stands before it.
    let log = patiently("the rules in the log", || async {
        let log = world.hub.log();
        log.contains("the rules are loaded").then_some(log)
    })
    .await;
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let refused: Vec<Value> = lines
        .filter(|line| line.to_string().contains("a rule is not used"))
        .collect();
    assert_eq!(json!(refused.len()), rules["refused"], "{refused:?}");
    for line in &refused {
        let text = line.to_string();
        assert!(
            text.contains("\"reason\"") && text.contains("\"file\""),
            "{text}"
        );
    }
}

/// The rules' licence asks that whoever is shown a finding is shown the rule's authors.
#[expect(clippy::print_stdout, reason = "the table is for people")]
fn told_with_authors(findings: &[Value]) {
    let mut fired: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for finding in findings {
        let rule = finding["rule"].as_str().unwrap();
        if rule.starts_with("hub-") {
            continue;
        }
        let authors = finding["authors"].as_str().unwrap_or_default();
        assert!(!authors.is_empty(), "no authors: {finding}");
        let title = finding["title"].as_str().unwrap();
        fired.entry(title).or_insert((0, authors)).0 += 1;
    }
    for (title, (count, authors)) in &fired {
        println!("{count:5}  {title} (by {authors})");
    }
    assert!(fired.len() >= 5, "{fired:?}");
}

#[tokio::test]
async fn what_does_not_parse_is_kept_apart_and_stops_nothing() {
    let world = World::new().await;
    let lines = "{\"time\":\"2026-11-23T10:00:00Z\",\"n\":1}\n{\"time\":\n\0\u{1}\u{fffd}\n[1,2]\n\
        {\"time\":\"2026-11-23T10:00:01Z\",\"n\":2}\n";
    let answer = send(&world.owner, "format=json&source=shop/web", lines).await;
    let body = &answer.expect(202).body;
    assert_eq!(
        (&body["accepted"], &body["quarantined"]),
        (&json!(2), &json!(3))
    );
    let kept = world.owner.get("/api/v2/events/quarantine").await;
    let kept = kept.expect(200).body["items"].as_array().unwrap().clone();
    let mut numbers: Vec<u64> = kept
        .iter()
        .filter_map(|line| line["line"].as_u64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3, 4]);
    for line in &kept {
        assert_eq!(line["batch_id"], body["batch_id"]);
        assert!(!line["reason"].as_str().unwrap().is_empty(), "{line}");
        assert!(line["received_at"].is_string(), "{line}");
    }
    let second = kept.iter().find(|line| line["line"] == 2).unwrap();
    assert_eq!(second["raw"], "{\"time\":");

    // Who only sends logs does not read what others sent.
    let (sender, _) = key(&world, &["events.ingest"]).await;
    sender.get("/api/v2/events/quarantine").await.expect(403);

    // A log in which every kind of damage occurs goes on to be watched.
    let damaged = b"no time here\nNov 31 25:61:61 host sshd[1]: Failed password\n\xff\xfe\n";
    let answer = send(&world.owner, "format=sshd&year=2017", damaged.as_slice()).await;
    let body = &answer.expect(202).body;
    assert!(body["quarantined"].as_u64().unwrap() >= 2, "{body}");
    read_all(&world).await;
}
