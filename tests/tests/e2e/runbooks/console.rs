//! A run that several people follow and answer at once: through the API, in a real browser, at the terminal that leads it.

use std::io::Write as _;
use std::process::Child;

use serde_json::{Value, json};

use super::desk::{Desk, block, ended};
use crate::browser::{Browser, LOOKS};
use crate::tool::patiently;
use crate::world::{Actor, Answer, PASSWORD, World, until};

fn work() -> String {
    format!(
        "## 1. Look\n\nLook at it.\n\n{}## 2. Prepare\n\n- [ ] the door is shut\n- [ ] the light is off\n- [ ] the cat is out\n\n\
         ## 3. Choose\n\n**Decide:** is it late?\n\n- **yes**: it is → checks\n- **no**: it is not\n\n## 4. Tea\n\nDrink tea.\n",
        block(
            "echo 'first line'\necho 'last line <b>'",
            "exit 0, says `last line`"
        )
    )
}

/// Somebody else who works for the operators.
async fn ben(world: &World) -> Actor {
    let body = json!({"username": "ben", "email": "ben@hub.example", "display_name": "Ben", "password": PASSWORD,
        "roles": ["operator"]});
    world.operator.post("/api/v2/users", body).await.expect(201);
    world.nobody().signed_in("system", "ben").await
}

/// The credential of a terminal: it can tell, and nothing else.
async fn teller(world: &World) -> String {
    let body = json!({"name": "runbooks", "scopes": ["operations.record"]});
    let made = world.operator.post("/api/v2/api-keys", body).await;
    made.expect(201).text("key").to_owned()
}

/// The newest run, once it stands there.
async fn stands(world: &World, at: &str) -> Value {
    patiently(&format!("a run at {at}"), || async {
        let list = world.operator.get("/api/v2/runbook-runs").await;
        let run = list.expect(200).body["items"].get(0)?.clone();
        (run["standing"] == at).then_some(run)
    })
    .await
}

/// What one says to the item now, whichever round it is.
async fn says(who: &Actor, run: &str, place: (u32, u32), choice: Option<&str>) -> (u16, String) {
    let path = format!("/api/v2/runbook-runs/{run}");
    let now = who.get(&path).await.expect(200).body["now"].clone();
    let entered = now["entered"].as_u64().unwrap_or(0);
    let wish = json!({"entered": entered, "section": place.0, "item": place.1, "choice": choice});
    let answer = who.post(&format!("{path}/answers"), wish).await;
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    (answer.status, detail.to_owned())
}

fn line(child: &Child, text: &str) {
    writeln!(child.stdin.as_ref().unwrap(), "{text}").unwrap();
}

