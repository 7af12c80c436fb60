//! The room's section of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hub_base::HumanDuration;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How the hub responds. Everything has a default: without any channel, notifications are recorded as
/// not configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RespondConfig {
    /// Playbooks that replace (by name) or join the built-in ones.
    pub playbooks: Option<PathBuf>,
    /// Addresses that are never blocked automatically: the operator's own monitoring.
    pub protected_addresses: Vec<IpNet>,
    /// Tries of one action or notification before it is given up and shown as failed.
    pub attempts: u16,
    pub webhook: Option<WebhookConfig>,
    pub email: Option<EmailConfig>,
}

impl Default for RespondConfig {
    fn default() -> Self {
        Self {
            playbooks: None,
            protected_addresses: vec![
                IpNet::from(std::net::IpAddr::from([127, 0, 0, 1])),
                IpNet::from(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
            ],
            attempts: 6,
            webhook: None,
            email: None,
        }
    }
}

/// A receiver of incident summaries over HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// `https://…`, or `http://…` to a loopback address or a host in `plain_http_hosts`.
    pub url: Secret,
    /// Signs each message; at least 16 characters.
    pub secret: Secret,
    #[serde(default)]
    pub plain_http_hosts: Vec<String>,
    #[serde(default = "ten_seconds")]
    pub timeout: HumanDuration,
}

/// A mail server and who receives incident summaries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    pub host: String,
    pub port: u16,
    #[serde(default)]
    pub tls: MailTls,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    pub from: String,
    pub to: Vec<String>,
    #[serde(default = "ten_seconds")]
    pub timeout: HumanDuration,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS from the first byte (port 465).
    #[default]
    Required,
    /// Upgraded before anything is said (port 587); refused if the server does not offer it.
    Starttls,
    /// None: only to a loopback address.
    None,
}

const fn ten_seconds() -> HumanDuration {
    HumanDuration(Duration::from_secs(10))
}

/// A configured secret: prints as `***` everywhere.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl RespondConfig {
    /// Every fault, as `key: what is wrong`.
    ///
    /// # Errors
    /// The list of faults, if there is any.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        if !(1..=20).contains(&self.attempts) {
            faults.push(format!(
                "attempts: `{}` is not between 1 and 20",
                self.attempts
            ));
        }
        if let Some(folder) = &self.playbooks
            && !folder.is_dir()
        {
            faults.push(format!("playbooks: `{}` is not a folder", folder.display()));
        }
        if let Some(webhook) = &self.webhook {
            webhook.validate(&mut faults);
        }
        if let Some(email) = &self.email {
            email.validate(&mut faults);
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

impl WebhookConfig {
    fn validate(&self, faults: &mut Vec<String>) {
        if self.secret.expose().len() < 16 {
            faults.push("webhook.secret: needs at least 16 characters".to_owned());
        }
        check_timeout("webhook.timeout", self.timeout, faults);
        // The URL may carry a token, so that it is never repeated.
        match reqwest::Url::parse(self.url.expose()) {
            Err(_) => faults.push("webhook.url: is not a URL".to_owned()),
            Ok(url) => {
                let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
                let plain = url.scheme() == "http"
                    && (is_loopback(host) || self.plain_http_hosts.iter().any(|h| h == host));
                if url.scheme() != "https" && !plain {
                    faults.push(
                        "webhook.url: must be https, or http to a loopback address or a host in \
                         webhook.plain_http_hosts"
                            .to_owned(),
                    );
                }
            }
        }
    }
}

impl EmailConfig {
    fn validate(&self, faults: &mut Vec<String>) {
        check_timeout("email.timeout", self.timeout, faults);
        if self.tls == MailTls::None && !is_loopback(&self.host) {
            faults.push(format!(
                "email.tls: `none` is only for a loopback address, not for `{}`",
                self.host
            ));
        }
        if self.username.is_some() != self.password.is_some() {
            faults.push("email.username and email.password: give both or neither".to_owned());
        }
        if self.to.is_empty() {
            faults.push("email.to: needs at least one address".to_owned());
        }
        for (key, text) in std::iter::once(("email.from", &self.from))
            .chain(self.to.iter().map(|to| ("email.to", to)))
        {
            if text.parse::<lettre::message::Mailbox>().is_err() {
                faults.push(format!("{key}: `{text}` is not a mail address"));
            }
        }
    }
}

fn check_timeout(key: &str, timeout: HumanDuration, faults: &mut Vec<String>) {
    if timeout.0 < Duration::from_millis(100) || timeout.0 > Duration::from_mins(1) {
        faults.push(format!("{key}: `{timeout}` is not between 100ms and 60s"));
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str) -> RespondConfig {
        RespondConfig {
            webhook: Some(WebhookConfig {
                url: Secret::new(url),
                secret: Secret::new("0123456789abcdef"),
                plain_http_hosts: vec!["relay.internal".into()],
                timeout: ten_seconds(),
            }),
            ..RespondConfig::default()
        }
    }

    #[test]
    fn a_webhook_is_https_or_near() {
        for url in [
            "https://x.example/a",
            "http://127.0.0.1:9/",
            "http://[::1]:9/",
            "http://relay.internal/",
        ] {
            assert_eq!(webhook(url).validate(), Ok(()), "{url}");
        }
        for url in ["http://x.example/", "ftp://127.0.0.1/", "nonsense"] {
            assert!(webhook(url).validate().is_err(), "{url}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let config = webhook("https://x.example/token-in-the-path");
        let shown = format!("{config:?}{}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("0123456789abcdef") && !shown.contains("token-in-the-path"));
    }

    #[test]
    fn every_fault_of_the_mail_section_is_told() {
        let config = RespondConfig {
            email: Some(EmailConfig {
                host: "mail.example".into(),
                port: 25,
                tls: MailTls::None,
                username: Some("u".into()),
                password: None,
                from: "no address".into(),
                to: vec![],
                timeout: HumanDuration(Duration::from_hours(1)),
            }),
            ..RespondConfig::default()
        };
        assert_eq!(config.validate().unwrap_err().len(), 5);
    }
}
