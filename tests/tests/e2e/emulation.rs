//! `hubctl emulate run` against a real hub: a short day with every kind of attack, and a day on which one is missed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::tool::hubctl;
use crate::world::World;

/// Sixty-four people and as short a time as the attacks need.
const SHORT_DAY: &str = r"
name: Short day
description: Few people, every kind of attack, little time.
seed: 7
tenant: { slug: acme, name: Acme }
duration: 10s
places:
  - { name: operations, octet: 0, country: PT, city: Lisbon, latitude: 38.72, longitude: -9.14, known_as: office, trusted: true }
  - { name: lisbon, octet: 20, country: PT, city: Lisbon, latitude: 38.72, longitude: -9.14, known_as: office, trusted: true }
  - { name: home-offices, octet: 22, country: PT, city: Porto, latitude: 41.15, longitude: -8.61, known_as: other }
  - { name: tokyo, octet: 23, country: JP, city: Tokyo, latitude: 35.68, longitude: 139.69, known_as: other }
  - { name: data-centre, octet: 24, country: DE, city: Frankfurt, latitude: 50.11, longitude: 8.68, known_as: office, trusted: true }
  - { name: hosting, octet: 90, country: NL, city: Amsterdam, latitude: 52.37, longitude: 4.9 }
  - { name: botnet, octet: 91, country: ZZ, city: scattered, latitude: 0, longitude: 0 }
  - { name: sao-paulo, octet: 92, country: BR, city: São Paulo, latitude: -23.55, longitude: -46.63, known_as: other }
  - { name: porto-cafe, octet: 93, country: PT, city: Porto, latitude: 41.16, longitude: -8.62, known_as: other }
population: { users: 64, homes: [lisbon, home-offices], programs: 2, forgetful: 1, mistypes: 3, traveller_at: tokyo, batch_reads: 60, pause: 2s }
attacks:
  - { id: manipulation, techniques: [T1098], title: Account manipulation, start: 500ms, from: porto-cafe, attempts: 15, pause: 250ms, kind: account_manipulation }
  - { id: spray, techniques: [T1110.003], title: Password spraying, start: 1s, from: hosting, attempts: 30, pause: 50ms, kind: password_spraying }
  - { id: brute-force, techniques: [T1110.001], title: Brute force, start: 2s, from: hosting, attempts: 40, pause: 50ms, kind: brute_force }
  - { id: takeover, techniques: [T1078], title: Account takeover, start: 3s, from: sao-paulo, attempts: 15, pause: 200ms, kind: account_takeover }
  - { id: replay, techniques: [T1550], title: Session replay, start: 3s, from: hosting, attempts: 15, pause: 200ms, kind: session_replay }
  - { id: escalation, techniques: [T1078.004, T1548], title: Privilege escalation, start: 4s, from: lisbon, attempts: 20, pause: 150ms, kind: privilege_escalation }
  - { id: bulk-read, techniques: [T1530], title: Bulk reading, start: 4s, from: hosting, attempts: 30, pause: 50ms, kind: api_key_abuse }
  - { id: stuffing, techniques: [T1110.004], title: Credential stuffing, start: 5s, from: botnet, addresses: 40, attempts: 160, pause: 20ms, kind: credential_stuffing }
";

