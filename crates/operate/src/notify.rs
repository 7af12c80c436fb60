//! Telling people of an operation: Slack, a webhook of their own, e-mail. Whoever cannot be told holds nothing up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::deploy::Journey;
use crate::error::Error;

/// For each of them to take it.
const ASK: Duration = Duration::from_secs(5);

/// Whom to tell. Addresses that are secrets stand in files of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// File with the URL of a Slack incoming webhook.
    pub slack: Option<PathBuf>,
    /// File with the URL that takes the operation as JSON.
    pub webhook: Option<PathBuf>,
    pub email: Option<Email>,
}

/// A mail server and who gets the mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub host: String,
    #[serde(default = "submissions")]
    pub port: u16,
    #[serde(default)]
    pub tls: Tls,
    pub username: Option<String>,
    /// File with the password.
    pub password: Option<PathBuf>,
    pub from: String,
    pub to: Vec<String>,
}

/// How the mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    #[default]
    Required,
    Starttls,
    /// On the machine itself only.
    None,
}

const fn submissions() -> u16 {
    465
}

/// The part of a configuration that says whom to tell.
#[derive(Deserialize)]
struct Section {
    #[serde(default)]
    notify: Notify,
}

impl Notify {
    /// Reads `[notify]` of a TOML file, such as `deploy.toml`; paths in it are relative to it.
    ///
    /// # Errors
    /// [`Error::Configuration`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fault = |what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        let section: Section = toml::from_str(&text)
            .map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        let mut notify = section.notify;
        if let Some(what) = notify.fault() {
            return Err(fault(what));
        }
        let whole = fs::canonicalize(path).map_err(|error| fault(error.to_string()))?;
        notify.rebase(whole.parent().unwrap_or(Path::new("/")));
        Ok(notify)
    }

    pub(crate) fn rebase(&mut self, base: &Path) {
        let mail = self
            .email
            .as_mut()
            .and_then(|email| email.password.as_mut());
        for path in [self.slack.as_mut(), self.webhook.as_mut(), mail]
            .into_iter()
            .flatten()
        {
            *path = base.join(&path);
        }
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<String> {
        let email = self.email.as_ref()?;
        let is_here = ["127.0.0.1", "::1", "localhost"].contains(&email.host.as_str());
        if email.tls == Tls::None && !is_here {
            return Some(
                "notify.email.tls: `none` is for a mail server on this machine".to_owned(),
            );
        }
        if email.to.is_empty() {
            return Some("notify.email.to: nobody is named".to_owned());
        }
        let boxes = email.to.iter().chain([&email.from]);
        boxes
            .filter(|text| text.parse::<Mailbox>().is_err())
            .map(|text| format!("notify.email: `{text}` is no mail address"))
            .next()
    }

    /// Tells all of them; what could not be told, and why. No address is in it.
    pub async fn tell(&self, journey: &Journey) -> Vec<String> {
        self.send(journey, words(journey)).await
    }

    /// Tells all of them that it goes neither on nor back by itself: somebody must look.
    pub async fn tell_stuck(&self, journey: &Journey, why: &str) -> Vec<String> {
        let (kind, name) = (&journey.kind, &journey.to.name);
        let text = format!(
            "{kind} of {name} is STUCK {}, SOMEBODY MUST ACT: {why}",
            journey.stage
        );
        self.send(journey, text).await
    }

    /// Tells all of them how a run of a runbook goes on.
    pub async fn tell_run(&self, run: &Value, text: String) -> Vec<String> {
        self.send(run, text).await
    }

    async fn send(&self, operation: &impl Serialize, text: String) -> Vec<String> {
        let mut faults = Vec::new();
        let mut note = |who: &str, told: Result<(), String>| {
            if let Err(why) = told {
                faults.push(format!("{who} could not be told: {why}"));
            }
        };
        if let Some(path) = &self.slack {
            note("Slack", post(path, &json!({"text": text})).await);
        }
        if let Some(path) = &self.webhook {
            let body = json!({"type": "operation", "text": text, "operation": operation});
            note("the webhook", post(path, &body).await);
        }
        if let Some(email) = &self.email {
            note("the mail server", email.send(&text).await);
        }
        faults
    }
}

/// One line, such as people read on a telephone.
fn words(journey: &Journey) -> String {
    let (kind, name, colour) = (&journey.kind, &journey.to.name, journey.colour);
    match (journey.outcome.as_deref(), &journey.back) {
        (None, _) => format!("{kind} of {name} begins, as {colour}"),
        (Some("deployed"), _) => {
            let spent = journey
                .ended
                .map(|ended| ended.since(journey.began).as_secs());
            format!(
                "{kind} of {name} is done: {colour} has all the traffic, after {} s",
                spent.unwrap_or(0)
            )
        }
        (Some(_), Some(why)) if journey.is_left() => format!("{kind} of {name} was LEFT: {why}"),
        (Some(_), why) => {
            let why = why.as_deref().unwrap_or("without a reason");
            let from = journey
                .from
                .as_ref()
                .map_or("nothing", |from| from.name.as_str());
            format!("{kind} of {name} was TAKEN BACK: {why}. {from} has all the traffic")
        }
    }
}

fn secret(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| {
        let fault = Error::File {
            path: path.to_owned(),
            verb: "read",
            source: error,
        };
        fault.to_string()
    })?;
    Ok(text.trim().to_owned())
}

async fn post(path: &Path, body: &Value) -> Result<(), String> {
    let url = secret(path)?;
    let http = reqwest::Client::builder()
        .timeout(ASK)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())?;
    // The URL is the secret: an error must not carry it.
    let answer = http.post(url).json(body).send().await;
    let answer = answer.map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("it answered {status}"))
}

impl Email {
    async fn send(&self, text: &str) -> Result<(), String> {
        use lettre::transport::smtp::client::{Tls as Wire, TlsParameters};
        let tls = || TlsParameters::new(self.host.clone()).map_err(|error| error.to_string());
        let wire = match self.tls {
            Tls::Required => Wire::Wrapper(tls()?),
            Tls::Starttls => Wire::Required(tls()?),
            Tls::None => Wire::None,
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .tls(wire)
            .timeout(Some(ASK));
        if let (Some(username), Some(path)) = (&self.username, &self.password) {
            server = server.credentials(Credentials::new(username.clone(), secret(path)?));
        }
        let mailbox = |text: &String| text.parse::<Mailbox>().map_err(|error| error.to_string());
        let mut message = Message::builder()
            .from(mailbox(&self.from)?)
            .subject(text.chars().take(120).collect::<String>())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(mailbox(to)?);
        }
        let message = message
            .body(format!("{text}\n"))
            .map_err(|error| error.to_string())?;
        let sent = server.build().send(message).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}
