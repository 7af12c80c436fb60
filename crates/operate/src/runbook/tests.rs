use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const FRONT: &str = "---\npurpose: Something is slow.\nseverity: high\nroles: [on-call]\ntime_limit: 30m\nask:\n  TENANT: its slug\n---\n";
const END: &str = "\n## Checks\n\n- [ ] all is well\n\n## Roll back\n\nNothing was changed.\n";

fn book(body: &str) -> Result<Runbook, Vec<Fault>> {
    Runbook::parse("a", &format!("{FRONT}# A\n\n{body}{END}"))
}

fn faults(body: &str) -> Vec<String> {
    let faults = book(body).unwrap_err();
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.line, fault.what))
        .collect()
}

const GOOD: &str = "Read this.\n\n## Background\n\nWords.\n\n## 1. Look\n\nFirst look.\n\n```sh\nhubctl health\n```\n\n\
**Expect:** exit 0 or 1, and it says `ready`, not `failed`.\n\nThen think.\n\n- [ ] the pager is silenced\n- [ ] somebody knows\n\n\
## 2. Decide\n\n**Decide:** is it bad?\n\n- **yes**: people notice → step 4\n- **no**: nobody does → stop\n- **worse** → roll back\n\n\
## 3. Wait\n\nDrink tea.\n\n## 4. Mend\n\n**Not in the sandbox:** it needs a second host.\n\n```bash\nssh other hubctl health\n```\n\n**Expect:** exit 0\n\nSaid after.\n\n**Go on:** step 3\n";

#[test]
fn a_runbook_is_steps_checks_and_a_way_back() {
    let book = book(GOOD).unwrap();
    let labels: Vec<String> = book.sections.iter().map(Section::label).collect();
    assert_eq!(labels, ["1", "2", "3", "4", "checks", "roll back"]);
    assert_eq!(
        (book.title.as_str(), book.front.severity),
        ("A", Severity::High)
    );
    let look = &book.sections[0];
    assert_eq!(look.items.len(), 3, "{look:?}");
    assert_eq!(look.items[0].text, "First look.");
    let What::Command {
        script,
        expect,
        elsewhere,
    } = &look.items[0].what
    else {
        panic!("{look:?}")
    };
    assert_eq!((script.as_str(), elsewhere), ("hubctl health\n", &None));
    assert_eq!(
        expect.to_string(),
        "exit 0 or 1, says `ready`, not `failed`"
    );
    assert_eq!(look.items[1].text, "Then think.");
    assert_eq!(
        look.items[2].what,
        What::Confirm {
            what: "somebody knows".to_owned()
        }
    );
    let What::Decision { question, choices } = &book.sections[1].items[0].what else {
        panic!()
    };
    assert_eq!(question, "is it bad?");
    let then: Vec<Then> = choices.iter().map(|choice| choice.then).collect();
    assert_eq!(then, [Then::Step(4), Then::Stop, Then::RollBack]);
    assert_eq!(choices[0].means, "people notice");
    // Words alone are something that a person does.
    assert_eq!(
        book.sections[2].items[0].what,
        What::Confirm {
            what: "Wait".to_owned()
        }
    );
    let mend = &book.sections[3];
    assert!(
        matches!(&mend.items[0].what, What::Command { elsewhere: Some(why), .. } if why == "it needs a second host.")
    );
    assert_eq!(
        (mend.after.as_str(), mend.then),
        ("Said after.", Then::Step(3))
    );
}

#[test]
fn every_fault_is_named_with_its_line() {
    assert_eq!(
        faults("## 1. A\n\n```sh\ntrue\n```\n\n**Expect:** much\n"),
        ["17: `Expect` expects nothing: name an exit code (`exit 0`), or words in backticks"]
    );
    let many = faults(
        "## 2. A\n\n- text\n\n  ```sh\n  true\n  ```\n\n**Expect:** exit 0\n\n**Decide:** who?\n\n- me\n",
    );
    assert_eq!(
        many,
        [
            "11: step 2 follows step 0",
            "13: a shell block inside of a list or a quotation is run by nobody: let it stand by itself",
            "19: `Expect` must follow the command block it is of",
            "23: an answer begins with its word in bold: `**yes**: …`, not `me`",
            "23: a decision needs two answers at least",
        ]
    );
    let nowhere = faults("## 1. A\n\n**Decide:** who?\n\n- **a** → step 9\n- **b** → home\n");
    assert_eq!(
        nowhere[..2],
        [
            "15: a decision needs two answers at least",
            "15: there is no step 9 to go to"
        ]
    );
    assert!(nowhere[2].contains("`home` leads nowhere"), "{nowhere:?}");
    assert_eq!(
        faults("## 1. A\n\n**Not in the sandbox:** why\n"),
        ["13: no command block follows this"]
    );
    assert_eq!(
        faults("```sh\ntrue\n```\n\n## 1. A\n")[0].split(':').next(),
        Some("11")
    );
    let lines = |text: &str| Runbook::parse("a", text).unwrap_err()[0].what.clone();
    assert!(lines("# A\n").contains("front matter is missing"));
    assert!(lines("---\npurpose: x\n").contains("does not end"));
    let awful = Runbook::parse("a", "---\npurpose: x\nseverity: awful\n---\n").unwrap_err();
    assert!(
        awful.iter().any(|fault| fault.what.contains("awful")),
        "{awful:?}"
    );
    let lower = FRONT.replace("TENANT", "tenant");
    assert!(lines(&format!("{lower}# A\n## 1. A\n{END}")).contains("cannot be a variable"));
    assert!(
        lines(&format!("{FRONT}# A\n\n## 1. A\n")).contains("`## Checks` must stand there once")
    );
}

