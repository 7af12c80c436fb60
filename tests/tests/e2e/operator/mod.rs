//! An operator's day with `hubctl`: what it says in words and as one document, what it refuses, and how it ends.

mod accounts;
mod content;
mod incidents;
mod ledger;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::tool;

/// Where an operator sits: a hub's address, a folder for files, perhaps a credential.
pub(super) struct Desk {
    url: String,
    folder: tempfile::TempDir,
    token: Option<String>,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(super) struct Said {
    code: i32,
    out: String,
    notes: String,
}

impl Said {
    /// It ended so, and said these words somewhere.
    #[track_caller]
    fn ends(&self, code: i32, told: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        for words in told {
            let said = self.out.contains(words) || self.notes.contains(words);
            assert!(said, "`{words}` is not in {self:?}");
        }
        self
    }

    /// The one document of `--json`.
    #[track_caller]
    fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The cells of the table's row that holds this word.
    #[track_caller]
    fn row(&self, word: &str) -> Vec<&str> {
        let row = self.out.lines().find(|line| {
            let mut cells = line.split('|').map(str::trim);
            cells.any(|cell| cell == word)
        });
        let row = row.unwrap_or_else(|| panic!("no row of `{word}` in {self:?}"));
        row.trim_matches('|').split('|').map(str::trim).collect()
    }
}

impl Desk {
    fn at(url: &str, token: Option<&str>) -> Self {
        Self {
            url: url.to_owned(),
            folder: tempfile::tempdir().unwrap(),
            token: token.map(str::to_owned),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with this text; its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool::binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HUB_URL", &self.url)
            .env_remove("HUB_TOKEN")
            .envs(self.token.iter().map(|token| ("HUB_TOKEN", token)))
            .stdin(Stdio::null());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        finished(self.command(arguments)).await
    }

    /// With this text on standard input.
    async fn told(&self, arguments: &[&str], text: &str) -> Said {
        let file = std::fs::File::open(self.file("standard-input", text)).unwrap();
        let mut command = self.command(arguments);
        command.stdin(file);
        finished(command).await
    }

    /// Runs it once for people and once for machines; the second answer as its document.
    async fn both(&self, arguments: &[&str]) -> (Said, Value) {
        let words = self.run(arguments).await;
        let json = self.run(&[&["--json"], arguments].concat()).await;
        json.ends(words.code, &[]);
        (words, json.document())
    }
}

async fn finished(mut command: Command) -> Said {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        notes: String::from_utf8(output.stderr).unwrap(),
    }
}
