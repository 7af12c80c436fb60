//! One host as an operator has it: a database, HAProxy, releases, `deploy.toml`, and people at work all the while.

use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use hub_testkit::TestDb;
use reqwest::Method;
use serde_json::{Value, json};

use super::load::{Load, Pace};
use crate::tool;
use crate::world::{PASSWORD, until};

/// How carefully the tests deploy: quickly, and with patience for a server that is not optimised and has just started.
const POLICY: &str = r#"
[policy]
steps = [10, 50, 100]
step = "2s"
bake = "2s"
ready = "20s"
drain = "5s"
look = "200ms"
[policy.tolerance]
fewest_requests = 20
patience = 3
slack = "600ms"
"#;

pub(super) struct Site {
    pub(super) folder: tempfile::TempDir,
    pub(super) url: String,
    haproxy: Child,
    /// An API key that may tell what was done, once there is one.
    key: OnceLock<String>,
    /// Where blue and green listen, to end what a test leaves.
    ports: [u16; 2],
    first: Option<PathBuf>,
    pub(super) database: TestDb,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _gone = self.haproxy.kill();
        let _gone = self.haproxy.wait();
        // A colour is nobody's child, and the server behind a faulty one's door outlives it.
        self.ports.into_iter().for_each(end);
        let here = self.folder.path().display().to_string();
        end_all(|words| words.starts_with(&here));
    }
}

/// Ends whoever listens there.
fn end(port: u16) {
    let text = format!("--listen\0127.0.0.1:{port}\0");
    end_all(|words| words.contains(&text));
}

