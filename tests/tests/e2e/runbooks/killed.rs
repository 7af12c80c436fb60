//! The terminal is lost, `hubctl` is killed, the machine's user presses Ctrl-C: nothing that was done is forgotten, and no
//! command runs twice unasked.

use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::desk::{Desk, Said, block, ended};
use crate::world::until;

/// A block that says when it has begun, and ends when it may.
fn waiting() -> String {
    format!(
        "## 1. Before\n\n{}## 2. Long\n\n{}## 3. After\n\n{}",
        block("echo before >>did; SET=here", "exit 0"),
        block(
            "echo begun; echo long >>did; touch begun; while [ ! -e go ]; do sleep 0.02; done; echo \"ended $SET\"",
            "exit 0, says `ended here`"
        ),
        block("echo after >>did", "exit 0"),
    )
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

async fn begun(desk: &Desk) -> Child {
    let child = desk.begin(&["run", "test"], &["", ""]);
    until("the long block", || async {
        desk.path("begun").exists().then_some(())
    })
    .await;
    child
}

async fn goes_on(desk: &Desk) -> Said {
    desk.run(&["resume"], &["", "yes"]).await
}

#[tokio::test]
async fn a_killed_tool_is_resumed_and_its_command_is_heard_out() {
    let desk = Desk::with(&waiting());
    let mut child = begun(&desk).await;
    child.kill().unwrap();
    child.wait().unwrap();
    // It goes on without anybody: whoever comes back while it does waits for it.
    let resumed = desk.begin(&["resume"], &["", "yes"]);
    desk.file("go", "");
    let said = ended(resumed).await;
    said.ends(0, &["begun\nended here", "passed", "done: runbook test"]);
    assert_eq!(desk.read("did"), "before\nlong\nafter\n");
}

#[tokio::test]
async fn a_command_that_ended_meanwhile_is_known() {
    let desk = Desk::with(&waiting());
    let mut child = begun(&desk).await;
    child.kill().unwrap();
    child.wait().unwrap();
    desk.file("go", "");
    until("the end of the block", || async {
        let runs = std::fs::read_dir(desk.path("runbook-runs"))
            .unwrap()
            .flatten();
        let mut exits = runs.filter_map(|run| {
            let files = std::fs::read_dir(run.path()).ok()?;
            files
                .flatten()
                .find(|file| file.file_name().to_string_lossy().ends_with(".exit"))
        });
        exits.next().map(drop)
    })
    .await;
    goes_on(&desk).await.ends(0, &["ended here", "passed"]);
    assert_eq!(desk.read("did"), "before\nlong\nafter\n");
}

/// The machine lost its power while a line was written: whoever goes on does not write on top of it.
#[tokio::test]
async fn a_line_that_was_cut_off_does_not_spoil_those_after_it() {
    let desk = Desk::with(&format!(
        "## 1. Work\n\n{}",
        block("echo one >>did", "exit 0")
    ));
    desk.run(&["run", "test", "--as", "ä"], &[""])
        .await
        .ends(5, &[]);
    let run = std::fs::read_dir(desk.path("runbook-runs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let path = run.path().join("journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    // In the middle of a letter.
    let cut = whole.iter().rposition(|byte| *byte > 127).unwrap();
    std::fs::write(&path, &whole[..cut]).unwrap();
    desk.run(&["resume", "--as", "ben"], &["note all is well"])
        .await
        .ends(5, &["written down"]);
    desk.run(&["resume", "--as", "cyd"], &["yes"])
        .await
        .ends(0, &[]);
    assert_eq!(desk.read("did"), "one\n");
}

/// The machine was restarted: nobody can know how far the command came, so somebody must look.
#[tokio::test]
async fn a_command_that_was_killed_too_is_not_run_again_unasked() {
    let desk = Desk::with(&waiting());
    let mut child = begun(&desk).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let run = std::fs::read_dir(desk.path("runbook-runs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let files = std::fs::read_dir(run.path()).unwrap().flatten();
    let pid = files
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "pid"))
        .unwrap();
    let pid: i32 = std::fs::read_to_string(pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    nix::sys::signal::killpg(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let said = desk.run(&["resume"], &[]).await;
    said.ends(5, &["nobody saw it end: look whether it did its work"]);
    assert_eq!(desk.read("did"), "before\nlong\n");
    desk.file("go", "");
    let said = desk.run(&["resume"], &["", "", "yes"]).await;
    said.ends(0, &["ended here"]);
    assert_eq!(desk.read("did"), "before\nlong\nlong\nafter\n");
}

#[tokio::test]
async fn a_lost_terminal_does_not_disturb_the_command() {
    let desk = Desk::with(&waiting());
    let child = begun(&desk).await;
    signal(&child, Signal::SIGHUP);
    desk.file("go", "");
    ended(child)
        .await
        .ends(5, &["ended here", "passed", "hubctl runbook resume"]);
    goes_on(&desk).await.ends(0, &[]);
    assert_eq!(desk.read("did"), "before\nlong\nafter\n");
}

#[tokio::test]
async fn ctrl_c_ends_the_command_and_asks_what_now() {
    let desk = Desk::with(&waiting());
    let mut child = begun(&desk).await;
    // The terminal stays open: what is tried is the key, not its end.
    let open = child.stdin.take();
    signal(&child, Signal::SIGINT);
    until("the end of the long block", || async {
        let journal = std::fs::read_dir(desk.path("runbook-runs"))
            .unwrap()
            .next()?
            .ok()?;
        let text = std::fs::read_to_string(journal.path().join("journal.jsonl")).ok()?;
        text.contains("cut_off").then_some(())
    })
    .await;
    signal(&child, Signal::SIGINT);
    ended(child).await.ends(
        5,
        &["ada ended it", "Once more?", "somebody interrupted it"],
    );
    drop(open);
    let (one, other) = (desk.begin(&["resume"], &[]), desk.begin(&["resume"], &[]));
    // One of them works in it; the other is told so.
    let (mut one, mut other) = (one, other);
    let said = until("the one that is refused", || {
        let over = [one.try_wait().unwrap(), other.try_wait().unwrap()];
        async move { over.iter().position(Option::is_some) }
    })
    .await;
    let (held, refused) = if said == 0 {
        (other, one)
    } else {
        (one, other)
    };
    ended(refused).await.ends(2, &["another operation holds"]);
    signal(&held, Signal::SIGTERM);
    ended(held).await.ends(5, &[]);
    desk.file("go", "");
    desk.run(&["resume"], &["", "", "yes"]).await.ends(0, &[]);
}

/// On a real terminal, which then goes away.
#[tokio::test]
async fn it_runs_on_a_terminal_and_outlives_it() {
    let desk = Desk::with(&waiting());
    let mut child = desk.on_terminal(&["run", "test"]).spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut keys, b"\n\n").unwrap();
    until("the long block", || async {
        desk.path("begun").exists().then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    desk.file("go", "");
    let shown = desk.read("typescript");
    assert!(
        shown.contains("== 2. Long") && shown.contains("Run it? [Enter, ? for more]"),
        "{shown}"
    );
    until("the block's end in the journal", || async {
        let journal = std::fs::read_dir(desk.path("runbook-runs"))
            .unwrap()
            .next()?
            .ok()?;
        let text = std::fs::read_to_string(journal.path().join("journal.jsonl")).ok()?;
        (text.matches("\"passed\"").count() == 2).then_some(())
    })
    .await;
    let said = until("who goes on", || async {
        let said = goes_on(&desk).await;
        // The first one lets go a moment later.
        (!said.notes.contains("another operation holds")).then_some(said)
    })
    .await;
    said.ends(0, &[]);
    assert_eq!(desk.read("did"), "before\nlong\nafter\n");
}
