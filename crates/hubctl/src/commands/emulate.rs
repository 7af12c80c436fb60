//! Adversary emulation: run a scenario with a live display, then print and write what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Subcommand;
use hub_emulate::report::seconds;
use hub_emulate::{Access, Progress, Report, Scenario};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use secrecy::ExposeSecret;

use crate::client::{Client, write_secret};
use crate::exit::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Emulate {
    /// Run a scenario against the hub; the credential must be allowed to make tenants.
    Run {
        /// A scenario file; without one, the built-in scenario.
        scenario: Option<PathBuf>,
        /// Where to write the HTML report.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Where to keep the password of the emulated tenant's owner (readable by you only), to sign in afterwards.
        #[arg(long, value_name = "FILE")]
        owner_password: Option<PathBuf>,
    },
    /// Check a scenario file.
    Check { scenario: PathBuf },
    /// Print the JSON Schema of scenario files.
    Schema,
    /// Print the built-in scenario, to begin one of your own.
    Example,
}

impl Emulate {
    pub(crate) async fn run(
        self,
        client: impl FnOnce() -> Result<Client, Failure>,
        output: &Output,
    ) -> Result<Exit, Failure> {
        match self {
            Self::Schema => {
                output.document(&schema())?;
                Ok(Exit::Done)
            }
            Self::Example => {
                output.line(hub_emulate::scenario::BUILT_IN.1.trim_end())?;
                Ok(Exit::Done)
            }
            Self::Check { scenario } => {
                let read = read(&scenario)?;
                output.line(&format!(
                    "{}: {} attacks, sound",
                    read.name,
                    read.attacks.len()
                ))?;
                Ok(Exit::Done)
            }
            Self::Run {
                scenario,
                report,
                owner_password,
            } => {
                let scenario = match scenario {
                    Some(file) => read(&file)?,
                    None => Scenario::built_in()?,
                };
                let client = client()?;
                let access = Access {
                    url: client.url.clone(),
                    operator_token: client.token()?.expose_secret().to_owned(),
                };
                let display = Arc::new(Display::new());
                let telling = Arc::clone(&display);
                let finished = hub_emulate::run(
                    &scenario,
                    &access,
                    Arc::new(move |progress| telling.tell(progress)),
                )
                .await?;
                display.end();
                if let Some(file) = owner_password {
                    write_secret(&file, &finished.owner_password)?;
                }
                if let Some(file) = &report {
                    std::fs::write(file, finished.report.html()?)?;
                }
                print(output, &finished.report, report.as_deref())?;
                Ok(if finished.report.is_good() {
                    Exit::Done
                } else {
                    Exit::No
                })
            }
        }
    }
}

fn schema() -> serde_json::Value {
    hub_emulate::scenario::schema()
}

fn read(file: &std::path::Path) -> Result<Scenario, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Exit::Usage,
            anyhow::Error::new(error).context(format!("cannot read {}", file.display())),
        )
    })?;
    Ok(Scenario::parse(&file.display().to_string(), &text)?)
}

/// The table and the lines under it.
fn print(output: &Output, report: &Report, file: Option<&std::path::Path>) -> Result<(), Failure> {
    if output.json {
        return output.document(report);
    }
    let yes = |good: bool| output.verdict(good, if good { "yes" } else { "NO" });
    let rows = report.verdicts.iter().map(|verdict| {
        vec![
            verdict.techniques.join(", "),
            verdict.title.clone(),
            yes(verdict.detected),
            seconds(verdict.detect_ms),
            yes(verdict.contained),
            seconds(verdict.contain_ms),
            verdict.requests.to_string(),
            verdict.succeeded.to_string(),
            verdict.succeeded_after.to_string(),
            verdict.incidents.len().to_string(),
        ]
    });
    output.table(
        &[
            "Technique",
            "Attack",
            "Detected",
            "after",
            "Contained",
            "after",
            "Hostile requests",
            "succeeded",
            "after containment",
            "Incidents",
        ],
        rows.collect(),
    )?;
    let none = |list: &[String]| {
        if list.is_empty() {
            output.verdict(true, "none")
        } else {
            output.verdict(false, &list.join(", "))
        }
    };
    output.line(&format!(
        "{} requests by {} people, {} programs and the attackers ({} hostile)",
        report.requests, report.people, report.programs, report.hostile_requests
    ))?;
    output.line(&format!(
        "False positives on benign users: {}",
        none(&report.false_positives)
    ))?;
    output.line(&format!(
        "Incidents that fit no attack: {}",
        none(&report.unexplained)
    ))?;
    match &report.release {
        Some(release) => output.line(&format!(
            "Released {} on {} (incident {}): a request from there answered {} before and {} after: {}",
            release.action,
            release.target,
            release.incident,
            release.status_before,
            release.status_after,
            output.verdict(release.worked(), if release.worked() { "reversible" } else { "NOT reversed" })
        ))?,
        None => output.line(&output.verdict(false, "No containment could be released"))?,
    }
    if let Some(file) = file {
        output.line(&format!("Report: {}", file.display()))?;
    }
    Ok(())
}

/// Bars on a terminal; a line per event elsewhere.
struct Display {
    live: bool,
    bars: MultiProgress,
    stage: ProgressBar,
    attacks: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Display {
    fn new() -> Self {
        let live = Output::is_live();
        let bars = MultiProgress::new();
        let stage = if live {
            bars.add(ProgressBar::new(0))
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) =
            ProgressStyle::with_template("{elapsed_precise} {bar:24} {pos}/{len} {msg}")
        {
            stage.set_style(style);
        }
        Self {
            live,
            bars,
            stage,
            attacks: Mutex::default(),
        }
    }

    fn say(&self, id: &str, text: &str, last: bool) {
        if !self.live {
            Output::new(false).note(text);
            return;
        }
        let mut attacks = self.attacks.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = attacks.entry(id.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
            bar
        });
        bar.set_message(text.to_owned());
        if last {
            bar.finish();
        }
    }

    fn tell(&self, progress: Progress) {
        match progress {
            Progress::Stage { name, steps } => {
                self.stage.set_length(steps);
                self.stage.set_position(0);
                self.stage.set_message(name);
                if !self.live {
                    Output::new(false).note(&format!("… {name}"));
                }
            }
            Progress::Step => self.stage.inc(1),
            Progress::Requests { all, hostile } => {
                if self.live {
                    self.stage.set_message(format!(
                        "work, and attacks among it: {all} requests, {hostile} hostile"
                    ));
                }
            }
            Progress::AttackBegan { id, technique } => {
                self.say(&id, &format!("{technique:<10} {id}: attack begins"), false)
            }
            Progress::Detected {
                id,
                technique,
                after_ms,
            } => {
                let after = seconds(Some(after_ms));
                self.say(
                    &id,
                    &format!("{technique:<10} {id}: detected after {after}"),
                    false,
                );
            }
            Progress::Contained {
                id,
                technique,
                after_ms,
            } => {
                let after = seconds(Some(after_ms));
                self.say(
                    &id,
                    &format!("{technique:<10} {id}: contained after {after}"),
                    true,
                );
            }
        }
    }

    fn end(&self) {
        self.stage.finish_and_clear();
    }
}
