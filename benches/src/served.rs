//! The real server in a process of its own with its private, durable database.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use hub_testkit::hub::{Hub, Setting};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse battery staple";

/// Without `HUB_BIN`, builds the server optimised, as it is shipped, and runs this program again with it. Answers whether
/// it did, and so whether the caller is done: what tests build by themselves is not worth measuring.
///
/// # Errors
/// If the server does not build, or the second run fails.
pub fn delegated() -> anyhow::Result<bool> {
    if std::env::var_os("HUB_BIN").is_some() {
        return Ok(false);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "security-hub"])
        .args(["--bin", "security-hub", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the server does not build");
    let messages = String::from_utf8(output.stdout)?;
    let binary = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(str::to_owned))
        .next_back()
        .context("cargo built no executable")?;
    let status = Command::new(std::env::current_exe()?)
        .env("HUB_BIN", binary)
        .status()?;
    ensure!(status.success(), "the measurement failed");
    Ok(true)
}

/// A server that goes in good order, so that its database goes with it.
#[derive(Debug)]
pub struct Served {
    pub hub: Hub,
    pub http: reqwest::Client,
    _folder: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.hub.terminate().is_ok() {
            let _gone = self.hub.wait();
        }
    }
}

impl Served {
    /// Starts `HUB_BIN`; see [`delegated`].
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(setting: &Setting) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let hub = setting.start(folder.path())?;
        let http = reqwest::Client::builder().build()?;
        Ok(Self {
            hub,
            http,
            _folder: folder,
        })
    }

    /// Makes the first operator, `root`.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn enrol(&self) -> anyhow::Result<()> {
        let secret = self.hub.secret.as_deref().context("no enrolment secret")?;
        let body = json!({"secret": secret, "username": "root", "email": "root@hub.example", "password": PASSWORD});
        self.post("/api/v2/enrol", None, &body).await?;
        Ok(())
    }

    /// An access token of `root`.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn sign_in(&self) -> anyhow::Result<String> {
        let body = json!({"tenant": "system", "username": "root", "password": PASSWORD});
        let answer = self.post("/api/v2/login", None, &body).await?;
        let token = answer.get("access_token").and_then(Value::as_str);
        Ok(token.context("no access token")?.to_owned())
    }

    /// # Errors
    /// If the server refuses.
    pub async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let mut request = self.http.post(format!("{}{path}", self.hub.url)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "POST {path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
