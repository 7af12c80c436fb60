//! Enrolling, signing in, asking for health.

use std::path::PathBuf;

use hub_base::HumanDuration;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::client::{Client, field};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::secret::{SecretFile, read_secret};

#[derive(Debug, clap::Args)]
pub(crate) struct Enrol {
    /// File with the one-time secret; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    #[arg(long)]
    username: String,
    #[arg(long)]
    email: String,
    /// File with the password to set; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
}

impl Enrol {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let (secret, password) = (
            read_secret(&self.secret_file)?,
            read_secret(&self.password_file)?,
        );
        let body = json!({"secret": secret.expose_secret(), "username": self.username, "email": self.email,
            "password": password.expose_secret()});
        let made = client.post("/api/v2/enrol", body).await?;
        if output.json {
            output.document(&made)?;
        } else {
            output.line(&format!(
                "`{}` is the first administrator of the tenant `system`",
                self.username
            ))?;
        }
        Ok(Exit::Done)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    #[arg(long, default_value = "system")]
    tenant: String,
    #[arg(long)]
    username: String,
    /// File with the password; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// Where to keep the access token (readable by you only).
    #[arg(long, value_name = "FILE")]
    save: PathBuf,
}

impl Login {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let password = read_secret(&self.password_file)?;
        let body = json!({"tenant": self.tenant, "username": self.username, "password": password.expose_secret()});
        let kept = SecretFile::open(&self.save)?;
        let tokens = client.post("/api/v2/login", body).await?;
        kept.keep(&field(&tokens, "access_token"))?;
        let expires = field(&tokens, "expires_in");
        if output.json {
            output.document(&json!({"saved": self.save, "expires_in": expires}))?;
        } else {
            output.line(&format!(
                "the access token is in {} and good for {expires} s",
                self.save.display()
            ))?;
        }
        Ok(Exit::Done)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Health {
    /// Keep asking for so long until it is ready.
    #[arg(long, value_name = "DURATION")]
    wait: Option<HumanDuration>,
}

impl Health {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let started = std::time::Instant::now();
        loop {
            match client.get("/health/ready").await {
                Ok(body) => {
                    if output.json {
                        output.document(&body)?;
                    } else {
                        output.line("ready")?;
                    }
                    return Ok(Exit::Done);
                }
                Err(failure) => {
                    let left = self.wait.is_some_and(|wait| started.elapsed() < wait.0);
                    if !left {
                        return Err(failure);
                    }
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
}
