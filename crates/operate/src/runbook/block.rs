//! A command block, run: in a shell and a session of its own that ends at the first fault. What it says and how it ends
//! goes into files, so that neither a lost terminal nor a killed `hubctl` disturbs it, and whoever comes back hears it out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::error::{Error, fault};

/// What of one block's output is looked at for expected words; of a longer one the beginning.
const LOOKED_AT: usize = 4 << 20;
/// How often it is looked whether there is more output.
const LOOK: Duration = Duration::from_millis(40);
/// Whoever is told to end and does not is ended.
const GRACE: Duration = Duration::from_secs(5);
/// Ends at the first fault; what it sets is known in the next block.
const PREAMBLE: &str = r#"echo $$ >"$RUNBOOK_BLOCK.pid"; trap 'set -- $?; env -0 >"$RUNBOOK_BLOCK.env"; echo $1 >"$RUNBOOK_BLOCK.exit"' EXIT; set -aeuo pipefail; "#;
/// Not the block's doing.
const SHELLS: &[&str] = &["_", "SHLVL", "PWD", "OLDPWD", "RUNBOOK_BLOCK"];

pub(super) type Variables = BTreeMap<String, String>;

/// A block to run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) script: &'a str,
    /// The environment, as far as it is not the runbook's.
    pub(super) around: &'a Variables,
    /// What was asked for and what earlier blocks set.
    pub(super) variables: &'a Variables,
    /// Where it works.
    pub(super) folder: &'a Path,
    pub(super) traces: &'a Traces,
    pub(super) limit: Duration,
}

/// Who hears the output as it comes.
pub(super) type Heard<'a> = &'a (dyn Fn(&[u8]) + Sync);

/// How a block ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// `None`: a signal ended it, or its time.
    pub(super) exit: Option<i32>,
    /// Its beginning.
    pub(super) output: Vec<u8>,
    /// Bytes of the whole output.
    pub(super) length: u64,
    /// Of the whole output, in hex.
    pub(super) sha256: String,
    pub(super) took: Duration,
    /// The variables for the next block.
    pub(super) variables: Variables,
    pub(super) is_late: bool,
}

/// The files that one block leaves.
#[derive(Debug, Clone)]
pub(super) struct Traces(PathBuf);

impl Traces {
    /// `base` is their name without its ending.
    pub(super) const fn at(base: PathBuf) -> Self {
        Self(base)
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.0.with_extension(ending)
    }

    pub(super) fn output(&self) -> PathBuf {
        self.file("out")
    }

