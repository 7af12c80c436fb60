//! Runbooks that are gone through: decided, handed over, failed, taken back; and what is left of it in the ledger.

mod console;
mod desk;
mod faults;
mod killed;
mod shipped;

use serde_json::{Value, json};

use self::desk::{Desk, block};
use crate::tool::{patiently, receiver};
use crate::world::World;

/// A greeting, a decision that skips a step, something that a person does.
fn greeting() -> String {
    format!(
        "## 1. Greet\n\n{}{}## 2. Choose\n\n**Decide:** is it late?\n\n- **yes**: it is → step 4\n- **no**: it is not\n\n\
         ## 3. Tea\n\nDrink tea.\n\n## 4. Rest\n\n- [ ] the light is off\n",
        block(
            "COUNT=$((20 + 3)); echo \"hello $WHO\"; echo greeted >>did",
            "exit 0, says `hello $WHO`"
        ),
        block(
            "echo \"shk_AbC123 counted $COUNT\"",
            "it says `counted 23`, not `panic`"
        ),
    )
}

async fn steps_in_the_ledger(world: &World) -> Vec<Value> {
    let found = patiently("the ledger's entries", || async {
        let entries = |operation| async move {
            let path = format!("/api/v2/ledger/entries?operation={operation}&limit=200");
            world.operator.get(&path).await.body["items"]
                .as_array()
                .cloned()
        };
        let ends = entries("operation.end").await?;
        (!ends.is_empty()).then_some(entries("operation.step").await?)
    });
    found.await
}

#[tokio::test]
async fn a_run_is_a_checklist_and_the_ledger_has_who_did_what() {
    let world = World::new().await;
    let token = world.operator.token.clone().unwrap();
    let desk = Desk::with(&greeting()).at(&world.hub.url, &token);
    let answers = [
        "eve",
        "",
        "",
        "maybe",
        "yes",
        "note the kettle is old",
        "yes",
        "yes",
    ];
    let said = desk.run(&["run", "test", "--as", "ada"], &answers).await;
    let said = said.ends(
        0,
        &[
            "== 1. Greet",
            "hello eve",
            "Expect: exit 0, says `hello $WHO`",
            "passed",
            "1. yes: it is → step 4",
            "`?` says what can be answered",
            "[ ] the light is off",
            "done: runbook test",
        ],
    );
    assert!(!said.notes.contains("Drink tea"), "{said:?}");
    assert_eq!(desk.read("did"), "greeted\n");

    let list = world.operator.get("/api/v2/operations").await.body;
    let told = &list["items"][0];
    assert_eq!(
        (&told["kind"], &told["subject"]),
        (&json!("runbook"), &json!("test"))
    );
    assert_eq!(told["outcome"], "done");
    let steps = told["steps"].as_array().unwrap();
    let names: Vec<&str> = steps
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "begin", "given", "1.1", "1.2", "2.1", "note", "4.1", "checks.1"
        ]
    );
    assert_eq!(steps[2]["figures"]["by"], "ada");
    assert_eq!(steps[2]["figures"]["output"], "hello eve\n");
    // sha256sum of "hello eve\n".
    let hash = hex("hello eve\n");
    assert_eq!(steps[2]["figures"]["sha256"], hash.as_str());
    let counted = steps[3]["figures"]["output"].as_str().unwrap();
    assert_eq!(
        counted, "[a secret] counted 23\n",
        "a secret never leaves the machine"
    );
    assert_eq!(steps_in_the_ledger(&world).await.len(), names.len());

    // Nothing is left to be told, and the report has the same.
    let runs = desk
        .run(&["report", "--json"], &[])
        .await
        .ends(0, &[])
        .document();
    assert_eq!(runs["items"][0]["standing"], "done", "{runs}");
    let id = runs["items"][0]["id"].as_str().unwrap().to_owned();
    let report = desk.run(&["report", &id], &[]).await;
    report.ends(
        0,
        &[
            "test: done (",
            "1.2",
            "decided: yes",
            &hash,
            "the kettle is old",
        ],
    );
    let kept = format!("runbook-runs/{id}/output-0003.txt");
    assert_eq!(desk.read(&kept), "hello eve\n", "{kept}");
    desk.file(&kept, "hello adam\n");
    desk.run(&["report", &id], &[])
        .await
        .ends(1, &["CHANGED since"]);
}

