//! Somebody at a terminal with a runbook of their own.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::tool::binary;

/// What every runbook must have, around these steps.
pub(super) fn book(steps: &str) -> String {
    format!(
        "---\npurpose: A test.\nseverity: low\nroles: [on-call]\ntime_limit: 10m\nask:\n  WHO: whom to greet\n---\n# A test\n\n{steps}\n\n\
         ## Checks\n\n- [ ] all is well\n\n## Roll back\n\n```sh\necho back >>did\n```\n\n**Expect:** exit 0\n"
    )
}

/// A command block and what it must come to.
pub(super) fn block(script: &str, expect: &str) -> String {
    format!("```sh\n{script}\n```\n\n**Expect:** {expect}\n\n")
}

pub(super) struct Desk {
    pub(super) folder: TempDir,
    /// Which hub, with which credential.
    hub: Option<(String, String)>,
}

/// How it ended, and what it said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) notes: String,
}

impl Said {
    #[track_caller]
    pub(super) fn ends(self, code: i32, told: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for words in told {
            let said = self.out.contains(words) || self.notes.contains(words);
            assert!(said, "`{words}` is not in {self:#?}");
        }
        self
    }

    #[track_caller]
    pub(super) fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Desk {
    pub(super) fn with(steps: &str) -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            hub: None,
        };
        desk.file("books/test.md", &book(steps));
        desk
    }

    /// Who tells this hub what was done.
    pub(super) fn at(mut self, url: &str, token: &str) -> Self {
        self.hub = Some((url.to_owned(), token.to_owned()));
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What blocks wrote into this file; nothing if there is none.
    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("runbook")
            .args(words)
            .current_dir(self.folder.path())
            .env("HUB_RUNBOOKS", "books")
            .env("HUB_BIN", hub_testkit::hub::binary().unwrap())
            .env("SUDO_USER", "ada")
            .env_remove("HUB_TOKEN")
            .env_remove("HUB_NOTIFY_CONFIG")
            .env("HUB_URL", "http://127.0.0.1:9")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some((url, token)) = &self.hub {
            command.env("HUB_URL", url).env("HUB_TOKEN", token);
        }
        command
    }

    /// The same on a real terminal, whose screen is in the file `typescript`.
    pub(super) fn on_terminal(&self, words: &[&str]) -> Command {
        let tool = self.command(&[]);
        let line = format!(
            "{} runbook {}",
            tool.get_program().to_string_lossy(),
            words.join(" ")
        );
        let mut terminal = Command::new("script");
        terminal
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--command",
                &line,
                "typescript",
            ])
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        for (name, value) in tool.get_envs() {
            match value {
                Some(value) => terminal.env(name, value),
                None => terminal.env_remove(name),
            };
        }
        terminal
    }

    /// Begun, with these answers; standard input stays open.
    pub(super) fn begin(&self, words: &[&str], answers: &[&str]) -> Child {
        let child = self.command(words).spawn().unwrap();
        let mut to = child.stdin.as_ref().unwrap();
        writeln!(to, "{}", answers.join("\n")).unwrap();
        child
    }

    /// To its end, with these answers and no more.
    pub(super) async fn run(&self, words: &[&str], answers: &[&str]) -> Said {
        let mut command = self.command(words);
        let text = answers
            .iter()
            .fold(String::new(), |text, answer| text + *answer + "\n");
        let file = self.file("standard-input", &text);
        command.stdin(std::fs::File::open(file).unwrap());
        ended(command.spawn().unwrap()).await
    }
}

pub(super) async fn ended(child: Child) -> Said {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        notes: String::from_utf8(output.stderr).unwrap(),
    }
}