#[test]
fn calls_of_a_program_are_found_wherever_they_stand() {
    let script = "set -x # hubctl none\nHUB=1 hubctl backup list --json | grep \"$(hubctl health --wait '5 s')\" 2>/dev/null\n\
                  if ! /usr/bin/hubctl keys list; then :; fi\nhubctl deploy \\\n  --release \"$DIR\" >out && echo hubctl-like";
    let found = calls(script, "hubctl");
    let words: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
    assert_eq!(
        words,
        [
            "backup list --json",
            "health --wait 5 s",
            "keys list",
            "deploy --release $DIR"
        ]
    );
}

#[test]
fn an_expectation_is_judged_with_variables_in_it() {
    let expect =
        Expect::parse("it ends with exit 1, 2 or 3 and says `tenant $NAME`, but not `panic`")
            .unwrap();
    assert_eq!(expect.exits, [1, 2, 3]);
    let variables = BTreeMap::from([("NAME".to_owned(), "acme".to_owned())]);
    let judge = |exit, text| expect.judge(exit, text, &variables);
    assert_eq!(judge(Some(2), "tenant acme"), Ok(()));
    assert_eq!(
        judge(Some(0), "tenant acme"),
        Err("exit 0, not 1 or 2 or 3".to_owned())
    );
    assert_eq!(
        judge(Some(1), "tenant x"),
        Err("it does not say `tenant acme`".to_owned())
    );
    assert_eq!(
        judge(Some(1), "tenant acme: panic"),
        Err("it says `panic`".to_owned())
    );
    assert_eq!(
        judge(None, "tenant acme"),
        Err("it was ended by a signal".to_owned())
    );
}

#[tokio::test]
async fn what_is_no_shell_is_said() {
    syntax("if true; then echo a; fi").await.unwrap();
    let fault = syntax("if true; then").await.unwrap_err().to_string();
    assert!(fault.contains("syntax error"), "{fault}");
}

/// The shipped ones: without a fault, and each file is in the program.
#[test]
fn the_runbooks_of_the_program_are_those_of_the_folder() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../operations/runbooks");
    let names = |found: Vec<Found>| -> Vec<String> {
        let named = found.into_iter().map(|(name, book)| {
            if let Err(faults) = book {
                panic!("{name}: {faults:?}");
            }
            name
        });
        named.collect()
    };
    assert_eq!(
        names(all(None).unwrap()),
        names(all(Some(&folder)).unwrap())
    );
}

proptest! {
    /// Whatever somebody writes, it is read or refused with its reasons.
    #[test]
    fn no_text_makes_it_fall(body in "[\\PC\n]{0,400}") {
        if let Err(faults) = book(&body) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn no_pieces_in_any_order_make_it_fall(pieces in prop::collection::vec(prop::sample::select(vec![
        "## 1. A\n\n", "## 2. B\n\n", "```sh\ntrue\n```\n\n", "**Expect:** exit 0\n\n", "**Decide:** x?\n\n", "- **a** → step 2\n",
        "- [ ] done\n", "\n", "> ```sh\n> x\n", "**Not in the sandbox:** no\n\n", "## Checks\n\n", "# T\n", "```\n", "---\n", "| a |\n|--|\n",
    ]), 0..30)) {
        let text = pieces.concat();
        if let Ok(book) = book(&text) {
            prop_assert!(book.sections.iter().all(|section| !section.items.is_empty()));
        }
    }

    #[test]
    fn no_script_makes_the_splitter_fall(script in "[\\PC\n]{0,300}") {
        let _found = calls(&script, "hubctl");
    }

    /// Every call by itself is found as it was written.
    #[test]
    fn a_simple_call_is_split_as_a_shell_would(words in prop::collection::vec("[a-z-]{1,8}", 1..6)) {
        let script = format!("hubctl {}\n", words.join(" "));
        prop_assert_eq!(calls(&script, "hubctl"), vec![words]);
    }
}