    /// How it ended, if its shell came to an end.
    fn exit(&self) -> Option<i32> {
        fs::read_to_string(self.file("exit"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Whether its shell is at work: the process that it wrote down, if that still is one of ours.
    fn is_alive(&self) -> bool {
        let alive = || {
            let process = fs::read_to_string(self.file("pid")).ok()?;
            let around = fs::read(format!("/proc/{}/environ", process.trim())).ok()?;
            let ours = format!("RUNBOOK_BLOCK={}", self.0.display());
            let mut around = around.split(|byte| *byte == 0);
            around.any(|pair| pair == ours.as_bytes()).then_some(())
        };
        alive().is_some()
    }

    fn took(&self) -> Duration {
        let changed = |ending| fs::metadata(self.file(ending)).and_then(|file| file.modified());
        let between = changed("exit").and_then(|end| {
            let began = changed("pid")?;
            end.duration_since(began).map_err(io::Error::other)
        });
        between.unwrap_or_default()
    }

    pub(super) fn remove(&self) {
        for ending in ["out", "exit", "env", "pid"] {
            // A block that was cut off has left some of them only.
            let _absent = fs::remove_file(self.file(ending));
        }
    }
}

/// Ends what a block started when nobody waits for it any more.
struct Group(Option<Pid>);

impl Group {
    fn end(&mut self) {
        let Some(group) = self.0.take() else { return };
        // It may be gone.
        let _gone = killpg(group, Signal::SIGTERM);
        let mut left = GRACE;
        while is_at_work(group) && !left.is_zero() {
            std::thread::sleep(LOOK);
            left = left.saturating_sub(LOOK);
        }
        let _gone = killpg(group, Signal::SIGKILL);
    }
}

/// Whether the group's first process has not come to its end.
fn is_at_work(group: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{group}/stat")).unwrap_or_default();
    // Its name, in brackets, may hold anything.
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs it. That it fails is no error but an exit code. Whoever stops waiting ends it.
///
/// # Errors
/// [`Error::Start`], [`Error::File`].
pub(super) async fn run(job: Job<'_>, heard: Heard<'_>) -> Result<Ran, Error> {
    let began = tokio::time::Instant::now();
    let path = job.traces.output();
    let mut options = File::options();
    let output = options
        .append(true)
        .create(true)
        .open(&path)
        .map_err(fault(&path, "written"))?;
    let errors = output.try_clone().map_err(fault(&path, "written"))?;
    let mut command = Command::new("setsid");
    // No terminal: a program that would ask there fails at once instead of waiting unseen.
    command
        .args(["bash", "-c", &format!("{PREAMBLE}{}", job.script)])
        .env_clear()
        .envs(job.around)
        .envs(job.variables)
        .env("RUNBOOK_BLOCK", &job.traces.0)
        .current_dir(job.folder)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    let mut child = command
        .spawn()
        .map_err(|source| Error::Start("bash".into(), source))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(group.map(Pid::from_raw));
    let mut tail = Tail::open(&path, heard)?;
    let mut late = std::pin::pin!(tokio::time::sleep(job.limit));
    let ended = loop {
        tokio::select! {
            status = child.wait() => break Some(status),
            () = tokio::time::sleep(LOOK) => tail.hear()?,
            () = &mut late => break None,
        }
    };
    let is_late = ended.is_none();
    let exit = if let Some(status) = ended {
        // What runs on in the background was meant to.
        group.0 = None;
        let status = status.map_err(|source| Error::Start("bash".into(), source))?;
        status.code()
    } else {
        group.end();
        None
    };
    tail.hear()?;
    Ok(tail.ran(job, exit, is_late, began.elapsed()))
}

/// Hears out a block that somebody else has begun; `None` if its end cannot be known.
///
/// # Errors
/// [`Error::File`].
pub(super) async fn watch(job: Job<'_>, heard: Heard<'_>) -> Result<Option<Ran>, Error> {
    let path = job.traces.output();
    if !path.exists() {
        return Ok(None);
    }
    let mut tail = Tail::open(&path, heard)?;
    loop {
        // First whether it lives, then how it ended: the other way about an end in between would be missed.
        let is_alive = job.traces.is_alive();
        let exit = job.traces.exit();
        tail.hear()?;
        match exit {
            Some(code) if !is_alive => {
                return Ok(Some(tail.ran(job, Some(code), false, job.traces.took())));
            }
            None if !is_alive => return Ok(None),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Reads on where it stopped.
struct Tail<'a> {
    path: PathBuf,
    file: File,
    begun: Vec<u8>,
    length: u64,
    hash: Sha256,
    to: Heard<'a>,
}

impl<'a> Tail<'a> {
    fn open(path: &Path, to: Heard<'a>) -> Result<Self, Error> {
        Ok(Self {
            path: path.to_owned(),
            file: File::open(path).map_err(fault(path, "read"))?,
            begun: Vec::new(),
            length: 0,
            hash: Sha256::new(),
            to,
        })
    }

    fn hear(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = self.file.read(&mut buffer);
            let count = read.map_err(fault(&self.path, "read"))?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            self.hash.update(bytes);
            self.length += count as u64;
            let room = LOOKED_AT.saturating_sub(self.begun.len());
            self.begun.extend(bytes.iter().take(room));
            (self.to)(bytes);
        }
    }

    fn ran(self, job: Job<'_>, exit: Option<i32>, is_late: bool, took: Duration) -> Ran {
        let told = fs::read(job.traces.file("env")).unwrap_or_default();
        Ran {
            exit,
            output: self.begun,
            length: self.length,
            sha256: hex::encode(self.hash.finalize()),
            took,
            variables: carried(&told, job),
            is_late,
        }
    }
}

/// What the block set, functions too, and what was set before it; nothing that was around it anyway.
fn carried(told: &[u8], job: Job<'_>) -> Variables {
    let mut carried = job.variables.clone();
    for pair in told.split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(pair);
        let Some((name, value)) = text.split_once('=') else {
            continue;
        };
        let was_there = job.around.get(name).is_some_and(|there| there == value);
        if !was_there && !SHELLS.contains(&name) {
            carried.insert(name.to_owned(), value.to_owned());
        }
    }
    carried
}
