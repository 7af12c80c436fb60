//! A hub as a program of its own: started on a data directory, waited for until it listens, asked to finish or killed.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::error::{Error, fault};

/// For a hub to come up, or to finish.
pub(crate) const UP: Duration = Duration::from_mins(2);
/// For what was killed to be gone, in hundredths of a second.
pub(crate) const MOMENTS: u32 = 500;

/// A hub that was started.
pub(crate) struct Serving {
    child: Child,
    // Kept open: who prints into a closed pipe may end of it.
    lines: Option<Lines<BufReader<ChildStdout>>>,
    /// Shown once, at the first start on a database.
    pub(crate) secret: Option<SecretString>,
}

impl Serving {
    /// Starts it on a free port of the loopback, logging into a file.
    pub(crate) fn start(
        program: &Path,
        data_dir: &Path,
        log: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let file = File::create(log).map_err(fault(log, "written"))?;
        let mut command = Command::new(program);
        // Nothing of the operator's own environment: it could lead to another database.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HUB_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                Error::Absent("security-hub", "name it with --server")
            } else {
                Error::Start(program.to_owned(), source)
            }
        })?;
        let stdout = child.stdout.take();
        Ok(Self {
            child,
            lines: stdout.map(|stdout| BufReader::new(stdout).lines()),
            secret: None,
        })
    }

    /// Waits until it listens; where.
    pub(crate) async fn listens(&mut self) -> Result<String, String> {
        let read = tokio::time::timeout(UP, self.read()).await;
        read.unwrap_or_else(|_| Err(format!("it was not up within {UP:?}")))
    }

    async fn read(&mut self) -> Result<String, String> {
        let lines = self.lines.as_mut().ok_or("it has no output")?;
        loop {
            let Ok(Some(line)) = lines.next_line().await else {
                return Err("it ended".to_owned());
            };
            if let Some((_, secret)) = line.split_once("enrolment secret (shown once): ") {
                self.secret = Some(secret.trim().to_owned().into());
            }
            if let Some((_, url)) = line.split_once("listening on ") {
                return Ok(url.trim().to_owned());
            }
        }
    }

    /// Asks it to finish; a hub that hangs is ended.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        if tokio::time::timeout(UP, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends it as a lost machine would.
    pub(crate) async fn kill(mut self) {
        let _gone = self.child.kill().await;
    }

    /// The same where nothing can be awaited.
    pub(crate) fn end(mut self) {
        let _gone = self.child.start_kill();
        for _ in 0..MOMENTS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Why there is no answer. Without the address, which the chain of causes would begin with.
pub(crate) fn unanswered(path: &str, error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("{path} was not answered in time");
    }
    let why = hub_base::chain(&error.without_url());
    format!("{path} is not answered: {why}")
}

/// For asking a hub on this machine.
pub(crate) fn client(limit: Duration) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())
}
