//! Every command block of a runbook, run in a sandbox: a runbook that rots is found.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::block::{self, Job, Ran, Traces, Variables};
use super::run::millis;
use super::{Item, Runbook, Section, What};
use crate::error::{Error, fault};

/// For one block.
const LIMIT: Duration = Duration::from_mins(3);
/// What the sandbox is made with, beside the runbooks; a runbook may have one of its own.
const SETUP: &str = "sandbox";
/// Where blocks leave their output, in the sandbox.
const BLOCKS: &str = ".blocks";

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

/// Programs under the names by which runbooks call them.
pub type Programs = BTreeMap<String, PathBuf>;

/// Runs every block of it in order, decisions left aside, in an empty folder that `folder/sandbox/NAME.sh` (or
/// `folder/sandbox/default.sh`) fills first. `search` is where other programs are; nothing else of our own environment gets
/// in, so that no block reaches a real installation. Whatever was started there is ended.
///
/// # Errors
/// [`Error::File`], [`Error::Start`]; a block that does not come to what it must is no error.
pub async fn rehearse(
    book: &Runbook,
    folder: &Path,
    programs: &Programs,
    search: &str,
) -> Result<Rehearsal, Error> {
    let sandbox = Sandbox::make(programs, search)?;
    let mut rehearsal = Rehearsal {
        runbook: book.name.clone(),
        blocks: Vec::new(),
        fault: None,
    };
    let mut variables = Variables::new();
    if let Some(script) = setup(folder, &book.name)? {
        let ran = sandbox.run(&script, &variables, 0).await?;
        if ran.exit != Some(0) {
            rehearsal.fault = Some(format!("the sandbox: {}", end(&ran.output)));
            return Ok(rehearsal);
        }
        variables = ran.variables;
        // Its helpers are nothing that people have.
        variables.retain(|name, _| !name.starts_with("BASH_FUNC_"));
    }
    let mut asked = book.front.ask.keys();
    if let Some(name) = asked.find(|name| !variables.contains_key(*name)) {
        rehearsal.fault = Some(format!("the sandbox gives no `{name}`"));
        return Ok(rehearsal);
    }
    let sections = book.sections.iter();
    let items = sections.flat_map(|section| section.items.iter().map(move |item| (section, item)));
    for (section, item) in items {
        if let Some(done) = one(section, item, &mut variables, &sandbox).await? {
            let is_bad = done.fault.is_some();
            rehearsal.blocks.push(done);
            // What comes after it would only fail for the same reason.
            if is_bad {
                break;
            }
        }
    }
    Ok(rehearsal)
}

async fn one(
    section: &Section,
    item: &Item,
    variables: &mut Variables,
    sandbox: &Sandbox,
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
        let ran = sandbox.run(script, variables, item.line).await?;
        let output = String::from_utf8_lossy(&ran.output);
        let judged = if ran.is_late {
            Err(format!("it took longer than {LIMIT:?}"))
        } else {
            expect.judge(ran.exit, &output, &ran.variables)
        };
        done.fault = judged.err();
        done.output = end(&ran.output);
        done.took_ms = millis(ran.took);
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

fn end(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// The folder in which blocks are rehearsed.
struct Sandbox {
    place: tempfile::TempDir,
    around: Variables,
}

impl Sandbox {
    fn make(programs: &Programs, search: &str) -> Result<Self, Error> {
        let made = tempfile::Builder::new().prefix("runbook-").tempdir();
        let place = made.map_err(fault(&std::env::temp_dir(), "written"))?;
        let path = place.path();
        // The database's user must get to its files.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, open).map_err(fault(path, "written"))?;
        let bin = path.join("bin");
        for folder in [&bin, &path.join(BLOCKS)] {
            fs::create_dir(folder).map_err(fault(folder, "made"))?;
        }
        for (name, program) in programs {
            let link = bin.join(name);
            symlink(program, &link).map_err(fault(&link, "made"))?;
        }
        let around = [
            ("PATH", format!("{}:{search}", bin.display())),
            ("HOME", path.display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", "dumb".to_owned()),
        ];
        let around = around.map(|(name, value)| (name.to_owned(), value));
        Ok(Self {
            around: around.into(),
            place,
        })
    }

    async fn run(&self, script: &str, variables: &Variables, number: usize) -> Result<Ran, Error> {
        let folder = self.place.path();
        let traces = Traces::at(folder.join(BLOCKS).join(number.to_string()));
        let job = Job {
            script,
            around: &self.around,
            variables,
            folder,
            traces: &traces,
            limit: LIMIT,
        };
        block::run(job, &|_| {}).await
    }
}

impl Drop for Sandbox {
    /// Ends what works in it: servers are nobody's children.
    fn drop(&mut self) {
        // New ones may come while the old ones go.
        for _ in 0..500 {
            let left = working_in(self.place.path());
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
