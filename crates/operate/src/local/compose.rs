//! Colours as services of a compose file. What runs is asked of the container engine.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use crate::deploy::Colour;
use crate::error::Error;
use crate::program::{answered, run, succeeded};
use crate::release::Release;

use super::config::Compose;
use super::runner::MIGRATE;

/// For the engine to answer or to start a container, pulling its image included.
const PULL: Duration = Duration::from_mins(10);
const ASK: Duration = Duration::from_secs(20);
/// The label with the release's folder, as the compose file sets it.
const LABEL: &str = "hub.security/release";

/// The compose file's hub services.
#[derive(Debug)]
pub(super) struct Services {
    compose: Compose,
}

impl Services {
    pub(super) const fn new(compose: Compose) -> Self {
        Self { compose }
    }

    /// A verb of the engine, as errors call it.
    fn name(&self, verb: &str) -> String {
        format!("{} {verb}", self.compose.engine)
    }

    fn container(colour: Colour) -> String {
        format!("security-hub-{colour}")
    }

    /// What the engine tells of a colour's container in this form; nothing if there is none.
    async fn inspect(&self, colour: Colour, form: &str) -> Result<Option<String>, Error> {
        let mut command = Command::new(&self.compose.engine);
        command.args(["inspect", "--type", "container", "--format", form]);
        command.arg(Self::container(colour));
        let output = run(command, ASK).await?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        if !output.status.success() && said.contains("no such") {
            return Ok(None);
        }
        let told = succeeded(&self.name("inspect"), output)?;
        Ok(Some(told.trim().to_owned()))
    }

    /// The folder of the release whose container runs.
    pub(super) async fn find(&self, colour: Colour) -> Result<Option<PathBuf>, Error> {
        let form = format!("{{{{.State.Running}}}} {{{{index .Config.Labels \"{LABEL}\"}}}}");
        let told = self.inspect(colour, &form).await?;
        let told = told.as_deref().and_then(|told| told.split_once(' '));
        Ok(match told {
            Some(("true", dir)) => Some(PathBuf::from(dir)),
            _ => None,
        })
    }

    /// How often the engine has started the container again since it was made.
    pub(super) async fn restarts(&self, colour: Colour) -> Result<Option<u64>, Error> {
        let told = self.inspect(colour, "{{.RestartCount}}").await?;
        Ok(told.and_then(|told| told.parse().ok()))
    }

    /// The compose tool at the file, with the images of this release.
    fn command(&self, profile: &str) -> Command {
        let mut words = self.compose.command.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words);
        for path in &self.compose.environment {
            command.arg("--env-file").arg(path);
        }
        for path in &self.compose.files {
            command.arg("--file").arg(path);
        }
        command.args(["--profile", profile]);
        command
    }

    pub(super) async fn plan(&self, release: &Release) -> Result<String, Error> {
        let mut command = self.command("migrate");
        command
            .args([
                "run",
                "--rm",
                "--no-deps",
                "-T",
                "migrate",
                "migrate",
                "--plan",
            ])
            .env("HUB_MIGRATE_IMAGE", release.image()?);
        let output = run(command, PULL).await?;
        answered("compose run migrate --plan", output)
    }

    pub(super) async fn migrate(&self, release: &Release) -> Result<(), Error> {
        let mut command = self.command("migrate");
        command
            // Not cut by the Ctrl-C that a terminal sends to everybody in the foreground.
            .process_group(0)
            .args(["run", "--rm", "--no-deps", "-T", "migrate"])
            .env("HUB_MIGRATE_IMAGE", release.image()?);
        let output = run(command, MIGRATE).await?;
        succeeded("compose run migrate", output).map(drop)
    }

    pub(super) async fn start(&self, colour: Colour, release: &Release) -> Result<(), Error> {
        // One that ended still has its name.
        self.remove(colour).await?;
        let service = format!("hub-{colour}");
        let name = colour.name().to_uppercase();
        let mut command = self.command(colour.name());
        command
            .args(["up", "--detach", "--no-deps", &service])
            .env(format!("HUB_{name}_IMAGE"), release.image()?)
            .env(format!("HUB_{name}_RELEASE"), &release.dir);
        let output = run(command, PULL).await?;
        succeeded("compose up", output).map(drop)
    }

    pub(super) async fn stop(&self, colour: Colour, limit: Duration) -> Result<(), Error> {
        if self.find(colour).await?.is_some() {
            let mut command = Command::new(&self.compose.engine);
            command.args(["stop", "--time", &limit.as_secs().to_string()]);
            command.arg(Self::container(colour));
            let output = run(command, limit + ASK).await?;
            succeeded(&self.name("stop"), output)?;
        }
        // It stays, stopped, for whoever wants to read its log; the next start removes it.
        Ok(())
    }

    async fn remove(&self, colour: Colour) -> Result<(), Error> {
        let mut command = Command::new(&self.compose.engine);
        command.args(["rm", "--force"]).arg(Self::container(colour));
        let output = run(command, ASK).await?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        if !output.status.success() && said.contains("no such") {
            return Ok(());
        }
        succeeded(&self.name("rm"), output).map(drop)
    }

    pub(super) fn ended(&self, colour: Colour) -> String {
        let (engine, name) = (&self.compose.engine, Self::container(colour));
        format!("its container ended; see `{engine} logs {name}`")
    }
}
