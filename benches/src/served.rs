//! The real server in a process of its own with its private, durable database.

use anyhow::{Context as _, ensure};
use hub_testkit::hub::{Hub, Setting};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse battery staple";

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
    /// Starts `HUB_BIN`, or what cargo builds now.
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
