//! Rehearsing runbooks: every fault of every one of them, before somebody needs it at night.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use hub_operate::restore;
use hub_operate::runbook::{self, Fault, Programs, Rehearsal, Runbook, What};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::show::lasting;
use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Where runbooks are in a checkout.
const HERE: &str = "operations/runbooks";

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Names of runbooks; without one all of them.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A folder with runbooks, and what fills their sandboxes under `sandbox/`; without it operations/runbooks, or what
    /// comes with this program, which is read only.
    #[arg(long, value_name = "FOLDER", env = "HUB_RUNBOOKS")]
    dir: Option<PathBuf>,
    /// Only read them and look for the commands that they call; run nothing.
    #[arg(long)]
    read_only: bool,
    /// The server for sandboxes; without it the one beside this program.
    #[arg(long, value_name = "PROGRAM", env = "HUB_BIN")]
    server: Option<PathBuf>,
}

/// What was found of one runbook.
struct Checked {
    name: String,
    faults: Vec<Fault>,
    rehearsal: Option<Rehearsal>,
}

impl Checked {
    fn is_good(&self) -> bool {
        self.faults.is_empty() && self.rehearsal.as_ref().is_none_or(Rehearsal::is_good)
    }
}

impl Check {
    pub(crate) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let here = Path::new(HERE);
        let dir = self
            .dir
            .clone()
            .or_else(|| here.is_dir().then(|| here.to_owned()));
        let found = runbook::all(dir.as_deref())?;
        for name in &self.names {
            if !found.iter().any(|(one, _)| one == name) {
                let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
                let what = anyhow::anyhow!("there is no runbook `{name}`");
                return Err(
                    Failure::new(Exit::Usage, what).help(format!("there are {}", names.join(", ")))
                );
            }
        }
        let mut checked = Vec::new();
        for (name, book) in found {
            if self.names.is_empty() || self.names.contains(&name) {
                let Some(one) = self.one(name, book, dir.as_deref()).await? else {
                    return Ok(Exit::Interrupted);
                };
                if !output.json {
                    shown(&one, output)?;
                }
                checked.push(one);
            }
        }
        sum(&checked, output)
    }

    /// `None` if somebody interrupted it; what was started is ended.
    async fn one(
        &self,
        name: String,
        book: Result<Runbook, Vec<Fault>>,
        dir: Option<&Path>,
    ) -> Result<Option<Checked>, Failure> {
        let book = match book {
            Ok(book) => book,
            Err(faults) => {
                return Ok(Some(Checked {
                    name,
                    faults,
                    rehearsal: None,
                }));
            }
        };
        let faults = calls(&book);
        let mut rehearsal = None;
        if let Some(dir) = dir.filter(|_| faults.is_empty() && !self.read_only) {
            let programs = self.programs()?;
            let search = std::env::var("PATH").unwrap_or_default();
            let (mut interrupt, mut terminate) = (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            );
            rehearsal = tokio::select! {
                done = runbook::rehearse(&book, dir, &programs, &search) => Some(done?),
                _ = interrupt.recv() => return Ok(None),
                _ = terminate.recv() => return Ok(None),
            };
        }
        Ok(Some(Checked {
            name,
            faults,
            rehearsal,
        }))
    }

    /// This program and the server, under the names that runbooks call.
    fn programs(&self) -> Result<Programs, Failure> {
        let server = restore::server(self.server.as_deref());
        let server = std::fs::canonicalize(&server).map_err(|error| {
            let failure = Failure::file("read", &server, error);
            failure.help("--server PROGRAM says where `security-hub` is")
        })?;
        let ours = std::env::current_exe()?;
        let programs = [("hubctl", ours), ("security-hub", server)];
        Ok(programs.map(|(name, path)| (name.to_owned(), path)).into())
    }
}

/// Calls of this program that it would not understand.
fn calls(book: &Runbook) -> Vec<Fault> {
    let mut faults = Vec::new();
    for item in book.sections.iter().flat_map(|section| &section.items) {
        let What::Command { script, .. } = &item.what else {
            continue;
        };
        for words in runbook::calls(script, "hubctl") {
            if let Some(what) = misspelt(&words) {
                let what = format!("`hubctl {}`: {what}", words.join(" "));
                faults.push(Fault {
                    line: item.line,
                    what,
                });
            }
        }
    }
    faults
}

/// What this program does not know of a call: a command, an option, one that is missing. What values are is not looked at,
/// since a shell puts them there.
fn misspelt(words: &[String]) -> Option<String> {
    use clap::error::ErrorKind;
    let words = std::iter::once("hubctl").chain(words.iter().map(String::as_str));
    let words: Vec<&str> = words.collect();
    if let Some(option) = unknown(&words) {
        return Some(format!("there is no option {option}"));
    }
    let error = Cli::command().try_get_matches_from(&words).err()?;
    let is_fault = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand
            | ErrorKind::UnknownArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::MissingRequiredArgument
            | ErrorKind::ArgumentConflict
    );
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Some("it requires a subcommand".to_owned());
    }
    let said = error.to_string();
    let said: Vec<&str> = said
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    is_fault.then(|| said.join(" ").trim_start_matches("error: ").to_owned())
}

