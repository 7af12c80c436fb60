//! Every command block of a runbook, run in a sandbox: a runbook that rots is found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::{Item, Runbook, Section, What, block};
use crate::error::{Error, fault};

/// For one block.
const LIMIT: Duration = Duration::from_secs(180);
/// What the sandbox is made with, beside the runbooks; a runbook may have one of its own.
const SETUP: &str = "sandbox";

/// One command block, rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsed {
    pub line: usize,
    /// Such as `3`.
    pub step: String,
    /// `None`: it came to what it must.
    pub fault: Option<String>,
    /// Why it was not run here.
    pub elsewhere: Option<String>,
    /// Its end.
    pub output: String,
    pub took_ms: u64,
}

/// One runbook, rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    pub runbook: String,
    pub blocks: Vec<Rehearsed>,
    /// The sandbox could not be made.
    pub fault: Option<String>,
}

impl Rehearsal {
    pub fn is_good(&self) -> bool {
        self.fault.is_none() && self.blocks.iter().all(|block| block.fault.is_none())
    }
}

/// Runs every block of it in order, decisions left aside, in an empty folder that `folder/sandbox/NAME.sh` (or
/// `folder/sandbox/default.sh`) fills first. Whatever was started there is ended.
///
/// # Errors
/// [`Error::File`], [`Error::Start`]; a block that does not come to what it must is no error.
pub async fn rehearse(book: &Runbook, folder: &Path) -> Result<Rehearsal, Error> {
    let place = tempfile::Builder::new()
        .prefix("runbook-")
        .tempdir()
        .map_err(fault(Path::new("/tmp"), "written"))?;
    open(place.path())?;
    let sandbox = Sandbox(place.path());
    let mut rehearsal = Rehearsal {
        runbook: book.name.clone(),
        blocks: Vec::new(),
        fault: None,
    };
    let mut variables = BTreeMap::new();
    if let Some(script) = setup(folder, &book.name)? {
        let ran = block::run(&script, &variables, place.path(), LIMIT, &|_| {}).await?;
        if ran.exit != Some(0) {
            rehearsal.fault = Some(format!("the sandbox: {}", end(&ran.output)));
            return Ok(rehearsal);
        }
        variables = ran.variables;
    }
    if let Some(name) = book.front.ask.keys().find(|name| !variables.contains_key(*name)) {
        rehearsal.fault = Some(format!("the sandbox gives no `{name}`"));
        return Ok(rehearsal);
    }
    for section in &book.sections {
        for item in &section.items {
            if let Some(done) = one(section, item, &mut variables, place.path()).await? {
                let is_bad = done.fault.is_some();
                rehearsal.blocks.push(done);
                // What comes after it would only fail for the same reason.
                if is_bad {
                    return Ok(rehearsal);
                }
            }
        }
    }
    drop(sandbox);
    Ok(rehearsal)
}

async fn one(
    section: &Section,
    item: &Item,
    variables: &mut BTreeMap<String, String>,
    place: &Path,
) -> Result<Option<Rehearsed>, Error> {
    let What::Command {
        script,
        expect,
        elsewhere,
    } = &item.what
    else {
        return Ok(None);
    };
    let mut done = Rehearsed {
        line: item.line,
        step: section.label(),
        fault: None,
        elsewhere: elsewhere.clone(),
        output: String::new(),
        took_ms: 0,
    };
    if let Err(error) = super::syntax(script).await {
        done.fault = Some(hub_base::chain(&error));
    } else if elsewhere.is_none() {
        let ran = block::run(script, variables, place, LIMIT, &|_| {}).await?;
        let output = String::from_utf8_lossy(&ran.output);
        let judged = match ran.is_late {
            true => Err(format!("it took longer than {LIMIT:?}")),
            false => expect.judge(ran.exit, &output, &ran.variables),
        };
        done.fault = judged.err();
        done.output = end(&ran.output);
        done.took_ms = u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX);
        *variables = ran.variables;
    }
    Ok(Some(done))
}

/// The script that fills the sandbox.
fn setup(folder: &Path, name: &str) -> Result<Option<String>, Error> {
    let own = folder.join(SETUP).join(format!("{name}.sh"));
    let path = if own.is_file() {
        own
    } else {
        folder.join(SETUP).join("default.sh")
    };
    if !path.is_file() {
        return Ok(None);
    }
    // By its path, so that it finds what stands beside it.
    let path = fs::canonicalize(&path).map_err(fault(&path, "read"))?;
    Ok(Some(format!(". '{}'", path.display())))
}

/// The database's user must get to its files.
fn open(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(fault(folder, "written"))
}

fn end(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Ends what works in its folder: servers are nobody's children.
struct Sandbox<'a>(&'a Path);

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        // New ones may come while the old ones go.
        for _ in 0..200 {
            let left = working_in(self.0);
            if left.is_empty() {
                return;
            }
            for process in left {
                let _gone = kill(process, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The processes whose working directory is in `folder`, but for this one.
fn working_in(folder: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ours = std::process::id();
    let found = processes.flatten().filter_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let works = fs::read_link(entry.path().join("cwd")).ok()?;
        let is_there = works.starts_with(folder) && process != ours;
        is_there.then(|| i32::try_from(process).ok().map(Pid::from_raw))?
    });
    found.collect()
}