/// As `sha256sum` has it.
fn hex(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let output = std::process::Command::new("sha256sum")
        .arg(file.path())
        .output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    said.split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_waits_for_whoever_it_is_handed_to() {
    let desk = Desk::with(&greeting());
    let first = ["run", "test", "--set", "WHO=eve"];
    let said = desk
        .run(&first, &["", "skip the abacus is broken", "over ben"])
        .await;
    let said = said.ends(5, &["Stopped: ben goes on", "hubctl runbook resume"]);
    assert!(!said.out.contains("done"), "{said:?}");
    // Somebody else than who it was handed to is told so, and is written down as who they are.
    let said = desk.run(&["resume", "--as", "cyd"], &["quit"]).await;
    said.ends(5, &["it was handed over to ben; you are cyd", "it waits"]);
    let said = desk.run(&["resume", "--as", "ben"], &["1", "yes"]).await;
    said.ends(5, &["nobody answers"]);
    let said = desk
        .run(&["resume", "--as", "ben", "--json"], &["yes"])
        .await;
    let told = said.ends(0, &[]).document();
    let steps = told["report"]["steps"].as_array().unwrap();
    let who: Vec<(&str, &str, &str)> = steps
        .iter()
        .map(|step| {
            let text = |name: &str| step[name].as_str().unwrap();
            (text("step"), text("by"), text("how"))
        })
        .collect();
    assert_eq!(
        who,
        [
            ("1.1", "ada", "passed"),
            ("1.2", "ada", "skipped"),
            ("2.1", "ben", "decided"),
            ("4.1", "ben", "confirmed"),
            ("checks.1", "ben", "confirmed")
        ]
    );
    desk.run(&["resume"], &[])
        .await
        .ends(2, &["no run is open"]);
    let id = told["id"].as_str().unwrap();
    desk.run(&["resume", id], &[])
        .await
        .ends(2, &["is over: done"]);
    // `done` does not hide what nobody did.
    let report = desk.run(&["report", id], &[]).await;
    report.ends(0, &["test: done, 1 left out"]);
}

#[tokio::test]
async fn a_command_that_fails_half_way_can_be_mended_or_taken_back() {
    let world = World::new().await;
    let token = world.operator.token.clone().unwrap();
    let steps = format!(
        "## 1. Work\n\n{}{}",
        block("echo one >>did", "exit 0"),
        block(
            "test -e mended && echo \"it works\"",
            "exit 0, and says `it works`"
        ),
    );
    let desk = Desk::with(&steps).at(&world.hub.url, &token);
    let said = desk.run(&["run", "test"], &["", ""]).await;
    said.ends(
        5,
        &["failed: exit 1, not 0", "Once more?", "nobody answers"],
    );
    desk.file("mended", "");
    desk.run(&["resume"], &["", "yes"])
        .await
        .ends(0, &["it works", "passed"]);
    assert_eq!(desk.read("did"), "one\n", "what passed is not done twice");

    std::fs::remove_file(desk.path("mended")).unwrap();
    let answers = ["", "", "back it does not work", "back again", ""];
    let said = desk.run(&["run", "test"], &answers).await;
    said.ends(
        1,
        &[
            "== Roll back",
            "this is the way back",
            "rolled back",
            "it does not work",
        ],
    );
    assert_eq!(desk.read("did"), "one\none\nback\n");
    let gone = desk.run(&["run", "test"], &["giveup wrong runbook"]).await;
    gone.ends(1, &["given up: wrong runbook"]);
    let list = world.operator.get("/api/v2/operations").await.body;
    let outcomes: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["outcome"])
        .collect();
    assert_eq!(outcomes, ["failed", "rolled_back", "done"]);
    assert_eq!(list["items"][1]["why"], "it does not work");
    assert_eq!(list["items"][2]["steps"][2]["figures"]["exit"], 1, "{list}");
}

/// A failed drill is an incident; the runbook that mends it is seen on its timeline and in the channel.
#[tokio::test]
async fn the_channel_and_the_incident_hear_how_it_goes_on() {
    let world = World::new().await;
    let token = world.operator.token.clone().unwrap();
    let failed = json!({"id": "01a20bb2-53ed-76d3-bf7d-e684dac80295", "kind": "drill", "subject": "x", "outcome": "failed",
        "why": "the disk is full", "began": "2026-11-23T10:00:00Z", "ended": "2026-11-23T10:00:07Z", "steps": []});
    world
        .operator
        .post("/api/v2/operations", failed)
        .await
        .expect(200);
    let incident = patiently("the incident", || async {
        let list = world.operator.get("/api/v2/incidents").await.body;
        list["items"][0]["id"].as_str().map(str::to_owned)
    });
    let incident = incident.await;
    let (hook, heard) = receiver().await;
    let desk = Desk::with(&format!("## 1. Try\n\n{}", block("exit 3", "exit 0")))
        .at(&world.hub.url, &token);
    desk.file("hook-url", &hook);
    let notify = desk.file(
        "deploy.toml",
        "[local]\nstate = 'x'\n[notify]\nslack = 'hook-url'\n",
    );
    let late = desk::book(&format!("## 1. Try\n\n{}", block("exit 3", "exit 0")));
    desk.file(
        "books/test.md",
        &late.replace("time_limit: 10m", "time_limit: 1ms"),
    );
    let notify = notify.to_str().unwrap();
    let words = ["run", "test", "--notify", notify, "--incident", &incident];
    let said = desk
        .run(&words, &["", "hand by telephone", "over ben"])
        .await;
    said.ends(5, &["takes longer than 1ms"]);
    let texts: Vec<String> = heard
        .lock()
        .unwrap()
        .iter()
        .map(|told| told["text"].as_str().unwrap().to_owned())
        .collect();
    let case = world
        .operator
        .get(&format!("/api/v2/incidents/{incident}"))
        .await
        .body;
    let notes = case["timeline"].to_string();
    for part in [
        "ada is at it",
        "takes longer than 1ms: get help (ada)",
        "1.1 Try failed: exit 3, not 0",
        "1.1 Try done by hand: by telephone",
        "handed over to ben",
    ] {
        assert!(
            texts.iter().any(|text| text.contains(part)),
            "{part}: {texts:?}"
        );
        assert!(notes.contains(part), "{part}: {notes}");
    }
    // A channel that is away holds nothing up.
    desk.file("hook-url", "http://127.0.0.1:9/secret-path");
    let words = ["resume", "--notify", notify, "--as", "ben"];
    let said = desk
        .run(&words, &["yes"])
        .await
        .ends(0, &["Slack could not be told"]);
    assert!(!said.notes.contains("secret-path"), "{said:?}");
}
