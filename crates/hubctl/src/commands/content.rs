//! Content: every file that an operator edits, checked; all faults are told, each with its place.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use hub_access::Policies;
use hub_detect::RuleSource;
use hub_emulate::Scenario;
use hub_respond::playbooks::Playbooks;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Content {
    /// Check the built-in content, and folders of your own.
    Check {
        /// A folder with Sigma rules of your own; repeat for more.
        #[arg(long, value_name = "FOLDER")]
        rules: Vec<PathBuf>,
        /// A folder with playbooks of your own.
        #[arg(long, value_name = "FOLDER")]
        playbooks: Option<PathBuf>,
        /// A scenario file of your own; repeat for more.
        #[arg(long, value_name = "FILE")]
        scenario: Vec<PathBuf>,
        /// A folder with disaster scenarios of your own, for `hubctl drill`.
        #[arg(long, value_name = "FOLDER")]
        disasters: Option<PathBuf>,
        /// A retention policy of your own.
        #[arg(long, value_name = "FILE")]
        retention: Option<PathBuf>,
    },
}

#[derive(Debug, Serialize)]
struct Fault {
    file: String,
    line: usize,
    what: String,
}

#[derive(Debug, Serialize, Default)]
struct Checked {
    rules: usize,
    rule_tests: usize,
    playbooks: usize,
    scenarios: usize,
    disasters: usize,
    faults: Vec<Fault>,
}

impl Content {
    pub(crate) fn run(self, output: &Output) -> Result<Exit, Failure> {
        let Self::Check {
            rules,
            playbooks,
            scenario,
            disasters,
            retention,
        } = self;
        let mut checked = Checked::default();
        check_rules(&rules, &mut checked);
        check_playbooks(playbooks.as_deref(), &mut checked);
        check_policies(&mut checked);
        check_scenarios(&scenario, &mut checked)?;
        check_disasters(disasters.as_deref(), &mut checked);
        check_retention(retention.as_deref(), &mut checked);
        let good = checked.faults.is_empty();
        if output.json {
            output.document(&checked)?;
        } else {
            for fault in &checked.faults {
                let sign = output.verdict(false, "✕");
                output.line(&format!(
                    "{sign} {}:{}: {}",
                    fault.file, fault.line, fault.what
                ))?;
            }
            output.line(&format!(
                "{} rules ({} tests), {} playbooks, {} scenarios, {} disasters, the policies, the retention: {}",
                checked.rules,
                checked.rule_tests,
                checked.playbooks,
                checked.scenarios,
                checked.disasters,
                output.verdict(
                    good,
                    &if good {
                        "all sound".to_owned()
                    } else {
                        format!("{} faults", checked.faults.len())
                    }
                )
            ))?;
        }
        Ok(if good { Exit::Done } else { Exit::No })
    }
}

fn check_policies(checked: &mut Checked) {
    if let Err(hub_access::Error::Policies(faults)) = Policies::built_in() {
        checked.faults.extend(faults.into_iter().map(|f| Fault {
            file: f.file,
            line: f.line,
            what: f.what,
        }));
    }
}

fn check_disasters(folder: Option<&Path>, checked: &mut Checked) {
    match hub_operate::disaster::Scenarios::load(folder) {
        Ok(scenarios) => checked.disasters = scenarios.iter().count(),
        Err(hub_operate::Error::Scenarios(faults)) => {
            checked.faults.extend(faults.into_iter().map(|f| Fault {
                file: f.file,
                line: f.line,
                what: f.what,
            }));
        }
        Err(error) => checked.faults.push(Fault {
            file: "disasters".into(),
            line: 0,
            what: hub_base::chain(&error),
        }),
    }
}

fn check_retention(file: Option<&Path>, checked: &mut Checked) {
    for one in [None, file] {
        if let Err(error) = hub_operate::cleanup::Policy::load(one) {
            checked.faults.push(Fault {
                file: "retention".into(),
                line: 0,
                what: error.to_string(),
            });
        }
    }
}

fn check_scenarios(files: &[PathBuf], checked: &mut Checked) -> Result<(), Failure> {
    let mut all = vec![Scenario::built_in()];
    for file in files {
        let text =
            std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, error))?;
        all.push(Scenario::parse(&file.display().to_string(), &text));
    }
    for scenario in all {
        checked.scenarios += 1;
        if let Err(error) = scenario {
            let (file, line) = match &error {
                hub_emulate::Error::Scenario { file, line, .. } => (file.clone(), *line),
                hub_emulate::Error::Content { file, .. } => (file.clone(), 0),
                _ => (String::new(), 0),
            };
            checked.faults.push(Fault {
                file,
                line,
                what: error.to_string(),
            });
        }
    }
    Ok(())
}

fn check_playbooks(folder: Option<&Path>, checked: &mut Checked) {
    match Playbooks::load(folder) {
        Ok(playbooks) => checked.playbooks = playbooks.iter().count(),
        Err(hub_respond::Error::Playbooks(faults)) => {
            checked.faults.extend(faults.0.into_iter().map(|f| Fault {
                file: f.file,
                line: f.line,
                what: f.message,
            }));
        }
        Err(error) => {
            let mut what = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                what = format!("{what}: {inner}");
                source = inner.source();
            }
            checked.faults.push(Fault {
                file: "playbooks".into(),
                line: 0,
                what,
            });
        }
    }
}

fn check_rules(folders: &[PathBuf], checked: &mut Checked) {
    let mut sources = vec![RuleSource::Embedded];
    sources.extend(folders.iter().cloned().map(RuleSource::Folder));
    let report = hub_detect::content::check_content(&sources);
    checked.rules = report.rules;
    checked.rule_tests = report.cases;
    let faults = report.faults.into_iter().map(|f| Fault {
        file: f.file,
        line: f.line,
        what: f.reason,
    });
    checked.faults.extend(faults);
    checked
        .faults
        .extend(report.untested.into_iter().map(|rule| Fault {
            file: "content/rules/tests".into(),
            line: 0,
            what: format!("no test expects the rule `{rule}` to fire"),
        }));
}
