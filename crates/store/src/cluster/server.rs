//! One PostgreSQL server on this machine: made by `initdb`, reached through a Unix socket only, started and
//! stopped by `pg_ctl`. Blocking; callers in async code use `spawn_blocking`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal;
use nix::unistd::Pid;

use super::account::{self, Account};
use super::binaries::Binaries;
use super::error::Error;

/// The name of the superuser that `initdb` makes. Used for set-up only.
pub const SUPERUSER: &str = "hub_root";

/// A Unix socket's whole path, with its end and a NUL, must fit in 108 bytes.
const LONGEST_SOCKET_DIRECTORY: usize = 107 - "/.s.PGSQL.5432".len();

/// Sessions of a killed server notice within moments that it is gone.
const LAST_BREATHS: u32 = 100;
const BREATH: std::time::Duration = std::time::Duration::from_millis(100);

/// A server and everything it needs to be started.
#[derive(Debug, Clone)]
pub struct Server {
    pub binaries: Binaries,
    pub account: Option<Account>,
    /// PGDATA.
    pub data: PathBuf,
    /// Where the socket lies; nobody else can step in.
    pub socket: PathBuf,
    pub log: PathBuf,
    /// Lines for the configuration, `name = value`.
    pub settings: Vec<String>,
}

impl Server {
    /// A server under `base`, which exists and belongs to the server's user.
    pub fn under(
        base: &Path,
        account: Option<Account>,
        settings: Vec<String>,
    ) -> Result<Self, Error> {
        let data = base.join("data");
        let binaries = Binaries::find(data_major(&data), &data)?;
        let socket = socket_directory(base, account.as_ref())?;
        Ok(Self {
            binaries,
            account,
            data,
            socket,
            log: base.join("server.log"),
            settings,
        })
    }

    /// Makes the cluster if there is none. A half-made one (power cut during the first start) is made anew.
    pub fn init(&self) -> Result<(), Error> {
        if data_major(&self.data).is_some() {
            return Ok(());
        }
        // `initdb` writes aside and the rename is the last step: what is under `data` is always whole.
        let making = self.data.with_extension("making");
        if making.exists() {
            std::fs::remove_dir_all(&making).map_err(Error::files("remove", &making))?;
        }
        let mut command = self.command("initdb");
        command
            .arg("--pgdata")
            .arg(&making)
            .args([
                "--username",
                SUPERUSER,
                "--encoding",
                "UTF8",
                "--locale",
                "C",
            ])
            .args([
                "--data-checksums",
                "--auth-local",
                "trust",
                "--auth-host",
                "reject",
            ]);
        if self.settings.iter().any(|line| line == "fsync = off") {
            command.arg("--no-sync");
        }
        run(&mut command, "initdb", &self.data)?;
        let conf = making.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&conf).map_err(Error::files("read", &conf))?;
        text.push_str("\n# What the hub sets; written anew at each start.\ninclude 'hub.conf'\n");
        std::fs::write(&conf, text).map_err(Error::files("write", &conf))?;
        std::fs::rename(&making, &self.data).map_err(Error::files("rename", &making))
    }

    /// Starts it and waits until it answers. Nothing to do if it runs already.
    pub fn start(&self) -> Result<(), Error> {
        if self.is_running() {
            return Ok(());
        }
        self.clear_stale_locks()?;
        self.write_settings()?;
        let mut command = self.command("pg_ctl");
        command
            .arg("start")
            .arg("--pgdata")
            .arg(&self.data)
            .arg("--log")
            .arg(&self.log);
        // Long enough for a crash recovery.
        command.args(["--silent", "--wait", "--timeout", "300"]);
        let before = std::fs::metadata(&self.log).map_or(0, |meta| meta.len());
        run(&mut command, "pg_ctl start", &self.data).map_err(|error| {
            // pg_ctl only says "examine the log output": do it.
            match (error, std::fs::read(&self.log)) {
                (Error::Program { program, output }, Ok(log)) => {
                    let fresh = log
                        .get(usize::try_from(before).unwrap_or(0)..)
                        .unwrap_or_default();
                    let words = format!("{output}\n{}", String::from_utf8_lossy(fresh));
                    Error::program(program, &words, &self.data)
                }
                (error, _) => error,
            }
        })
    }

    /// Ends every session and stops it cleanly, waiting. Nothing to do if it does not run.
    pub fn stop(&self) -> Result<(), Error> {
        if !self.is_running() {
            return Ok(());
        }
        let mut command = self.command("pg_ctl");
        command.arg("stop").arg("--pgdata").arg(&self.data);
        command.args(["--mode", "fast", "--silent", "--wait", "--timeout", "60"]);
        run(&mut command, "pg_ctl stop", &self.data)
    }

    /// Asks it to stop, without waiting. For the last moments of a process.
    pub fn ask_to_stop(&self) {
        if let Some(pid) = self.pid().filter(|pid| self.is_ours(*pid)) {
            let _gone_already = signal::kill(pid, signal::Signal::SIGINT);
        }
    }

    /// Whether the process in `postmaster.pid` is alive and really this cluster's server.
    pub fn is_running(&self) -> bool {
        self.pid().is_some_and(|pid| self.is_ours(pid))
    }

    /// The process id that `postmaster.pid` names.
    pub fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let number: i32 = text.lines().next()?.trim().parse().ok()?;
        (number > 1).then(|| Pid::from_raw(number))
    }

    /// A URL for `role` in `database` through the socket.
    pub fn url(&self, role: &str, database: &str) -> String {
        let socket = percent_encoded(&self.socket.to_string_lossy());
        format!("postgres://{role}@localhost/{database}?host={socket}")
    }

    fn command(&self, program: &str) -> Command {
        account::command(self.account.as_ref(), &self.binaries.program(program))
    }

    /// After a kill -9 or a reboot, another process may have got the old number: the command line tells.
    fn is_ours(&self, pid: Pid) -> bool {
        if signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH) {
            return false;
        }
        let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
            // No /proc on this system: the signal's word has to do. A vanished process has no line either.
            return !Path::new("/proc/self/cmdline").exists();
        };
        let data = self.data.to_string_lossy();
        !line.is_empty() && String::from_utf8_lossy(&line).contains(data.as_ref())
    }

    /// Clears what a server that was killed left behind. PostgreSQL does so itself, unless the old number now
    /// belongs to another process, or to one that is dead but not yet buried.
    ///
    /// INVARIANT: never while a process of the old server lives; two servers on one directory destroy it.
    fn clear_stale_locks(&self) -> Result<(), Error> {
        let pid_file = self.data.join("postmaster.pid");
        if !pid_file.exists() || !Path::new("/proc/self/cwd").exists() {
            return Ok(());
        }
        tracing::warn!(path = %pid_file.display(), "the database was not stopped cleanly; it recovers now");
        let mut patience = LAST_BREATHS;
        while self.has_processes() {
            if patience == 0 {
                let output = format!(
                    "processes of a dead server still work in {}",
                    self.data.display()
                );
                return Err(Error::Program {
                    program: "postgres",
                    output,
                });
            }
            patience -= 1;
            std::thread::sleep(BREATH);
        }
        for path in [pid_file, self.socket.join(".s.PGSQL.5432.lock")] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::files("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether any process has the cluster as its working directory, as all of a server's have.
    fn has_processes(&self) -> bool {
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return false;
        };
        processes.flatten().any(|process| {
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == self.data)
        })
    }

    fn write_settings(&self) -> Result<(), Error> {
        let path = self.data.join("hub.conf");
        let mut text = String::from("# Written by Security Hub at each start; edits are lost.\n");
        let socket = self.socket.to_string_lossy().replace('\'', "''");
        let _infallible = write!(
            text,
            "listen_addresses = ''\nport = 5432\nunix_socket_directories = '\"{socket}\"'\n\
             unix_socket_permissions = 0700\n"
        );
        for line in &self.settings {
            text.push_str(line);
            text.push('\n');
        }
        // Whoever backs this server up writes it; it comes last, so it counts.
        text.push_str("include_if_exists 'archive.conf'\n");
        std::fs::write(&path, text).map_err(Error::files("write", &path))?;
        account::give(self.account.as_ref(), &path)
    }
}

