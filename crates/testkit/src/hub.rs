//! The real server in a process of its own, on a free port, for tests that come through the public door.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::database::TestDb;

/// How a test wants its server.
#[derive(Debug, Default, Clone)]
pub struct Setting {
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

/// A running `security-hub serve`; killed when dropped.
#[derive(Debug)]
pub struct Hub {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// Shown once, at the first start on a database.
    pub secret: Option<String>,
    log: Arc<Mutex<String>>,
}

/// A server on `database`, serving.
///
/// # Panics
/// If it does not come up; the text holds its log.
#[expect(clippy::panic, reason = "a test without its server has nothing to say")]
pub fn hub(database: &TestDb, data_dir: &Path) -> Hub {
    match Setting::on(database).start(data_dir) {
        Ok(hub) => hub,
        Err(error) => panic!("{error:#}"),
    }
}

/// The binary under test: `HUB_BIN`, or built by cargo now.
///
/// # Errors
/// If it cannot be built.
pub fn binary() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = std::env::var_os("HUB_BIN") {
        return Ok(path.into());
    }
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--package",
            "security-hub",
            "--bin",
            "security-hub",
            "--message-format",
            "json",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .context("cargo could not be started")?;
    ensure!(
        output.status.success(),
        "the server does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
        .context("cargo built no executable")
}

impl Setting {
    /// A server on a test's database.
    pub fn on(database: &TestDb) -> Self {
        Self::default()
            .with("DATABASE_URL", &database.url_app)
            .with("HUB_DATABASE_OWNER_URL", &database.url_owner)
    }

    /// With an environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The command, for tests that expect it to refuse.
    ///
    /// # Errors
    /// If the binary cannot be built.
    pub fn command(&self, verb: &str, data_dir: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(binary()?);
        for (name, _) in std::env::vars() {
            if name.starts_with("HUB_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command
            .arg(verb)
            .env("HUB_DATA_DIR", data_dir)
            .env("HUB_LISTEN", "127.0.0.1:0")
            .env("HUB_LOG_FORMAT", "json")
            .envs(
                self.environment
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            )
            .args(&self.arguments)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// If it ends or says nothing for a minute; the text holds its log.
    pub fn start(&self, data_dir: &Path) -> anyhow::Result<Hub> {
        let mut child = self
            .command("serve", data_dir)?
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the server could not be started")?;
        let log = Arc::new(Mutex::new(String::new()));
        collect(&mut child, &log);
        let lines = child
            .stdout
            .take()
            .map(lines)
            .context("its output is piped")?;
        let mut hub = Hub {
            child,
            url: String::new(),
            secret: None,
            log,
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while hub.url.is_empty() {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => hub.read(&line),
                Err(_) => bail!("the server did not come up:\n{}", hub.log()),
            }
        }
        Ok(hub)
    }
}

fn collect(child: &mut Child, log: &Arc<Mutex<String>>) {
    let Some(stderr) = child.stderr.take() else {
        return;
    };
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}

fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            if send.send(std::mem::take(&mut line)).is_err() {
                // Nobody listens any more; the pipe must still not fill up.
                let _rest = reader.read_to_end(&mut Vec::new());
                return;
            }
        }
    });
    receive
}

impl Hub {
    fn read(&mut self, line: &str) {
        if let Some((_, secret)) = line.split_once("enrolment secret (shown once): ") {
            self.secret = Some(secret.trim().to_owned());
        }
        if let Some((_, url)) = line.split_once("listening on ") {
            url.trim().clone_into(&mut self.url);
        }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Its log, for whoever lives on without it.
    pub fn log_handle(&self) -> Arc<Mutex<String>> {
        Arc::clone(&self.log)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of the server, `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// SIGTERM: the beginning of a graceful shutdown.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Any signal.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// If the process cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _gone = self.kill();
    }
}