/// Ends each process whose command line is such.
fn end_all(is_such: impl Fn(&str) -> bool) {
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let words = std::fs::read_to_string(process.path().join("cmdline"));
        let pid = process.file_name().to_string_lossy().parse::<i32>();
        if let (Ok(words), Ok(pid)) = (words, pid)
            && is_such(&words)
        {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// A server, with a mark at its end that makes it another one.
fn server(from: &Path, to: &Path, mark: &str) {
    std::fs::copy(from, to).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(to).unwrap();
    std::io::Write::write_all(&mut file, mark.as_bytes()).unwrap();
}

/// Deployed servers get nothing of our environment but, under `make coverage`, where their lines are counted.
fn counted() -> String {
    std::env::var("LLVM_PROFILE_FILE")
        .map(|path| format!("LLVM_PROFILE_FILE={path}\n"))
        .unwrap_or_default()
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Site {
    /// A site with nothing on it yet.
    pub(super) async fn new() -> Self {
        Self::of(None).await
    }

    /// The same, whose first release is another server than the one that is built.
    pub(super) async fn beginning_with(first: PathBuf) -> Self {
        Self::of(Some(first)).await
    }

    async fn of(first: Option<PathBuf>) -> Self {
        let mut database = hub_testkit::database().await;
        if first.is_some() {
            // It knows fewer migrations, and makes its own schema.
            database = database.unmigrated().await;
        }
        let folder = tempfile::tempdir().unwrap();
        let (bind, blue, green, log) = (free_port(), free_port(), free_port(), free_port());
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("state")).unwrap();
        std::fs::write(at("state/haproxy.state"), "").unwrap();
        let environment = format!(
            "DATABASE_URL_FILE={}\nHUB_DATABASE_OWNER_URL={}\nHUB_DATABASE_MIGRATE=false\nHUB_KEYS_FILE={}\n\
             HUB_LOG_FORMAT=json\nHUB_PUBLIC_URL=http://127.0.0.1:{bind}\nHUB_TRUSTED_PROXIES=127.0.0.1/32\nHUB_LIMITS_REQUESTS_PER_SECOND=100000\n\
             HUB_LIMITS_BURST=100000\n{}",
            at("database-url").display(),
            database.url_owner,
            at("keys.json").display(),
            counted(),
        );
        // A release from before there were mounted secrets would refuse their names.
        let environment = if first.is_some() {
            let plain = format!("DATABASE_URL={}", database.url_app);
            environment
                .replace(
                    &format!("DATABASE_URL_FILE={}", at("database-url").display()),
                    &plain,
                )
                .replace(
                    &format!("HUB_KEYS_FILE={}", at("keys.json").display()),
                    &format!("HUB_DATA_DIR={}", at("data").display()),
                )
        } else {
            environment
        };
        std::fs::write(at("database-url"), format!("{}\n", database.url_app)).unwrap();
        let made = Command::new(hub_testkit::hub::binary().unwrap())
            .arg("keys")
            .arg(at("keys.json"))
            .status();
        assert!(made.unwrap().success());
        let mut secret = std::fs::OpenOptions::new();
        let secret = secret.write(true).create(true).truncate(true).mode(0o600);
        std::io::Write::write_all(
            &mut secret.open(at("hub.env")).unwrap(),
            environment.as_bytes(),
        )
        .unwrap();
        std::fs::write(
            at("deploy.toml"),
            format!(
                "[local]\nhaproxy = 'haproxy.sock'\nlog = '127.0.0.1:{log}'\nblue = '127.0.0.1:{blue}'\n\
                 green = '127.0.0.1:{green}'\nstate = 'state'\nenvironment = 'hub.env'\n{POLICY}"
            ),
        )
        .unwrap();
        let shipped =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../infrastructure/haproxy/haproxy.cfg");
        let haproxy = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(shipped)
            .env("LB_BIND", format!("127.0.0.1:{bind}"))
            .env("LB_BLUE", format!("127.0.0.1:{blue}"))
            .env("LB_GREEN", format!("127.0.0.1:{green}"))
            .env("LB_SOCKET", at("haproxy.sock"))
            .env("LB_STATES", at("state/haproxy.state"))
            .env("LB_LOG", format!("127.0.0.1:{log}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy is not installed: scripts/bootstrap.sh test");
        let site = Self {
            url: format!("http://127.0.0.1:{bind}"),
            haproxy,
            key: OnceLock::new(),
            ports: [blue, green],
            first,
            database,
            folder,
        };
        until("HAProxy's socket", || async {
            std::os::unix::net::UnixStream::connect(site.at("haproxy.sock")).ok()
        })
        .await;
        site
    }

    /// Where blue and green listen.
    pub(super) const fn ports(&self) -> [u16; 2] {
        self.ports
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// For a release that must be found bad: a busy machine serves fewer requests, and few errors in a short time may be chance.
    pub(super) fn watched_long(&self) {
        let config = std::fs::read_to_string(self.at("deploy.toml")).unwrap();
        let long = config.replace("\nbake = \"2s\"", "\nbake = \"30s\"");
        assert_ne!(long, config);
        std::fs::write(self.at("deploy.toml"), long).unwrap();
    }

    /// The last that a colour's server said.
    pub(super) fn said(&self, colour: &str) -> String {
        let log = std::fs::read_to_string(self.at(&format!("state/{colour}.log")));
        let log = log.unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(8);
        format!("{colour}: {}", lines[last..].join("\n"))
    }

    /// Ends a colour's process, as a crash does.
    pub(super) fn end(&self, colour: &str) {
        end(self.ports[usize::from(colour == "green")]);
    }

    /// A real release: the server as built.
    pub(super) fn release(&self, name: &str) -> PathBuf {
        self.release_of(&hub_testkit::hub::binary().unwrap(), name)
    }

    fn release_of(&self, program: &Path, name: &str) -> PathBuf {
        self.release_of_with(program, name, None)
    }

    /// The same, with one more file under its seal.
    pub(super) fn release_with(&self, name: &str, file: &str, text: &str) -> PathBuf {
        let program = hub_testkit::hub::binary().unwrap();
        self.release_of_with(&program, name, Some((file, text)))
    }

    fn release_of_with(&self, program: &Path, name: &str, more: Option<(&str, &str)>) -> PathBuf {
        let dir = self.at(name);
        std::fs::create_dir(&dir).unwrap();
        server(program, &dir.join("security-hub"), name);
        if let Some((file, text)) = more {
            std::fs::write(dir.join(file), text).unwrap();
        }
        self.seal(&dir, name);
        dir
    }

    /// Has the database forget the migrations that are newer than this one.
    pub(super) fn take_back(&self, to: &str) {
        let done = Command::new(hub_testkit::hub::binary().unwrap())
            .args(["migrate", "--revert", to, "--snapshot"])
            .arg(self.at("before.dump"))
            .env("DATABASE_URL", &self.database.url_app)
            .env("HUB_DATABASE_OWNER_URL", &self.database.url_owner)
            .env("HUB_DATA_DIR", self.at("data"))
            .output();
        assert!(done.unwrap().status.success());
    }

    /// A release with a fault.
    pub(super) fn faulty(&self, fault: &str) -> PathBuf {
        self.faulty_as("9.9.9", fault)
    }

    pub(super) fn faulty_as(&self, version: &str, fault: &str) -> PathBuf {
        let dir = self.at(version);
        std::fs::create_dir(&dir).unwrap();
        server(
            &hub_testkit::hub::binary().unwrap(),
            &dir.join("real"),
            version,
        );
        std::fs::copy(env!("CARGO_BIN_EXE_faulty-hub"), dir.join("security-hub")).unwrap();
        std::fs::write(dir.join("fault"), fault).unwrap();
        self.seal(&dir, version);
        dir
    }

    pub(super) fn seal(&self, dir: &Path, version: &str) {
        let said = self.hubctl(&[
            "release",
            "seal",
            dir.to_str().unwrap(),
            "--named",
            version,
            "--commit",
            "0123abc",
            "--committed",
            "2026-11-01T10:00:00+01:00",
            "--key",
            self.at("release-key.json").to_str().unwrap(),
        ]);
        assert!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool::binary());
        command
            .args(arguments)
            .env("HUB_DEPLOY_CONFIG", self.at("deploy.toml"))
            .env("HUB_URL", &self.url)
            .env_remove("HUB_TOKEN")
            .envs(self.key.get().map(|key| ("HUB_TOKEN", key)))
            .stdin(Stdio::null());
        command
    }

    pub(super) fn hubctl(&self, arguments: &[&str]) -> std::process::Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it to its end beside the load; its exit code and its document.
    pub(super) async fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = self.command(arguments);
        command.arg("--json");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let document = serde_json::from_slice(&output.stdout).unwrap_or(json!(words));
        (output.status.code().unwrap_or(-1), document)
    }

    pub(super) async fn deploy(&self, release: &Path) -> (i32, Value) {
        self.run(&["deploy", "--release", release.to_str().unwrap()])
            .await
    }

    /// The folder of the release that has all the traffic.
    pub(super) async fn live(&self) -> String {
        let (_, status) = self.run(&["status"]).await;
        let colours = status["colours"].as_array().expect("no status").clone();
        let live: Vec<&Value> = colours
            .iter()
            .filter(|colour| colour["share"] == 100)
            .collect();
        assert_eq!(live.len(), 1, "{colours:?}");
        let path = PathBuf::from(live[0]["release"].as_str().unwrap());
        path.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The first release, with an administrator; returns their token.
    pub(super) async fn begin(&self) -> String {
        let first = match &self.first {
            Some(program) => self.release_of(program, "1.0.0"),
            None => self.release("1.0.0"),
        };
        let (code, outcome) = self.deploy(&first).await;
        assert_eq!(
            (code, &outcome["outcome"]),
            (0, &json!("deployed")),
            "{outcome}"
        );
        let secret = until("the enrolment secret", || async {
            let log = std::fs::read_to_string(self.at("state/blue.log")).ok()?;
            let rest = log.split("(shown once): ").nth(1)?;
            rest.split_whitespace().next().map(str::to_owned)
        })
        .await;
        let person = json!({
            "secret": secret, "username": "root", "email": "root@example.org", "password": PASSWORD,
        });
        self.ask(Method::POST, "/api/v2/enrol", "", person).await;
        let token = self.sign_in().await;
        if self.first.is_some() {
            // It may not know that permission.
            return token;
        }
        let key = json!({"name": "deploys", "scopes": ["operations.record", "operations.read"]});
        let key = self
            .ask(Method::POST, "/api/v2/api-keys", &token, key)
            .await;
        self.key
            .set(key["key"].as_str().unwrap().to_owned())
            .unwrap();
        token
    }

    pub(super) async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> Value {
        ask(&self.url, method, path, token, body).await
    }

    pub(super) async fn sign_in(&self) -> String {
        let login = json!({"tenant": "system", "username": "root", "password": PASSWORD});
        let answer = self.ask(Method::POST, "/api/v2/login", "", login).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Sets people to work until the load is stopped.
    pub(super) fn load(&self, token: &str) -> Load {
        Load::start(&self.url, token)
    }

    /// The same, who only read.
    pub(super) fn readers(&self, token: &str) -> Load {
        Load::at(Pace::READING, &self.url, token)
    }
}

/// An answer that must be good.
pub(super) async fn ask(url: &str, method: Method, path: &str, token: &str, body: Value) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.request(method, format!("{url}{path}"));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if body != Value::Null {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}