/// The major version of the cluster in `data`, if there is one.
fn data_major(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("PG_VERSION"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// `base/run`, or a directory of its own with a short name if that path is too long for a socket.
fn socket_directory(base: &Path, account: Option<&Account>) -> Result<PathBuf, Error> {
    let near = base.join("run");
    if near.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY {
        account::directory(account, &near)?;
        return Ok(near);
    }
    // The user's runtime directory is closed to the account that a root process steps down to.
    let parent = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(runtime) if account.is_none() && Path::new(&runtime).is_dir() => {
            PathBuf::from(runtime)
        }
        _ => PathBuf::from("/tmp"),
    };
    let far = parent.join(format!("security-hub-{}", super::short_hash(base)));
    // In /tmp somebody else may have been here first: only a real directory of the right owner will do.
    match std::fs::symlink_metadata(&far) {
        Ok(meta) => {
            use std::os::unix::fs::MetadataExt as _;
            let owner = account.map_or_else(|| nix::unistd::Uid::effective().as_raw(), |a| a.uid);
            if !meta.is_dir() || (meta.uid() != owner && meta.uid() != 0) {
                return Err(Error::UnsafeDirectory { path: far });
            }
        }
        Err(_missing) => {}
    }
    account::directory(account, &far)?;
    Ok(far)
}

fn run(command: &mut Command, name: &'static str, data: &Path) -> Result<(), Error> {
    // To files, not pipes: the server that pg_ctl leaves behind would hold a pipe open for ever.
    let mut words =
        tempfile::tempfile().map_err(Error::files("make a file in", std::env::temp_dir()))?;
    let clone = |file: &std::fs::File| {
        file.try_clone()
            .map(Stdio::from)
            .map_err(Error::files("duplicate", std::env::temp_dir()))
    };
    let status = command
        .stdout(clone(&words)?)
        .stderr(clone(&words)?)
        .status()
        .map_err(Error::files("run", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    let mut output = Vec::new();
    let _words_lost = std::io::Seek::rewind(&mut words)
        .and_then(|()| std::io::Read::read_to_end(&mut words, &mut output));
    Err(Error::program(
        name,
        &String::from_utf8_lossy(&output),
        data,
    ))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
