//! Adversary emulation: run a scenario with a live display, then print and write what came of it.

mod display;
mod told;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use hub_emulate::{Access, Scenario};
use secrecy::ExposeSecret;

use self::display::Display;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::secret::SecretFile;

#[derive(Debug, Subcommand)]
pub(crate) enum Emulate {
    /// Run a scenario against the hub; the credential must be allowed to make tenants.
    Run {
        /// A scenario file; without one, the built-in scenario.
        scenario: Option<PathBuf>,
        /// Where to write the HTML report; the same as JSON goes beside it.
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
                output.document(&hub_emulate::scenario::schema())?;
                Ok(Exit::Done)
            }
            Self::Example => {
                output.line(hub_emulate::scenario::BUILT_IN.1.trim_end())?;
                Ok(Exit::Done)
            }
            Self::Check { scenario } => check(output, &scenario),
            Self::Run {
                scenario,
                report,
                owner_password,
            } => {
                let scenario = scenario
                    .as_deref()
                    .map_or_else(|| Ok(Scenario::built_in()?), read)?;
                run(
                    &client()?,
                    output,
                    &scenario,
                    report.as_deref(),
                    owner_password.as_deref(),
                )
                .await
            }
        }
    }
}

fn check(output: &Output, file: &Path) -> Result<Exit, Failure> {
    let read = read(file)?;
    if output.json {
        output.document(&serde_json::json!({"name": read.name, "attacks": read.attacks.len()}))?;
    } else {
        output.line(&format!(
            "{}: {} attacks, sound",
            read.name,
            read.attacks.len()
        ))?;
    }
    Ok(Exit::Done)
}

async fn run(
    client: &Client,
    output: &Output,
    scenario: &Scenario,
    report: Option<&Path>,
    owner_password: Option<&Path>,
) -> Result<Exit, Failure> {
    let access = Access {
        url: client.url.clone(),
        operator_token: client.token()?.expose_secret().to_owned(),
    };
    let kept = owner_password.map(SecretFile::open).transpose()?;
    let display = Arc::new(Display::new());
    let telling = Arc::clone(&display);
    let listener = Arc::new(move |progress| telling.tell(progress));
    let finished = hub_emulate::run(scenario, &access, listener).await?;
    display.end();
    if let Some(kept) = kept {
        kept.keep(&finished.owner_password)?;
    }
    if let Some(file) = report {
        let fault = |error| Failure::file("write", file, error);
        std::fs::write(file, finished.report.html()?).map_err(fault)?;
        let data = serde_json::to_vec_pretty(&finished.report);
        let data = data.map_err(|error| Failure::new(Exit::Bug, error))?;
        std::fs::write(file.with_extension("json"), data).map_err(fault)?;
    }
    told::print(output, &finished.report, report)?;
    Ok(if finished.report.is_good() {
        Exit::Done
    } else {
        Exit::No
    })
}

fn read(file: &Path) -> Result<Scenario, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, error))?;
    Ok(Scenario::parse(&file.display().to_string(), &text)?)
}
