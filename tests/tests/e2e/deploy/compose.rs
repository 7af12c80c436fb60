//! Colours as services of a compose file. What plays the container engine here is a script with the real tools' command
//! lines that starts real servers: building images takes minutes, so podman itself is run by `make verify-image`.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::killed::{steps, under_way};
use super::site::Site;
use crate::world::until;

const ENGINE: &str = include_str!("engine.sh");

/// A site whose colours are run by the engine.
struct Composed(Site);

fn runnable(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl Composed {
    async fn new() -> Self {
        let site = Site::new().await;
        for folder in ["containers", "images"] {
            std::fs::create_dir(site.at(folder)).unwrap();
        }
        runnable(&site.at("engine"), ENGINE);
        for file in ["compose.yml", "override.yml", "all.env"] {
            std::fs::write(site.at(file), "").unwrap();
        }
        for (colour, port) in ["blue", "green"].iter().zip(site.ports()) {
            std::fs::write(site.at(colour), format!("127.0.0.1:{port}")).unwrap();
        }
        let engine = site.at("engine");
        let engine = engine.to_str().unwrap();
        let table = format!(
            "[local.compose]\nfiles = ['compose.yml', 'override.yml']\nenvironment = ['all.env']\n\
             command = ['{engine}', 'compose']\nengine = '{engine}'\n[policy]"
        );
        let file = site.at("deploy.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("environment = 'hub.env'\n", "");
        // Nobody is at work here: who judges is tested beside, with processes.
        let text = text
            .replace("[10, 50, 100]", "[100]")
            .replace("step = \"2s\"", "step = \"500ms\"");
        let text = text.replace("bake = \"2s\"", "bake = \"500ms\"");
        std::fs::write(file, text.replace("[policy]", &table)).unwrap();
        Self(site)
    }

    /// A release that names an image; `None` is the server as built, text another program.
    fn release(&self, name: &str, digit: char, program: Option<&str>) -> PathBuf {
        let digest = String::from(digit).repeat(64);
        let image = self.0.at(&format!("images/{digest}"));
        std::fs::create_dir(&image).unwrap();
        let server = image.join("security-hub");
        match program {
            Some(text) => runnable(&server, text),
            None => symlink(hub_testkit::hub::binary().unwrap(), server).unwrap(),
        }
        let folder = self.0.at(name);
        std::fs::create_dir(&folder).unwrap();
        let line = format!("registry.example/security-hub@sha256:{digest}\n");
        std::fs::write(folder.join("image"), line).unwrap();
        self.0.seal(&folder, name);
        folder
    }

    async fn deploys(&self, release: &std::path::Path, code: i32, outcome: &str) -> Value {
        let (ended, told) = self.0.deploy(release).await;
        assert_eq!(
            (ended, &told["outcome"]),
            (code, &json!(outcome)),
            "{told}\n{}\n{}",
            self.asked(),
            ["blue", "green"]
                .map(|colour| self.0.said(colour))
                .join("\n")
        );
        told
    }

    /// As an operator reads it: the exit code, what was printed, and the notes beside.
    async fn words(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.0.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or(-1);
        (code, text(output.stdout), text(output.stderr))
    }

    /// What the engine was asked so far.
    fn asked(&self) -> String {
        std::fs::read_to_string(self.0.at("asked")).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_deployed_as_services_of_a_compose_file_whole_machine() {
    let composed = Composed::new().await;
    let first = composed.release("1.0.0", 'a', None);
    composed.deploys(&first, 0, "deployed").await;
    assert_eq!(composed.0.live().await, "1.0.0");
    // Exactly what the tools are asked, with every file.
    let at = |name: &str| composed.0.at(name).display().to_string();
    let files = format!(
        "compose --env-file {} --file {} --file {}",
        at("all.env"),
        at("compose.yml"),
        at("override.yml")
    );
    let asked = composed.asked();
    for words in [
        "--profile migrate run --rm --no-deps -T migrate",
        "--profile blue up --detach --no-deps hub-blue",
    ] {
        let line = format!("{files} {words}");
        assert!(asked.lines().any(|asked| asked == line), "{line}: {asked}");
    }

    let second = composed.release("1.1.0", 'b', None);
    let deploy = ["deploy", "--release", second.to_str().unwrap()];
    let (code, plan, _) = composed
        .words(&[&deploy[..], &["--dry-run"]].concat())
        .await;
    assert_eq!(code, 0, "{plan}");
    for line in [
        "| artefact",
        "1. migrate the database to 1.1.0-",
        "2. start 1.1.0-",
        "as green, wait until it is ready",
        "3. shift the traffic from 1.0.0-",
        "100 %, each watched for 500ms",
        "Worse at any step: all the traffic returns to blue",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    let (code, said, notes) = composed.words(&deploy).await;
    assert_eq!(code, 0, "{said}\n{notes}");
    assert!(
        said.starts_with("deployed: 1.1.0-") && said.contains("the switch took"),
        "{said}"
    );
    for step in [
        "migrate", "start", "ready", "smoke", "share", "bake", "retire",
    ] {
        assert!(
            notes.lines().any(|line| line.starts_with(step)),
            "{step}: {notes}"
        );
    }
    // Nobody gave it a credential for the hub's ledger.
    assert!(
        notes.contains("not in the hub's ledger yet: 2 done here"),
        "{notes}"
    );
    assert_eq!(composed.0.live().await, "1.1.0");
    let (code, said, _) = composed.words(&["status"]).await;
    assert_eq!(code, 0, "{said}");
    for words in ["| green", "| 100 %", "| deployed"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // The old one was asked to finish, and stays for whoever reads its log.
    let asked = composed.asked();
    let stop = asked
        .lines()
        .find(|line| line.starts_with("stop --time"))
        .unwrap();
    assert!(stop.ends_with(" security-hub-blue"), "{stop}");
    assert!(composed.0.at("containers/security-hub-blue").exists());

    let (code, back) = composed.0.run(&["rollback"]).await;
    assert_eq!((code, &back["outcome"]), (0, &json!("deployed")), "{back}");
    assert_eq!(composed.0.live().await, "1.0.0");
    // What ended in between is known to have ended.
    let pid = std::fs::read_to_string(composed.0.at("containers/security-hub-blue/pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the end of blue", || async {
        let (_, status) = composed.0.run(&["status"]).await;
        status["colours"][0]["release"].is_null().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_cannot_run_is_taken_back_and_said_whole_machine() {
    let composed = Composed::new().await;
    let first = composed.release("1.0.0", 'a', None);
    composed.deploys(&first, 0, "deployed").await;
    // It crashes, and the engine starts it again: it answers, and is no good all the same.
    let looping = composed.release("1.0.1", 'e', None);
    let deploy = composed
        .0
        .command(&["deploy", "--json", "--release", looping.to_str().unwrap()]);
    let deploy = tokio::task::spawn_blocking(|| {
        let mut deploy = deploy;
        deploy.output().unwrap()
    });
    let count = composed.0.at("containers/security-hub-green/restarts");
    until("the new release", || async {
        steps(&under_way(&composed.0)?).filter(|done| *done >= 4)
    })
    .await;
    std::fs::write(&count, "1").unwrap();
    let output = deploy.await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("it was started again by itself"), "{told}");
    // It ends as soon as it serves.
    let dead = composed.release("1.1.0", 'b', Some("#!/bin/sh\n[ \"$1\" = migrate ]\n"));
    let (code, said, _) = composed
        .words(&["deploy", "--release", dead.to_str().unwrap()])
        .await;
    let engine = composed.0.at("engine").display().to_string();
    let why = format!("its container ended; see `{engine} logs security-hub-green`");
    assert!(
        code == 1 && said.starts_with("taken back: 1.1.0-") && said.contains(&why),
        "{said}"
    );
    // Its migration fails.
    let stuck = composed.release(
        "1.2.0",
        'c',
        Some("#!/bin/sh\necho 'error: 0042_more: no such table' >&2\nexit 1\n"),
    );
    let told = composed.deploys(&stuck, 1, "rolled_back").await;
    assert!(
        told.to_string().contains("0042_more: no such table"),
        "{told}"
    );
    // A binary is nothing that an engine runs.
    let binary = composed.0.release("1.3.0");
    let (code, said, notes) = composed
        .words(&["deploy", "--release", binary.to_str().unwrap()])
        .await;
    assert_eq!((code, notes.trim()), (1, "nothing was begun"), "{said}");
    assert!(
        said.contains("it has no `image`, which this target runs"),
        "{said}"
    );
    assert!(said.contains("FAILS"), "{said}");
    assert_eq!(composed.0.live().await, "1.0.0");
    // The engine is not there: nothing is begun, and nothing believed of what runs.
    std::fs::write(composed.0.at("engine-down"), "").unwrap();
    let next = composed.release("1.4.0", 'd', None);
    for arguments in [
        vec!["status"],
        vec!["deploy", "--release", next.to_str().unwrap()],
    ] {
        let (code, told) = composed.0.run(&arguments).await;
        assert_ne!(code, 0, "{told}");
        assert!(
            told.to_string().contains("cannot connect to the engine"),
            "{told}"
        );
    }
    std::fs::remove_file(composed.0.at("engine-down")).unwrap();
    assert_eq!(composed.0.live().await, "1.0.0");
}