impl World {
    fn scenario(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("scenario.yaml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// `hubctl emulate run` as the operator.
    async fn emulate(&self, scenario: &str, more: &[&str]) -> Output {
        let file = self.scenario(scenario);
        let arguments = [&["emulate", "run", file.to_str().unwrap()], more].concat();
        let token = self.operator.token.as_deref().unwrap();
        hubctl(&self.hub.url, token, &arguments).await
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attacks(report: &Value) -> &Vec<Value> {
    report["verdicts"].as_array().unwrap()
}

/// Each attack once, contained, nothing left in its hands; nobody else was touched.
fn all_is_caught(report: &Value) {
    assert_eq!(attacks(report).len(), 8, "{report}");
    for verdict in attacks(report) {
        let good = verdict["detected"] == true && verdict["contained"] == true;
        assert!(good && verdict["footholds"] == 0, "{verdict}");
        assert_eq!(
            verdict["incidents"].as_array().unwrap().len(),
            1,
            "{verdict}"
        );
        let named = verdict["named"].as_array().unwrap();
        assert!(named.contains(&verdict["techniques"][0]), "{verdict}");
        assert!(verdict["requests"].as_u64() > Some(0), "{verdict}");
    }
    assert_eq!(
        report["false_positives"],
        Value::Array(Vec::new()),
        "{report}"
    );
    assert_eq!(report["unexplained"], Value::Array(Vec::new()), "{report}");
    assert_eq!(report["release"]["status_before"], 403, "{report}");
    assert_ne!(report["release"]["status_after"], 403, "{report}");
}

#[tokio::test]
async fn every_attack_of_a_short_day_is_caught_and_told_in_three_ways() {
    let world = World::new().await;
    let page = world.folder.path().join("report.html");
    let kept = world.folder.path().join("owner");
    let more = [
        "--report",
        page.to_str().unwrap(),
        "--owner-password",
        kept.to_str().unwrap(),
    ];
    let output = world.emulate(SHORT_DAY, &more).await;
    let (table, notes) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{table}\n{notes}");
    let data = std::fs::read(page.with_extension("json")).unwrap();
    let report: Value = serde_json::from_slice(&data).unwrap();
    all_is_caught(&report);

    // As a table with a line for each attack, on the way and at the end.
    assert!(!table.contains(" NO "), "{table}");
    for verdict in attacks(&report) {
        let (id, title) = (
            verdict["id"].as_str().unwrap(),
            verdict["title"].as_str().unwrap(),
        );
        let row = table.lines().find(|line| line.contains(title)).unwrap();
        assert_eq!(row.matches("| yes ").count(), 2, "{row}");
        for what in ["attack begins", "detected after", "contained after"] {
            assert!(
                notes.contains(&format!("{id}: {what}")),
                "{id} {what}: {notes}"
            );
        }
    }
    for line in [
        "False positives on benign users: none",
        "Incidents that fit no attack: none",
        "answered 403 before and",
        ": reversible",
    ] {
        assert!(table.contains(line), "{line}: {table}");
    }
    // As a page that needs nothing else.
    let html = std::fs::read_to_string(&page).unwrap();
    for word in ["<svg", "Short day", "Credential stuffing", "T1110.004"] {
        assert!(html.contains(word), "{word}: {html}");
    }
    assert!(!html.contains("src=\"http"), "{html}");

    // The slug was taken; the owner's password is for its file's reader only, and opens the new tenant.
    assert_eq!(report["tenant"], "acme-2");
    let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let password = std::fs::read_to_string(&kept).unwrap();
    let owner = world
        .nobody()
        .sign_in("acme-2", "owner", password.trim())
        .await;
    owner.expect(200);
}

#[tokio::test]
async fn an_attack_below_every_threshold_is_missed_and_the_answer_is_no() {
    let world = World::new().await;
    let (before, _) = SHORT_DAY.split_once("attacks:").unwrap();
    let quiet = before
        .replace("duration: 10s", "duration: 2s")
        .replace("users: 64", "users: 40");
    let attack = "attacks: [{ id: spray, techniques: [T1110.003], title: Password spraying, start: 0s, from: hosting, \
                  attempts: 4, pause: 10ms, kind: password_spraying }]";
    let output = world
        .emulate(&format!("{quiet}{attack}\n"), &["--json"])
        .await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = &attacks(&report)[0];
    assert_eq!(verdict["requests"], 4, "{report}");
    assert!(
        verdict["detected"] == false && verdict["contained"] == false,
        "{report}"
    );
    assert_eq!(
        report["false_positives"],
        Value::Array(Vec::new()),
        "{report}"
    );
    assert_eq!(report["release"], Value::Null, "{report}");
}

#[tokio::test]
async fn a_run_that_cannot_begin_says_why_and_ends_with_its_own_code() {
    let world = World::new().await;
    let file = world.scenario(SHORT_DAY);
    let run = ["emulate", "run", file.to_str().unwrap()];
    let ends = async |url: &str, token: &str, arguments: &[&str], code: i32, told: &[&str]| {
        let output = hubctl(url, token, arguments).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        for words in told {
            assert!(said.contains(words), "{words}: {said}");
        }
    };
    let (hub, owner) = (world.hub.url.clone(), world.owner.token.clone().unwrap());
    // Who may not make tenants may not emulate; nor with no hub at all.
    ends(
        &hub,
        &owner,
        &run,
        3,
        &["POST /api/v2/tenants answered 403"],
    )
    .await;
    ends(&hub, "no such token", &run, 3, &["answered 401"]).await;
    ends(
        "http://127.0.0.1:1",
        &owner,
        &run,
        4,
        &["does not answer", "because: "],
    )
    .await;
    // A scenario that is not one, or not there.
    let nobody_there = SHORT_DAY.replace("traveller_at: tokyo", "traveller_at: atlantis");
    world.scenario(&nobody_there);
    ends(&hub, &owner, &run, 2, &["no place is named `atlantis`"]).await;
    world.scenario(&SHORT_DAY.replace("seed: 7", "seed: seven"));
    ends(&hub, &owner, &run, 2, &["line 4", "seed"]).await;
    std::fs::remove_file(&file).unwrap();
    ends(&hub, &owner, &run, 2, &["cannot read", "scenario.yaml"]).await;
}