async fn acts(world: &World, operation: &str) -> Vec<Value> {
    let path = format!("/api/v2/ledger/entries?operation={operation}&limit=200");
    let found = world.operator.get(&path).await;
    found.expect(200).body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn several_people_answer_one_run_and_who_is_first_counts() {
    let world = World::new().await;
    let (root, ben) = (&world.operator, ben(&world).await);
    let desk = Desk::with(&work()).at(&world.hub.url, &teller(&world).await);
    let child = desk.begin(&["run", "test", "--as", "ada"], &[""]);
    let run = stands(&world, "2.1").await["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let done = (201, String::new());
    // Ahead of its turn, by somebody else than the one who leads.
    assert_eq!(says(&ben, &run, (1, 1), None).await, done);
    let late = (409, "ben was first: done".to_owned());
    assert_eq!(says(root, &run, (1, 1), None).await, late);
    // The same on a page that is behind.
    let shown = root.get(&format!("/api/v2/runbook-runs/{run}")).await;
    let entered = shown.expect(200).body["now"]["entered"].to_string();
    let form = [
        ("entered", entered.as_str()),
        ("section", "1"),
        ("item", "1"),
    ];
    let page = format!("/console/runbooks/{run}/answers");
    let page = root.request(reqwest::Method::POST, &page).form(&form);
    let page = Answer::of(page.send().await.unwrap()).await;
    let html = page.expect(409).body.as_str().unwrap();
    assert!(
        html.contains("role=\"alert\"") && html.contains("ben was first: done"),
        "{html}"
    );
    let (status, said) = says(&ben, &run, (2, 0), Some("yes")).await;
    assert_eq!(
        (status, said.contains("has not come yet")),
        (409, true),
        "{said}"
    );
    assert_eq!(says(&ben, &run, (0, 0), None).await.0, 409);
    let notes = format!("/api/v2/runbook-runs/{run}/notes");
    let note = ben.post(&notes, json!({"text": "the cat is asleep"})).await;
    note.expect(201);
    let orders = json!({"text": "\u{1b}[2Kthe cat"});
    ben.post(&notes, orders).await.expect(422);
    // Nobody but the terminal's own credential speaks for whom it names, or for the terminal.
    let path = format!("/api/v2/runbook-runs/{run}");
    let wish =
        json!({"entered": entered.parse::<u64>().unwrap(), "section": 1, "item": 1, "by": "ada"});
    let forged = ben.post(&format!("{path}/answers"), wish).await;
    assert_eq!(forged.expect(201).body["by"], "ben");
    let lines = root.get(&path).await.body["lines"].clone();
    let end = json!({"event": "closed", "outcome": "done", "why": null});
    let end = json!({"number": lines, "at": "2026-11-01T00:00:00Z", "by": "ada", "what": end});
    let path = format!("{path}/lines");
    let end = ben.post(&path, json!({ "lines": [end] })).await;
    end.expect(409);
    // At the terminal; then its own turn has come for what ben did, and for the cat.
    line(&child, "yes");
    stands(&world, "2.3").await;
    let (status, said) = says(&ben, &run, (1, 0), None).await;
    assert_eq!((status, said.as_str()), (409, "ada was first: done"));
    assert_eq!(says(root, &run, (1, 2), None).await, done);

    stands(&world, "3.1").await;
    let (one, other) = tokio::join!(
        says(root, &run, (2, 0), Some("yes")),
        says(&ben, &run, (2, 0), Some("no"))
    );
    let (first, word, second) = if one.0 == 201 {
        ("root", "yes", other)
    } else {
        ("ben", "no", one)
    };
    assert_eq!(second, (409, format!("{first} was first: {word}")));
    if word == "no" {
        stands(&world, "4.1").await;
        assert_eq!(says(&ben, &run, (3, 0), None).await, done);
    }
    stands(&world, "checks.1").await;
    // Whoever gives a line for each question gives one for those too that are answered.
    let owed = ["yes", "yes", word].into_iter();
    for owed in owed.chain((word == "no").then_some("yes")) {
        line(&child, owed);
    }
    // At the last moment.
    let note = ben.post(&notes, json!({"text": "the cat is back"})).await;
    note.expect(201);
    line(&child, "yes");
    let said = ended(child).await.ends(
        0,
        &[
            "ben in the console: done",
            "root in the console: done",
            "ben in the console: the cat is asleep",
            "ben in the console: the cat is back",
            "not taken, it came for a question that is answered: `yes`",
            "done: runbook test",
        ],
    );
    let told = stands(&world, "done").await;
    assert_eq!(
        (&told["leader"], &told["outcome"]),
        (&json!("ada"), &json!("done"))
    );
    let (status, said_late) = says(&ben, &run, (4, 0), None).await;
    assert_eq!(
        (status, said_late.as_str()),
        (409, "the run is over"),
        "{said:?}"
    );

    let steps = root.get("/api/v2/operations").await.body["items"][0]["steps"].clone();
    assert!(steps.to_string().contains("the cat is back"), "{steps}");
    let by = |name: &str| {
        let mut steps = steps.as_array().unwrap().iter();
        steps.find(|step| step["step"] == name).unwrap()["figures"]["by"].clone()
    };
    assert_eq!(
        (by("2.1"), by("2.2"), by("2.3"), by("3.1"), by("note")),
        (
            json!("ada"),
            json!("ben"),
            json!("root"),
            json!(first),
            json!("ben")
        )
    );
    patiently("the acts", || async {
        let counts = (
            acts(&world, "runbook.begin").await.len(),
            acts(&world, "runbook.note").await.len(),
            acts(&world, "runbook.end").await.len(),
        );
        let answers = acts(&world, "runbook.answer").await;
        let is_bens = |act: &&Value| {
            act.to_string().contains(r#"\"name\":\"ben\""#)
                || act["actor"].to_string().contains("ben")
        };
        (counts == (1, 2, 1) && answers.iter().any(|act| is_bens(&act))).then_some(())
    })
    .await;
}

/// Lines of the journal on disk.
fn journal(desk: &Desk, run: &str) -> usize {
    desk.read(&format!("runbook-runs/{run}/journal.jsonl"))
        .lines()
        .count()
}

#[tokio::test]
async fn what_a_killed_tool_did_not_tell_is_told_by_whoever_resumes() {
    let world = World::new().await;
    let key = teller(&world).await;
    let desk = Desk::with(&work()).at(&world.hub.url, &key);
    let mut child = desk.begin(&["run", "test", "--set", "WHO=shk_mine"], &[""]);
    let run = stands(&world, "2.1").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    child.kill().unwrap();
    child.wait().unwrap();
    // The hub is away: the run goes on all the same, and does not wait for it.
    let desk = desk.at("http://127.0.0.1:9", &key);
    let began = std::time::Instant::now();
    let said = desk
        .run(
            &["resume", "--as", "ben"],
            &["yes", "yes", "note dark here", "quit"],
        )
        .await;
    said.ends(5, &["written down"]);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    assert_eq!(stands(&world, "2.1").await["leader"], "ada");
    // Somebody ticks what was done meanwhile, which nobody could know: the journal decides.
    assert_eq!(says(&world.operator, &run, (1, 1), None).await.0, 201);
    let desk = desk.at(&world.hub.url, &key);
    let child = desk.begin(&["resume", "--as", "eve"], &[]);
    let told = stands(&world, "2.3").await;
    assert_eq!(told["leader"], "eve");
    let shown = world
        .operator
        .get(&format!("/api/v2/runbook-runs/{run}"))
        .await;
    let lines = shown.expect(200).body["journal"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["what"]["text"] == "dark here"));
    // A key that somebody gave for a variable stays at the terminal.
    let text = shown.body.to_string();
    assert!(
        !text.contains("shk_mine") && text.contains("[a secret]"),
        "{text}"
    );
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["number"], number, "{line}");
    }
    line(&child, "quit");
    ended(child).await.ends(5, &["it waits"]);
    // It ends while the hub is away: the hub is told by the next who looks.
    let desk = desk.at("http://127.0.0.1:9", &key);
    let said = desk.run(&["resume", "--as", "eve"], &["giveup it is enough"]);
    said.await.ends(1, &["given up"]);
    assert_eq!(stands(&world, "2.3").await["outcome"], json!(null));
    let desk = desk.at(&world.hub.url, &key);
    let said = desk.run(&["report"], &[]).await;
    said.ends(0, &["the console was told how the run", "failed"]);
    let told = stands(&world, "failed").await;
    assert_eq!(told["lines"], journal(&desk, &run), "{told}");
    let record = world.operator.get("/api/v2/operations").await;
    assert_eq!(record.body["items"][0]["id"], run.as_str(), "{record:?}");
    assert!(!record.body.to_string().contains("shk_mine"), "{record:?}");
    let said = desk.run(&["resume", &run], &[]).await;
    said.ends(2, &["is over: failed"]);
}

