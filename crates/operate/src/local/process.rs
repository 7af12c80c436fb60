//! The servers' processes. What runs is asked of the system, not of a file that says so: a file can be wrong.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::program;
use crate::release::SERVER;

/// A server that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) pid: i32,
    /// The folder of its release.
    pub(crate) dir: PathBuf,
}

impl Running {
    /// Whether it runs that file, and not one that was at its place before.
    pub(crate) fn is(&self, program: &Path) -> bool {
        let identity = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.dev(), found.ino()))
        };
        let own = identity(Path::new(&format!("/proc/{}/exe", self.pid)));
        // Whose file cannot be seen is believed.
        own.is_none() || own == identity(program)
    }
}

/// The process that was started to listen there, if it lives.
pub(crate) fn find(listen: SocketAddr) -> Option<Running> {
    let listen = listen.to_string();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        // A process that ended and was not yet waited for has no arguments.
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let arguments: Vec<&str> = arguments
            .split(|byte| *byte == 0)
            .map(|word| std::str::from_utf8(word).unwrap_or_default())
            .collect();
        let program = Path::new(*arguments.first()?);
        let is_server = program.is_absolute() && program.file_name()? == SERVER;
        let is_there = arguments
            .windows(2)
            .any(|pair| matches!(pair, ["--listen", address] if *address == listen));
        (is_server && is_there).then(|| Running {
            pid,
            dir: program.parent().unwrap_or(Path::new("/")).to_owned(),
        })
    })
}

/// Whether the system tells no arguments of a process yet: so it is while its program is brought.
fn is_loading(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| arguments.is_empty())
}

/// How a server is started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: &'a [(String, String)],
    pub(crate) log: &'a Path,
}

impl Start<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts it in a process group of its own: it outlives whoever started it. Comes back once [`find`] sees it, or it ended.
    pub(crate) async fn spawn(&self) -> Result<(), Error> {
        let fault = |source| Error::Start(self.program.clone(), source);
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log)
            .map_err(fault)?;
        let mut child = self
            .command()
            .stdout(log.try_clone().map_err(fault)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(fault)?;
        // A program that the disk is slow to bring has no arguments yet, as one that ended: it would be taken for gone.
        let pid = child.id();
        while matches!(child.try_wait(), Ok(None)) && is_loading(pid) {
            sleep(Duration::from_millis(2)).await;
        }
        // Waited for, so that an end is an end and not a zombie; nobody needs the status.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// Runs it to its end; what it printed. It may answer no, with 1.
    pub(crate) async fn ask(&self, limit: Duration) -> Result<String, Error> {
        let output = program::run(self.command().into(), limit).await?;
        let name = format!("{} {}", self.program.display(), self.arguments.join(" "));
        program::answered(&name, output)
    }

    /// Runs it to its end; what it said. Ctrl-C, which a terminal sends to everybody in the foreground, does not cut it.
    pub(crate) async fn run(&self, limit: Duration) -> Result<String, Error> {
        let mut command = self.command();
        command.process_group(0);
        let output = program::run(command.into(), limit).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let verb = self.arguments.first().map_or("", String::as_str);
        let name = format!("{} {verb}", self.program.display());
        program::succeeded(&name, output).map(|_| said)
    }
}

/// Asks it to finish, waits, and ends it if it does not.
pub(crate) async fn stop(listen: SocketAddr, limit: Duration) -> Result<(), Error> {
    let Some(running) = find(listen) else {
        return Ok(());
    };
    signal(running.pid, Signal::SIGTERM)?;
    let deadline = Instant::now() + limit;
    while find(listen).is_some_and(|found| found.pid == running.pid) {
        if Instant::now() >= deadline {
            signal(running.pid, Signal::SIGKILL)?;
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn signal(pid: i32, signal: Signal) -> Result<(), Error> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(Error::Failed {
            program: format!("process {pid}"),
            status: "unstopped".to_owned(),
            said: errno.desc().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

    use super::*;

    #[test]
    fn another_program_in_the_same_place_is_not_the_one_that_runs() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(SERVER);
        fs::copy("/bin/bash", &program).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let mut child = Command::new(&program)
            .args(["-c", "read line", "--listen", &listen.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let running = loop {
            if let Some(running) = find(listen) {
                break running;
            }
            std::thread::yield_now();
        };
        assert_eq!(running.dir, folder.path());
        assert!(running.is(&program));
        fs::remove_file(&program).unwrap();
        fs::copy("/bin/bash", &program).unwrap();
        assert!(!running.is(&program));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_server_that_was_started_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(SERVER);
        fs::copy("/bin/bash", &program).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let words = ["-c", "sleep 60; true", "--listen", &listen.to_string()];
        let start = Start {
            program,
            arguments: words.map(str::to_owned).to_vec(),
            environment: &[],
            log: &folder.path().join("log"),
        };
        let file = File::open(&start.program).unwrap();
        file.sync_all().unwrap();
        for _ in 0..100 {
            // From the disk each time, as the first start of a release is.
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
            start.spawn().await.unwrap();
            let running = find(listen).expect("it is taken for ended");
            signal(running.pid, Signal::SIGKILL).unwrap();
            while find(listen).is_some() {
                std::thread::yield_now();
            }
        }
    }
}
