//! A hub on its own private cluster, as somebody runs it on one machine, with what a recovery test does to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hub_testkit::hub::{Hub, Setting};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tool::{binary, patiently};
use crate::world::{Actor, PASSWORD, make_tenant, start};

pub(super) struct Site {
    pub(super) hub: Option<Hub>,
    pub(super) folder: TempDir,
    pub(super) operator: Actor,
    pub(super) owner: Actor,
    /// May tell what was done.
    pub(super) key: String,
}

impl Site {
    pub(super) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        open(folder.path());
        let hub = start(Setting::default(), &folder.path().join("data")).await;
        let nobody = Actor::anonymous(&hub);
        let enrol = json!({"secret": hub.secret, "username": "root", "email": "r@x.example", "password": PASSWORD});
        nobody.post("/api/v2/enrol", enrol).await.expect(201);
        let operator = nobody.signed_in("system", "root").await;
        make_tenant(&operator, "acme").await;
        let owner = nobody.signed_in("acme", "ada").await;
        let key = json!({"name": "backup", "scopes": ["operations.record", "health.read"]});
        let key = operator.post("/api/v2/api-keys", key).await;
        let key = key.expect(201).text("key").to_owned();
        Self {
            hub: Some(hub),
            folder,
            operator,
            owner,
            key,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// `hubctl`, at this site's data directory, telling this site's hub.
    pub(super) async fn hubctl(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(words);
        if !words.contains(&"--repository") && words[0] != "keys" {
            command.arg("--data-dir").arg(self.data());
        }
        let url = self
            .hub
            .as_ref()
            .map_or_else(String::new, |hub| hub.url.clone());
        command
            .env_remove("HUB_URL")
            .env("HUB_TOKEN", &self.key)
            .args([
                "--url",
                if url.is_empty() {
                    "http://127.0.0.1:9"
                } else {
                    &url
                },
            ]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// The same, which must succeed.
    pub(super) async fn done(&self, words: &[&str]) -> String {
        let output = self.hubctl(words).await;
        let said = words_of(&output);
        assert!(output.status.success(), "{words:?}: {said}");
        said
    }

    /// The same, which must fail with these words.
    pub(super) async fn refused(&self, words: &[&str], part: &str) {
        let output = self.hubctl(words).await;
        let said = words_of(&output);
        assert!(!output.status.success(), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }

    pub(super) async fn json(&self, words: &[&str]) -> Value {
        let output = self.hubctl(&[words, &["--json"]].concat()).await;
        assert!(output.status.success(), "{words:?}: {}", words_of(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Makes a person of `acme`: an act that a restore has or has not.
    pub(super) async fn person(&self, name: &str) {
        person_by(&self.owner, name).await;
    }

    /// Stops the hub in good order.
    pub(super) async fn stop(&mut self) {
        let mut hub = self.hub.take().unwrap();
        hub.terminate().unwrap();
        tokio::task::spawn_blocking(move || hub.wait().unwrap())
            .await
            .unwrap();
    }

    /// The machine is gone: all that works in its folder is killed, the database's archiver too, which outlives the
    /// postmaster for a moment and would write on.
    pub(super) fn lose(&mut self) {
        self.hub.take().unwrap().kill().unwrap();
        let data = std::fs::canonicalize(self.data()).unwrap();
        loop {
            let left = working_in(&data);
            if left.is_empty() {
                return;
            }
            for process in left {
                // It may have ended meanwhile.
                let _gone = kill(process, Signal::SIGKILL);
            }
            std::thread::yield_now();
        }
    }

    /// Ends the file of the log that is written now, and waits until the repository has it.
    pub(super) async fn archived(&self) {
        let file = Self::sql(&self.data(), "select pg_walfile_name(pg_switch_wal())");
        let has = format!("select last_archived_wal >= '{file}' from pg_stat_archiver");
        patiently("the archive", || async {
            (Self::sql(&self.data(), &has) == "t").then_some(())
        })
        .await;
    }

    /// SQL as the superuser; what it printed.
    pub(super) fn sql(data: &Path, text: &str) -> String {
        let socket = std::fs::canonicalize(data.join("postgres/run")).unwrap();
        let output = Command::new("psql")
            .args([
                "-At",
                "-U",
                "hub_root",
                "-d",
                "hub",
                "-v",
                "ON_ERROR_STOP=1",
            ])
            .arg("-h")
            .arg(socket)
            .args(["-c", text])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words_of(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// The processes whose working directory is in `folder`: a database's is its data directory, and its children's too. And those
/// that were told of it: what pushes segments to the repositories stands in the root directory.
fn working_in(folder: &Path) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    processes
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let works = std::fs::read_link(entry.path().join("cwd")).ok()?;
            let told = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            let pushes = told.starts_with("pgbackrest") && told.contains(folder.to_str()?);
            (works.starts_with(folder) || pushes).then(|| Pid::from_raw(process))
        })
        .collect()
}

/// The database's user must get to its files.
pub(super) fn open(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub(super) fn postmaster(data: &Path) -> Pid {
    let text = std::fs::read_to_string(data.join("postgres/data/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

pub(super) fn words_of(output: &Output) -> String {
    let mut bytes = output.stdout.clone();
    bytes.extend_from_slice(&output.stderr);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A hub on what was restored, and its owner of `acme`.
pub(super) async fn on(data: &Path) -> (Hub, Actor) {
    let hub = start(Setting::default(), data).await;
    let owner = Actor::anonymous(&hub).signed_in("acme", "ada").await;
    (hub, owner)
}

/// One more person in the owner's tenant.
pub(super) async fn person_by(owner: &Actor, name: &str) {
    let body = json!({"username": name, "email": format!("{name}@acme.example"), "display_name": name,
        "password": PASSWORD, "roles": ["member"]});
    owner.post("/api/v2/users", body).await.expect(201);
}

/// The people of `acme`.
pub(super) async fn people(owner: &Actor) -> Vec<String> {
    let users = owner.get("/api/v2/users?limit=200").await;
    let users = users.expect(200).body["items"].as_array().unwrap().clone();
    let names = users
        .iter()
        .map(|user| user["username"].as_str().unwrap().to_owned());
    names.collect()
}
