//! A command block, run: in a shell of its own that ends at the first fault, its output heard as it comes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::error::{Error, fault};

/// What is kept of one block's output; of a longer one the beginning.
const KEPT: usize = 4 << 20;
/// What a program that was left in the background still says once the block is over.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Whoever is told to end and does not is ended.
const GRACE: Duration = Duration::from_secs(5);
/// Ends at the first fault; what it sets is known in the next block.
const PREAMBLE: &str =
    r#"exec 2>&1; set -Eeuo pipefail; trap 'env -0 >"$RUNBOOK_VARIABLES"' EXIT; set -a; "#;
/// Not the block's doing.
const SHELLS: &[&str] = &["_", "SHLVL", "PWD", "OLDPWD", "RUNBOOK_VARIABLES"];

/// How a block ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// `None`: a signal ended it, or its time.
    pub exit: Option<i32>,
    pub output: Vec<u8>,
    /// Of the whole output, in hex.
    pub sha256: String,
    pub took: Duration,
    /// The variables for the next block.
    pub variables: BTreeMap<String, String>,
    pub is_late: bool,
}

/// Ends everything that a block started when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone.
            let _gone = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs it in `folder`, for `limit` at most.
///
/// # Errors
/// [`Error::Start`], [`Error::File`]; that it fails is no error but an exit code.
pub(super) async fn run(
    script: &str,
    variables: &BTreeMap<String, String>,
    folder: &Path,
    limit: Duration,
    heard: &(dyn Fn(&[u8]) + Sync),
) -> Result<Ran, Error> {
    let began = Instant::now();
    let told = tempfile::NamedTempFile::new().map_err(fault(Path::new("/tmp"), "written"))?;
    let (from, to) = std::io::pipe().map_err(|source| Error::Start("bash".into(), source))?;
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("{PREAMBLE}{script}")])
        .envs(variables)
        .env("RUNBOOK_VARIABLES", told.path())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::from(OwnedFd::from(to)))
        .stderr(Stdio::inherit())
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|source| Error::Start("bash".into(), source))?;
    // It holds the pipe's writing end, which would keep the reading one open.
    drop(command);
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(group.map(Pid::from_raw));
    let mut pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(OwnedFd::from(from))
        .map_err(|source| Error::Start("bash".into(), source))?;
    let mut told_so_far = Heard::new(heard);
    let ended = tokio::time::timeout(limit, both(&mut child, &mut pipe, &mut told_so_far)).await;
    let (exit, is_late) = match ended {
        Ok(status) => {
            let status = status.map_err(|source| Error::Start("bash".into(), source))?;
            // What runs on in the background was meant to.
            group.0 = None;
            (status.code(), false)
        }
        Err(_) => {
            ended_by_force(&mut child, group.0).await;
            (None, true)
        }
    };
    let carried = carried(&std::fs::read(told.path()).unwrap_or_default(), variables);
    Ok(Ran {
        exit,
        sha256: hex::encode(told_so_far.hash.finalize()),
        output: told_so_far.kept,
        took: began.elapsed(),
        variables: carried,
        is_late,
    })
}

struct Heard<'a> {
    kept: Vec<u8>,
    hash: Sha256,
    to: &'a (dyn Fn(&[u8]) + Sync),
}

impl<'a> Heard<'a> {
    fn new(to: &'a (dyn Fn(&[u8]) + Sync)) -> Self {
        Self {
            kept: Vec::new(),
            hash: Sha256::new(),
            to,
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let room = KEPT.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend(bytes.iter().take(room));
        (self.to)(bytes);
    }
}

/// Hears it until it has ended and said its last words.
async fn both(
    child: &mut Child,
    pipe: &mut tokio::net::unix::pipe::Receiver,
    heard: &mut Heard<'_>,
) -> std::io::Result<std::process::ExitStatus> {
    let mut buffer = [0; 8192];
    let status = loop {
        tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break child.wait().await?,
                Ok(count) => heard.hear(buffer.get(..count).unwrap_or_default()),
            },
            status = child.wait() => break status?,
        }
    };
    // A program in the background may hold the pipe open for ever.
    while let Ok(Ok(count)) = tokio::time::timeout(LAST_WORDS, pipe.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        heard.hear(buffer.get(..count).unwrap_or_default());
    }
    Ok(status)
}

async fn ended_by_force(child: &mut Child, group: Option<Pid>) {
    if let Some(group) = group {
        let _gone = killpg(group, Signal::SIGTERM);
    }
    let _late = tokio::time::timeout(GRACE, child.wait()).await;
}

/// What the block set, and what was set before it; nothing that our own environment has anyway.
fn carried(told: &[u8], before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut carried = before.clone();
    for pair in told.split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(pair);
        let Some((name, value)) = text.split_once('=') else {
            continue;
        };
        let ours = std::env::var(name).is_ok_and(|ours| ours == value);
        if !ours && !SHELLS.contains(&name) && !name.starts_with("BASH_FUNC_") {
            carried.insert(name.to_owned(), value.to_owned());
        }
    }
    carried
}
