//! `hubctl content check`: files of one's own, and every fault with its place.

use super::Desk;

const RULE: &str = "title: Somebody signs in
id: mine-signin
status: test
description: Every sign-in.
logsource: {product: security_hub, service: auth}
detection:
  selection: {api.operation: session.begin}
  condition: selection
level: low
";

const TESTS: &str = "- name: a sign-in fires
  fires: [mine-signin]
  events: [{at: 0s, log: auth, set: {api.operation: session.begin}}]
- name: from a known place too
  fires: [mine-signin]
  locations: [{name: Lima, cidrs: [203.0.113.0/24], latitude: -12, longitude: -77, kind: office}]
  events: [{at: 0s, every: 1s, repeat: 2, log: auth, set: {api.operation: session.begin, src_endpoint.ip: 203.0.113.7}}]
";

const PLAYBOOK: &str = "name: mine
title: Tell somebody
trigger: {rules: [mine-signin]}
steps:
  - action: notify
";

fn desk() -> Desk {
    let desk = Desk::at("http://127.0.0.1:1", None);
    desk.file("rules/mine.yml", RULE);
    desk.file("rules/tests/mine.yml", TESTS);
    desk.file("playbooks/mine.yaml", PLAYBOOK);
    desk
}

const CHECK: [&str; 6] = [
    "content",
    "check",
    "--rules",
    "rules",
    "--playbooks",
    "playbooks",
];

#[tokio::test]
async fn content_of_ones_own_is_checked_beside_the_built_in() {
    let desk = desk();
    let built_in = desk.run(&["--json", "content", "check"]).await.document();
    let (words, own) = desk.both(&CHECK).await;
    words.ends(0, &["all sound"]);
    let more = |what: &str| own[what].as_u64().unwrap() - built_in[what].as_u64().unwrap();
    assert_eq!(
        (more("rules"), more("rule_tests"), more("playbooks")),
        (1, 2, 1),
        "{own}"
    );
}

#[tokio::test]
async fn every_fault_is_told_with_its_file_and_line() {
    let desk = desk();
    desk.file("rules/broken.yml", "title: Broken\nlevel: [\n");
    let wrong = format!(
        "{TESTS}- name: nothing happens\n  fires: [mine-signin]\n  events: []\n- name: another rule\n  fires: [nobodys]\n  events: []\n"
    );
    desk.file("rules/tests/mine.yml", &wrong);
    desk.file("rules/tests/odd.yml", "- name: odd\n  happens: [x]\n");
    desk.file(
        "playbooks/odd.yaml",
        &PLAYBOOK
            .replace("mine", "odd")
            .replace("notify", "exorcise"),
    );
    desk.file("playbooks/twice.yaml", PLAYBOOK);
    let example = desk.run(&["emulate", "example"]).await.out;
    desk.file("day.yaml", &example.replace("octet: 20", "octet: twenty"));
    desk.file(
        "other.yaml",
        &example.replace("from: hosting", "from: nowhere"),
    );
    let scenarios = ["--scenario", "day.yaml", "--scenario", "other.yaml"];
    let (words, checked) = desk.both(&[&CHECK[..], &scenarios].concat()).await;
    let line =
        |text: &str, word: &str| 1 + text.lines().position(|line| line.contains(word)).unwrap();
    let places = [
        "✕ rules/broken.yml:".to_owned(),
        format!(
            "✕ rules/tests/mine.yml:{}: `nothing happens`: expected",
            line(&wrong, "nothing happens")
        ),
        format!(
            "✕ rules/tests/mine.yml:{}: `another rule`: no rule `nobodys`",
            line(&wrong, "another rule")
        ),
        "✕ rules/tests/odd.yml:".to_owned(),
        "✕ playbooks/odd.yaml:5: ".to_owned(),
        "✕ playbooks/twice.yaml:1: another file already holds the playbook `mine`".to_owned(),
        format!("✕ day.yaml:{}: ", line(&example, "octet: 20")),
        "✕ other.yaml:0: ".to_owned(),
    ];
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    words.ends(1, &places).ends(
        1,
        &[
            "8 faults",
            "exorcise",
            "twenty",
            "no place is named `nowhere`",
        ],
    );
    assert_eq!(checked["faults"].as_array().unwrap().len(), 8, "{checked}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let desk = desk();
    desk.run(&["content", "check", "--rules", "nowhere"])
        .await
        .ends(1, &["✕ nowhere:1: cannot be read"]);
    desk.run(&["content", "check", "--playbooks", "nowhere"])
        .await
        .ends(1, &["playbook folder `nowhere`", "No such file"]);
    desk.run(&["content", "check", "--scenario", "nowhere"])
        .await
        .ends(2, &["cannot read nowhere"]);
}

#[tokio::test]
async fn a_scenario_is_checked_for_people_and_for_machines() {
    let desk = desk();
    let example = desk.run(&["emulate", "example"]).await.out;
    desk.file("day.yaml", &example);
    let (words, checked) = desk.both(&["emulate", "check", "day.yaml"]).await;
    words.ends(0, &["Market day: 8 attacks, sound"]);
    assert_eq!(
        (&checked["name"], &checked["attacks"]),
        (&"Market day".into(), &8.into())
    );
    desk.run(&["emulate", "check", "nowhere"])
        .await
        .ends(2, &["cannot read nowhere"]);
    // Names of places and numbers that do not fit together.
    let cases = [
        (
            "octet: 21",
            "octet: 20",
            "each place needs an octet of its own",
        ),
        (
            "users: 320",
            "users: 39",
            "`population.users` must be at least 40",
        ),
        (
            "homes: [lisbon, hamburg, home-offices]",
            "homes: []",
            "`population.homes` is empty",
        ),
        (
            "id: brute-force",
            "id: spray",
            "two attacks are called `spray`",
        ),
        (
            "addresses: 60",
            "addresses: 0",
            "attack `stuffing` needs techniques, addresses and attempts",
        ),
    ];
    for (good, bad, words) in cases {
        desk.file("day.yaml", &example.replace(good, bad));
        desk.run(&["emulate", "check", "day.yaml"])
            .await
            .ends(2, &["the scenario day.yaml: ", words]);
    }
}