/// The first long option that no command on the way knows: a value that is wrong would hide it.
fn unknown<'a>(words: &[&'a str]) -> Option<&'a str> {
    let root = Cli::command();
    let mut here = &root;
    let mut known: Vec<&clap::Arg> = root.get_arguments().collect();
    for word in words.iter().skip(1) {
        if let Some(option) = word.strip_prefix("--").filter(|rest| !rest.is_empty()) {
            let name = option.split('=').next().unwrap_or(option);
            let built_in = ["help", "version"].contains(&name);
            if !built_in
                && !known
                    .iter()
                    .any(|argument| argument.get_long() == Some(name))
            {
                return Some(word);
            }
        } else if let Some(inner) = here.find_subcommand(word) {
            here = inner;
            known.extend(inner.get_arguments());
        }
    }
    None
}

fn shown(checked: &Checked, output: &Output) -> Result<(), Failure> {
    let name = &checked.name;
    for fault in &checked.faults {
        output.line(&output.verdict(
            false,
            &format!("✕ {name}.md:{}: {}", fault.line, fault.what),
        ))?;
    }
    let Some(rehearsal) = &checked.rehearsal else {
        return Ok(());
    };
    if let Some(fault) = &rehearsal.fault {
        output.line(&output.verdict(false, &format!("✕ {name}: {fault}")))?;
    }
    for block in &rehearsal.blocks {
        if let Some(fault) = &block.fault {
            let text = format!("✕ {name}.md:{}: step {}: {fault}", block.line, block.step);
            output.line(&output.verdict(false, &text))?;
            output.line(&block.output)?;
        }
        if let Some(why) = &block.elsewhere {
            output.line(&format!("- {name}.md:{}: not here: {why}", block.line))?;
        }
    }
    if checked.is_good() {
        let ran = rehearsal
            .blocks
            .iter()
            .filter(|block| block.elsewhere.is_none());
        let took = ran.clone().map(|block| block.took_ms).sum();
        output.line(&format!(
            "✓ {name}: {} blocks ran in {}",
            ran.count(),
            lasting(took)
        ))?;
    }
    Ok(())
}

fn sum(checked: &[Checked], output: &Output) -> Result<Exit, Failure> {
    let good = checked.iter().all(Checked::is_good);
    let blocks = || {
        let rehearsals = checked.iter().filter_map(|one| one.rehearsal.as_ref());
        rehearsals.flat_map(|one| &one.blocks)
    };
    let elsewhere = blocks().filter(|block| block.elsewhere.is_some()).count();
    let ran = blocks().count() - elsewhere;
    if output.json {
        let items = checked.iter().map(|one| {
            let faults = one.faults.iter().map(|fault| json!({"line": fault.line, "what": fault.what}));
            json!({"runbook": one.name, "good": one.is_good(), "faults": faults.collect::<Vec<_>>(), "rehearsal": one.rehearsal})
        });
        output.document(&json!({"runbooks": items.collect::<Vec<_>>(), "ran": ran, "elsewhere": elsewhere, "good": good}))?;
    } else {
        let bad = checked.iter().filter(|one| !one.is_good()).count();
        let word = if good {
            "all sound".to_owned()
        } else {
            format!("{bad} with faults")
        };
        let read = if ran + elsewhere == 0 {
            ", read only"
        } else {
            ""
        };
        output.line(&format!(
            "{} runbooks, {}: {ran} blocks ran, {elsewhere} cannot run here{read}",
            checked.len(),
            output.verdict(good, &word)
        ))?;
    }
    Ok(if good { Exit::Done } else { Exit::No })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(call: &str) -> Option<String> {
        let words: Vec<String> = call.split(' ').map(str::to_owned).collect();
        misspelt(&words)
    }

    #[test]
    fn what_this_program_does_not_know_is_found() {
        assert_eq!(fault("backup list --json"), None);
        assert_eq!(fault("--token-file $TOKEN tenant list"), None);
        // Values are the shell's.
        assert_eq!(fault("health --wait $HOW_LONG"), None);
        assert_eq!(fault("runbook report $ID"), None);
        for (call, part) in [
            ("backup lsit", "unrecognized subcommand 'lsit'"),
            ("backup list --jsno", "no option --jsno"),
            ("health --wait $X --patiently", "no option --patiently"),
            ("backup", "requires a subcommand"),
            ("incident close $ID", "--verdict"),
            ("restore --in-place", "--confirm"),
        ] {
            let said = fault(call).unwrap_or_default();
            assert!(said.contains(part), "{call}: {said}");
        }
    }
}
