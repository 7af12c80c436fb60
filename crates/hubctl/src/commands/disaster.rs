//! `hubctl drill --scenario`: disasters rehearsed on an installation of the drill's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hub_base::SystemClock;
use hub_operate::Error;
use hub_operate::backup::{Config, Site};
use hub_operate::disaster::{self, Done, Report, Scenario, Scenarios, seconds};
use hub_operate::restore::server;
use serde_json::json;

use super::backup::{tell, words};
use super::progress::Progress;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Which of them, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Rehearsal {
    /// Rehearse a disaster instead, on an installation made for it: a name, or `all`. Nothing is done to this one.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Show which scenarios there are.
    #[arg(long, conflicts_with = "scenario")]
    list: bool,
    /// A folder with scenarios of your own, which replace or join the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    scenarios: Option<PathBuf>,
    /// Where the reports go, as Markdown and JSON.
    #[arg(long, value_name = "FOLDER", default_value = "drill-reports")]
    report: PathBuf,
}

impl Rehearsal {
    pub(crate) const fn is_asked_for(&self) -> bool {
        self.list || self.scenario.is_some()
    }

    pub(crate) async fn run(
        self,
        (data_dir, scratch, program): (&Path, &Path, Option<&Path>),
        client: &Client,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let scenarios = Scenarios::load(self.scenarios.as_deref())?;
        let Some(name) = &self.scenario else {
            return listed(&scenarios, output);
        };
        let chosen: Vec<&Scenario> = match &**name {
            "all" => scenarios.iter().collect(),
            name => vec![scenarios.named(name)?],
        };
        let program = server(program);
        let log = told_to(data_dir)?;
        let (mut reports, mut skipped) = (Vec::new(), Vec::new());
        for scenario in &chosen {
            output.note(&format!("{}: {}", scenario.name, scenario.title));
            let done = {
                let progress = Progress::new();
                let clock = Arc::new(SystemClock);
                let run = disaster::run(scenario, scratch, &program, clock, &progress);
                tokio::select! {
                    done = run => done,
                    // What was made is removed as the run is dropped.
                    _ = tokio::signal::ctrl_c() => {
                        let why = anyhow::anyhow!("stopped in the middle of {}", scenario.name);
                        return Err(Failure::new(Exit::Interrupted, why));
                    }
                }
            };
            match done {
                Ok(done) => {
                    if let Some(site) = &log {
                        site.log()?.keep(&done.record)?;
                        tell(site, client, output).await?;
                    }
                    output.note(&words(output, &done.record));
                    reports.push(done);
                }
                // Others may go where this one cannot.
                Err(error @ Error::Absent(..)) if chosen.len() > 1 => {
                    output.note(&format!("SKIPPED: {}: {error}", scenario.name));
                    skipped.push((scenario.name.clone(), error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if log.is_none() {
            output.note("no hub's data directory is here (--data-dir): the runs are in the report alone, in no ledger");
        }
        let files = written(&self.report, &reports, &skipped)?;
        shown(&reports, &skipped, &files, output)
    }
}

/// Where this host's operations wait to be told, if a hub is here.
fn told_to(data_dir: &Path) -> Result<Option<Site>, Failure> {
    if data_dir.is_dir() {
        return Ok(Some(Site::open(data_dir, Config::default())?));
    }
    Ok(None)
}

fn listed(scenarios: &Scenarios, output: &Output) -> Result<Exit, Failure> {
    if output.json {
        let all: Vec<&Scenario> = scenarios.iter().collect();
        output.document(&json!({"scenarios": all}))?;
        return Ok(Exit::Done);
    }
    let rows = scenarios.iter().map(|one| {
        vec![
            one.name.clone(),
            one.title.clone(),
            one.objective.rto.to_string(),
            one.objective.rpo.to_string(),
        ]
    });
    output.table(&["Scenario", "What happens", "RTO", "RPO"], rows.collect())?;
    Ok(Exit::Done)
}

/// Both files, named after the moment.
fn written(
    folder: &Path,
    done: &[Done],
    skipped: &[(String, String)],
) -> Result<[PathBuf; 2], Failure> {
    use hub_base::Clock as _;
    let now = SystemClock.now();
    std::fs::create_dir_all(folder).map_err(|error| Failure::file("make", folder, error))?;
    let name = format!("disasters-{}", now.to_string().replace([':', '.'], "-"));
    let reports: Vec<&Report> = done.iter().map(|one| &one.report).collect();
    let mut page = format!("# Disasters rehearsed, {now}\n\n");
    for report in &reports {
        page.push_str(&report.page());
        page.push('\n');
    }
    for (name, why) in skipped {
        page = format!("{page}## {name}: SKIPPED\n\n{why}\n\n");
    }
    let document = json!({"at": now, "reports": reports, "skipped": skipped});
    let text =
        serde_json::to_string_pretty(&document).map_err(|error| Failure::new(Exit::Bug, error))?;
    let [markdown, machine] = ["md", "json"].map(|end| folder.join(format!("{name}.{end}")));
    for (path, text) in [(&markdown, page), (&machine, text)] {
        std::fs::write(path, text).map_err(|error| Failure::file("write", path, error))?;
    }
    Ok([markdown, machine])
}

fn shown(
    done: &[Done],
    skipped: &[(String, String)],
    files: &[PathBuf; 2],
    output: &Output,
) -> Result<Exit, Failure> {
    let good = done.iter().all(|one| one.report.is_met());
    if output.json {
        let reports: Vec<&Report> = done.iter().map(|one| &one.report).collect();
        output.document(&json!({"reports": reports, "skipped": skipped, "files": files}))?;
    } else {
        let mut rows: Vec<Vec<String>> = done.iter().map(|one| row(&one.report, output)).collect();
        for (name, _) in skipped {
            let mut row = vec![name.clone()];
            row.resize(HEAD.len() - 1, "–".to_owned());
            row.push("SKIPPED".to_owned());
            rows.push(row);
        }
        output.table(HEAD, rows)?;
        let [markdown, machine] = files;
        output.line(&format!(
            "Reports: {}, {}",
            markdown.display(),
            machine.display()
        ))?;
    }
    Ok(if good { Exit::Done } else { Exit::No })
}

const HEAD: &[&str] = &[
    "Scenario",
    "Noticed",
    "by",
    "RTO",
    "of",
    "RPO",
    "of",
    "Writes lost",
    "left",
    "",
];

fn row(report: &Report, output: &Output) -> Vec<String> {
    let measured = |span: Option<hub_base::HumanDuration>| {
        span.map_or_else(|| "–".to_owned(), |span| seconds(span.0))
    };
    let noticed = report.noticed.as_ref();
    let writes = report.writes;
    let good = report.is_met();
    vec![
        report.scenario.clone(),
        measured(noticed.map(|one| one.after)),
        noticed.map_or_else(|| "–".to_owned(), |one| one.by.clone()),
        measured(report.rto),
        report.objective.rto.to_string(),
        measured(report.rpo),
        report.objective.rpo.to_string(),
        format!("{} of {}", writes.lost, writes.acknowledged),
        writes.left_behind.to_string(),
        output.verdict(good, if good { "met" } else { "MISSED" }),
    ]
}