#[tokio::test]
async fn a_run_is_followed_live_and_ticked_by_keyboard() {
    let world = World::new().await;
    let ben = ben(&world).await;
    let desk = Desk::with(&work()).at(&world.hub.url, &teller(&world).await);
    let child = desk.command(&["run", "test", "--as", "ada"]);
    let child = { child }.spawn().unwrap();
    let run = stands(&world, "1.1").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let browser = Browser::start().await;
    browser
        .sign_in(&world.hub.url, "system", "root", PASSWORD)
        .await;
    browser.until_says("#live-status", "Live").await;
    let goto = async |path: &str| {
        let url = format!("{}{path}", world.hub.url);
        browser.driver.goto(url).await.unwrap();
    };
    goto("/console/runbooks").await;
    browser.until_says("tbody", "goes on").await;
    browser.find("tbody a").await.click().await.unwrap();
    browser.until_says("#live-status", "Live").await;
    browser.until_says("#i-0-0", "its turn").await;
    browser.until_says("#run-tiles", "of 10m").await;
    // Without a reload: the command's end, its output as it was, its hash; what others do.
    line(&child, "");
    browser.until_says("#i-0-0", "passed").await;
    browser
        .until_says("#i-0-0 .output", "first line\nlast line <b>")
        .await;
    browser.until_says("#i-0-0", "SHA-256 of the output").await;
    browser.until_says("#i-0-0 .stands", "exit 0").await;
    browser.until_says("#i-1-0", "its turn").await;
    // Somebody is at a button while others work: the page changes around them.
    for _ in 0..60 {
        let here = browser.driver.active_element().await.unwrap();
        if here.id().await.unwrap().as_deref() == Some("b-1-2") {
            break;
        }
        let keys = thirtyfour::Key::Tab + "";
        let tab = browser.driver.action_chain().send_keys(keys);
        tab.perform().await.unwrap();
    }
    assert_eq!(says(&ben, &run, (1, 1), None).await.0, 201);
    browser.until_says("#i-1-1", "answered: done").await;
    browser.until_says("#i-1-1", "ben").await;
    browser
        .until_says("#run-last", "2.2 answered: done (ben)")
        .await;
    let here = browser.driver.active_element().await.unwrap();
    assert_eq!(here.id().await.unwrap().as_deref(), Some("b-1-2"));
    here.send_keys(thirtyfour::Key::Enter + "").await.unwrap();
    browser.until_says("#i-1-2", "root").await;
    line(&child, "yes");
    browser.until_says("#i-2-0", "its turn").await;

    assert_eq!(says(&ben, &run, (2, 0), Some("no")).await.0, 201);
    browser.until_says("#i-2-0", "decided: no").await;
    let text = browser.find("#text").await;
    text.send_keys("tea is ready").await.unwrap();
    browser
        .find("section[aria-labelledby=say] button")
        .await
        .send_keys(thirtyfour::Key::Enter + "")
        .await
        .unwrap();
    browser.until_says("#run-said", "tea is ready").await;

    let mut faults = Vec::new();
    for path in [
        "/console/runbooks".to_owned(),
        format!("/console/runbooks/{run}"),
    ] {
        for look in LOOKS {
            browser.look(look).await;
            goto(&path).await;
            browser.find("main h1").await;
            let found = browser.violations().await;
            faults.extend(
                found
                    .into_iter()
                    .map(|fault| format!("{path} {look:?} {fault}")),
            );
            let wide = browser.overflowing().await;
            faults.extend(
                wide.into_iter()
                    .map(|what| format!("{path} {look:?} wide: {what}")),
            );
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    let refused = |text: &String| !text.contains("409");
    let complaints = browser.complaints().await;
    assert!(!complaints.iter().any(refused), "{complaints:?}");

    // For the three questions that were answered here, then for those that are left.
    for answer in ["yes", "yes", "no", "yes", "yes"] {
        line(&child, answer);
    }
    ended(child).await.ends(0, &["tea is ready"]);
    browser.until_says("#run-tiles", "done").await;
}

/// Who may not see runs sees none; who may only see them has no button.
#[tokio::test]
async fn a_run_is_closed_to_other_tenants_and_has_no_buttons_for_who_only_looks() {
    let world = World::new().await;
    let desk = Desk::with(&work()).at(&world.hub.url, &teller(&world).await);
    let child = desk.begin(&["run", "test"], &[""]);
    let run = stands(&world, "2.1").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v2/runbook-runs/{run}");
    world.owner.get(&path).await.expect(404);
    let body = json!({"username": "max", "email": "max@hub.example", "display_name": "Max", "password": PASSWORD,
        "roles": ["auditor"]});
    let made = world.operator.post("/api/v2/users", body).await;
    made.expect(201);
    let max = world.nobody().signed_in("system", "max").await;
    max.get(&path).await.expect(200);
    let wish = json!({"entered": 0, "section": 1, "item": 0});
    max.post(&format!("{path}/answers"), wish).await.expect(403);
    let page = max.get(&format!("/console/runbooks/{run}")).await;
    let html = page.expect(200).body.as_str().unwrap().to_owned();
    assert!(
        html.contains("the door is shut") && !html.contains("<button id="),
        "{html}"
    );
    // What somebody said there is not passed over in silence, whatever is said here.
    for item in [1, 2] {
        let said = says(&world.operator, &run, (1, item), None).await;
        assert_eq!(said, (201, String::new()));
    }
    line(&child, "skip no door\nskip no lamp\ngiveup it is enough");
    let told = [
        "root in the console: done",
        "root had answered 2.3 Prepare in the console: done",
        "given up",
    ];
    ended(child).await.ends(1, &told);
    until("the last line", || async {
        let shown = max.get(&path).await;
        (shown.body["lines"] == journal(&desk, &run)).then_some(())
    })
    .await;
}

/// Somebody is typing at a question that somebody else answers: what comes next is a command.
#[tokio::test]
async fn what_was_typed_for_an_answered_question_runs_nothing() {
    let world = World::new().await;
    let ben = ben(&world).await;
    let steps = format!(
        "## 1. Prepare\n\n- [ ] the door is shut\n\n## 2. Run\n\n{}",
        block("printf 'a\\0b'; echo ran >>did", "exit 0")
    );
    let desk = Desk::with(&steps).at(&world.hub.url, &teller(&world).await);
    let mut child = desk
        .on_terminal(&["run", "test", "--as", "ada"])
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut types = |text: &str| keys.write_all(text.as_bytes()).unwrap();
    let run = stands(&world, "1.1").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    types("ye");
    assert_eq!(says(&ben, &run, (0, 0), None).await.0, 201);
    stands(&world, "2.1").await;
    types("s\n\n");
    // Not at once, and not later either, but for the word that nobody gives to another question.
    until("the word to be asked for", || {
        types("yes\n\n");
        let screen = desk.read("typescript");
        async move { screen.contains("`run` runs this").then_some(()) }
    })
    .await;
    let screen = desk.read("typescript");
    assert!(screen.contains("not taken, it came for"), "{screen}");
    assert!(screen.contains("ben answered the question"), "{screen}");
    assert_eq!(desk.read("did"), "");
    types("run\n");
    until("the command", || async {
        (desk.read("did") == "ran\n").then_some(())
    })
    .await;
    // A NUL in what it said is none that a database would not keep.
    stands(&world, "checks.1").await;
    child.kill().unwrap();
    child.wait().unwrap();
}
