//! `hubctl runbook check`: a runbook that rots is found, with its line, and a sandbox leaves nothing behind.

use super::desk::{Desk, Said, block, book};

async fn check(desk: &Desk, steps: &str) -> Said {
    desk.file("books/test.md", &book(steps));
    // The sandbox gives what is asked for.
    desk.file(
        "books/sandbox/default.sh",
        "WHO=eve\nsecret() { echo no; }\n",
    );
    desk.run(&["check"], &[]).await
}

#[tokio::test]
async fn what_rots_is_found_with_its_line() {
    let desk = Desk::with("");
    let good = block("echo \"hello $WHO\"", "exit 0, says `hello $WHO`");
    let fine = format!("## 1. Greet\n\n{good}");
    check(&desk, &fine).await.ends(
        0,
        &[
            "✓ test: 2 blocks ran",
            "1 runbooks, all sound: 2 blocks ran, 0 cannot run here",
        ],
    );

    let cases = [
        (
            block("echo bye", "exit 0, says `hello`"),
            "test.md:13: step 1: it does not say `hello`",
        ),
        (
            block("cat no-such-file", "exit 0"),
            "test.md:13: step 1: exit 1, not 0",
        ),
        (
            block(
                "echo hello; panic=1; echo panic",
                "says `hello`, not `panic`",
            ),
            "step 1: it says `panic`",
        ),
        (
            block("hubctl backup lsit", "exit 0"),
            "test.md:13: `hubctl backup lsit`: unrecognized subcommand",
        ),
        (
            block("echo a | xargs hubctl health --wiat 5s", "exit 0"),
            "no option --wiat",
        ),
        (block("hubctl incident close 1", "exit 0"), "--verdict"),
        (block("if true; then", "exit 0"), "syntax error"),
        (block("echo \"$UNSET\"", "exit 0"), "exit 1, not 0"),
        (block("secret", "exit 0"), "exit 127, not 0"),
        (
            "```sh\ntrue\n```\n\nWords.\n".to_owned(),
            "test.md:13: nobody is told what this block must come to",
        ),
        (block("true", "all goes well"), "`Expect` expects nothing"),
        (
            "**Decide:** who?\n\n- **me** → step 7\n- **you**\n".to_owned(),
            "there is no step 7 to go to",
        ),
    ];
    for (steps, part) in cases {
        check(&desk, &format!("## 1. Greet\n\n{steps}"))
            .await
            .ends(1, &[part, "1 with faults"]);
    }
    // Every fault of a file at once.
    let many = "## 2. Greet\n\n```sh\ntrue\n```\n\n**Decide:** who?\n\n- me\n";
    check(&desk, many).await.ends(
        1,
        &[
            "test.md:11: step 2 follows step 0",
            "nobody is told",
            "an answer begins with its word in bold",
        ],
    );
    desk.run(&["check", "no-such"], &[])
        .await
        .ends(2, &["there is no runbook `no-such`", "there are test"]);
}

#[tokio::test]
async fn a_block_that_cannot_run_here_says_why_and_is_counted() {
    let desk = Desk::with("");
    let steps = format!(
        "## 1. Far\n\n**Not in the sandbox:** it needs a second host.\n\n{}",
        block("ssh far-away true", "exit 0")
    );
    let said = check(&desk, &steps).await;
    said.ends(
        0,
        &[
            "- test.md:15: not here: it needs a second host.",
            "1 blocks ran, 1 cannot run here",
        ],
    );
    // What is no shell is found all the same.
    let steps = steps.replace("ssh far-away true", "ssh far-away (");
    check(&desk, &steps).await.ends(1, &["syntax error"]);
}

/// Nothing of the caller's own hub gets in, and nothing that was started there stays.
#[tokio::test]
async fn a_sandbox_is_empty_and_leaves_nothing() {
    let desk = Desk::with("").at("http://127.0.0.1:9", "shk_secret");
    let script = "env | grep -c '^HUB_' || echo none; setsid sleep 31536007 >/dev/null 2>&1 & echo \"in $PWD\"; command -v security-hub";
    let steps = format!(
        "## 1. Look\n\n{}",
        block(script, "exit 0, says `none` and `in /`")
    );
    check(&desk, &steps).await.ends(0, &[]);
    let left = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|process| {
            let words = std::fs::read_to_string(process.path().join("cmdline"));
            words.is_ok_and(|words| words.contains("31536007") && !words.contains("setsid sleep"))
        });
    assert_eq!(left.count(), 0);
    let missing = book("## 1. Greet\n\nHello.\n");
    desk.file("books/test.md", &missing);
    desk.file("books/sandbox/default.sh", "echo sorry; exit 3\n");
    desk.run(&["check"], &[])
        .await
        .ends(1, &["✕ test: the sandbox: sorry"]);
    std::fs::remove_file(desk.path("books/sandbox/default.sh")).unwrap();
    desk.run(&["check"], &[])
        .await
        .ends(1, &["the sandbox gives no `WHO`"]);
}

/// What comes with the program is read where there is no checkout.
#[tokio::test]
async fn the_programs_own_runbooks_are_there_without_a_folder() {
    let desk = Desk::with("");
    let mut command = desk.command(&["list"]);
    command.env_remove("HUB_RUNBOOKS");
    let said = super::desk::ended(command.spawn().unwrap()).await;
    said.ends(0, &["backup-restore", "critical", "tenant-onboarding"]);
    let mut command = desk.command(&["check"]);
    command.env_remove("HUB_RUNBOOKS");
    let said = super::desk::ended(command.spawn().unwrap()).await;
    said.ends(0, &["0 blocks ran", "read only"]);
}
