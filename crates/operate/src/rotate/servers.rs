//! Every server that runs, asked one by one which keys it has.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{Config, Look};

const ASK: Duration = Duration::from_secs(5);

/// Where they are, and by which right they are asked.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    urls: Vec<String>,
    ca: Option<PathBuf>,
    /// Of an operator; on the machine itself perhaps none is needed.
    token: Option<SecretString>,
}

/// What a server says of itself in `/health`.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) keys: Vec<Keys>,
    pub(crate) database: Login,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Keys {
    pub(crate) purpose: String,
    pub(crate) primary: Option<String>,
    pub(crate) known: Vec<String>,
    pub(crate) lifetime_s: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Login {
    #[serde(default)]
    pub(crate) login: String,
}

impl Servers {
    pub(crate) fn new(config: &Config, token: Option<SecretString>) -> Self {
        Self {
            urls: config.servers.clone(),
            ca: config.ca.clone(),
            token,
        }
    }

    /// What every one of them says, or who does not answer.
    pub(crate) async fn ask(&self) -> Result<Vec<(String, Answer)>, String> {
        let mut all = Vec::new();
        for url in &self.urls {
            for address in addresses(url).await? {
                let name = format!("{url} ({address})");
                let answer = self.one(url, address).await;
                all.push((
                    name.clone(),
                    answer.map_err(|why| format!("{name}: {why}"))?,
                ));
            }
        }
        Ok(all)
    }

    async fn one(&self, url: &str, address: SocketAddr) -> Result<Answer, String> {
        let words = |error: reqwest::Error| hub_base::chain(&error);
        let parsed = Url::parse(url).map_err(|error| error.to_string())?;
        let host = parsed.host_str().unwrap_or_default().to_owned();
        let mut client = Client::builder()
            .timeout(ASK)
            .no_proxy()
            .resolve(&host, address);
        if let Some(file) = &self.ca {
            let pem = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            for root in Certificate::from_pem_bundle(&pem).map_err(words)? {
                client = client.add_root_certificate(root);
            }
        }
        let client = client.build().map_err(words)?;
        let mut request = client.get(format!("{}/health", url.trim_end_matches('/')));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.send().await.map_err(words)?;
        // One whose detection is out of step is asked all the same.
        match answer.status().as_u16() {
            200 | 503 => answer.json().await.map_err(words),
            401 | 403 => Err("it tells only operators: give --token-file with a key that has the scope health.read".to_owned()),
            status => Err(format!("it answered {status}")),
        }
    }

    /// Whether every server is as it should be; `is` says what one lacks.
    pub(crate) async fn all(&self, what: &str, is: impl Fn(&Answer) -> bool) -> Look {
        match self.ask().await {
            Err(why) => Look::NotYet(why),
            Ok(answers) => match answers.iter().find(|(_, answer)| !is(answer)) {
                Some((name, _)) => Look::NotYet(format!("{name} does not {what} yet")),
                None => Look::Everywhere(format!("{} servers {what}", answers.len())),
            },
        }
    }
}

/// All addresses of a server's name: a headless service of Kubernetes has one for each pod.
async fn addresses(url: &str) -> Result<BTreeSet<SocketAddr>, String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
    let host = parsed
        .host_str()
        .ok_or_else(|| format!("{url}: it names no host"))?;
    let port = parsed.port_or_known_default().unwrap_or(443);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, port)).await;
    let found: BTreeSet<_> = found.map_err(|error| format!("{url}: {error}"))?.collect();
    if found.is_empty() {
        return Err(format!("{url}: nobody has this name"));
    }
    Ok(found)
}

impl Answer {
    pub(crate) fn of(&self, purpose: &str) -> Option<&Keys> {
        self.keys.iter().find(|keys| keys.purpose == purpose)
    }
}
