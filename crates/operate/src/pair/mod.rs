//! The database as a pair of nodes under Patroni: how it stands, and the two nodes changing places.
//!
//! Knows nothing of how the pair is set up (`infrastructure/patroni`), but for the mark by which `version` tells a mended Patroni;
//! Patroni decides, this asks.

mod config;
mod version;

use std::fmt;
use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::error::{Error, fault};
use crate::operation::Operation;

pub use config::Config;

const ASK: Duration = Duration::from_secs(5);
/// Patroni answers a change of places when it is over, or gives up after 20 s.
const CHANGE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// The pair, as it can be asked.
#[derive(Debug)]
pub struct Pair {
    http: Client,
    config: Config,
    password: Option<SecretString>,
}

/// How the pair stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub members: Vec<Member>,
    /// Nobody takes over by itself while it is so.
    #[serde(default, rename = "pause")]
    pub is_paused: bool,
}

/// A node, as Patroni tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub role: Role,
    pub state: String,
    #[serde(default)]
    pub timeline: Option<u64>,
    /// Bytes behind the leader; none of the leader, `unknown` of one that does not say.
    #[serde(default)]
    pub lag: Lag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Leader,
    /// Has everything that was acknowledged.
    SyncStandby,
    Replica,
    #[serde(other)]
    Other,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::SyncStandby => "synchronous standby",
            Self::Replica => "replica",
            Self::Other => "other",
        })
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Lag {
    #[default]
    None,
    Bytes(u64),
    Unknown(String),
}

impl Standing {
    pub fn leader(&self) -> Option<&Member> {
        self.members.iter().find(|one| one.role == Role::Leader)
    }

    fn standby(&self) -> Option<&Member> {
        let mut members = self.members.iter();
        members.find(|one| one.role == Role::SyncStandby)
    }

    /// What is not as it should be, in words.
    pub fn faults(&self, config: &Config) -> Vec<String> {
        let mut faults = Vec::new();
        match self.leader() {
            None => faults.push("nobody leads: nothing is written".to_owned()),
            Some(one) if !one.runs() => {
                faults.push(format!("{} leads and is {}", one.name, one.state));
            }
            Some(_) => {}
        }
        if self.standby().is_none() {
            faults.push("no synchronous standby: what is acknowledged now has one copy, and nobody can take over".to_owned());
        }
        for one in self.members.iter().filter(|one| one.role != Role::Leader) {
            if !one.runs() {
                faults.push(format!("{} is {}", one.name, one.state));
            }
            match &one.lag {
                Lag::Bytes(bytes) if *bytes > config.most_behind => {
                    faults.push(format!("{} is {} MiB behind", one.name, bytes >> 20));
                }
                Lag::Unknown(_) => {
                    faults.push(format!("how far {} is behind is not known", one.name));
                }
                _ => {}
            }
        }
        if self.members.len() < config.members.len() {
            let (found, wanted) = (self.members.len(), config.members.len());
            faults.push(format!("{found} of {wanted} nodes are there"));
        }
        if self.is_paused {
            faults.push("paused: nobody takes over by itself (`patronictl resume`)".to_owned());
        }
        faults
    }
}

impl Member {
    /// Newer Patroni say `streaming` of a standby that follows.
    fn runs(&self) -> bool {
        ["running", "streaming"].contains(&self.state.as_str())
    }
}

/// How the nodes change places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Both are well: the leader hands over in good order.
    Switchover,
    /// The leader is gone or hangs, and Patroni does not act by itself.
    Failover,
}

impl Change {
    /// Its kind in the ledger, and Patroni's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
        }
    }
}

/// Whether what a standby does not have may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    Refused,
    Accepted,
}

/// What would be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub change: Change,
    pub from: Option<String>,
    pub to: String,
    /// Whether the one that takes over has everything that was acknowledged.
    pub has_everything: bool,
}

impl Plan {
    /// Who changes places with whom.
    pub fn subject(&self) -> String {
        let from = self.from.as_deref().unwrap_or("nobody");
        format!("{from} to {}", self.to)
    }

    /// By how the pair stands.
    ///
    /// # Errors
    /// [`Error::Pair`] says what is in the way.
    pub fn of(
        standing: &Standing,
        change: Change,
        to: Option<&str>,
        loss: Loss,
    ) -> Result<Self, Error> {
        let refused = |why: String| Err(Error::Pair(why));
        let from = standing.leader().map(|one| one.name.clone());
        if change == Change::Switchover && from.is_none() {
            return refused(
                "nobody leads, so nobody can hand over: `hubctl database failover`".to_owned(),
            );
        }
        let Some(to) = to.or(standing.standby().map(|one| one.name.as_str())) else {
            return refused(
                "there is no synchronous standby to take over; name a node with --to".to_owned(),
            );
        };
        let Some(member) = standing.members.iter().find(|one| one.name == to) else {
            return refused(format!("there is no node {to}"));
        };
        if member.role == Role::Leader {
            return refused(format!("{to} leads already"));
        }
        let has_everything = member.role == Role::SyncStandby;
        if !has_everything && (change == Change::Switchover || loss == Loss::Refused) {
            return refused(format!(
                "{to} is no synchronous standby: it may lack what was acknowledged. Wait until it is; or, if the other node is lost for good, \
                 `hubctl database failover --to {to} --accept-loss`"
            ));
        }
        Ok(Self {
            change,
            from,
            to: to.to_owned(),
            has_everything,
        })
    }
}

impl Pair {
    /// # Errors
    /// If a file of the configuration cannot be read.
    pub fn open(config: Config) -> Result<Self, Error> {
        let mut http = Client::builder().timeout(ASK).no_proxy();
        if let Some(path) = &config.ca {
            let pem = std::fs::read(path).map_err(fault(path, "read"))?;
            let unfit = |error: reqwest::Error| Error::Configuration {
                path: path.clone(),
                what: hub_base::chain(&error),
            };
            let roots = Certificate::from_pem_bundle(&pem).map_err(unfit)?;
            http = http.tls_certs_merge(roots);
        }
        let password = match &config.password_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(fault(path, "read"))?;
                Some(SecretString::from(text.trim_end_matches('\n').to_owned()))
            }
            None => None,
        };
        let http = http
            .build()
            .map_err(|error| Error::NoPatroni(hub_base::chain(&error)))?;
        Ok(Self {
            http,
            config,
            password,
        })
    }

    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// By whichever node answers first.
    ///
    /// # Errors
    /// [`Error::NoPatroni`] with what each one said.
    pub async fn standing(&self) -> Result<Standing, Error> {
        let mut faults = Vec::new();
        for url in self.urls() {
            match said(self.http.get(format!("{url}/cluster"))).await {
                Ok(text) => match serde_json::from_str(&text) {
                    Ok(standing) => return Ok(standing),
                    Err(error) => faults.push(format!("{url}: its answer makes no sense: {error}")),
                },
                Err(error) => faults.push(format!("{url}: {error}")),
            }
        }
        Err(Error::NoPatroni(faults.join("; ")))
    }

    /// The nodes whose version of Patroni loses what was acknowledged, in words. Of nodes that do not answer nothing is said.
    pub async fn unsafe_versions(&self) -> Vec<String> {
        let ask = self.urls().map(|url| async move {
            let text = said(self.http.get(format!("{url}/patroni"))).await.ok()?;
            version::fault(url, &text)
        });
        let found = futures_util::future::join_all(ask).await;
        found.into_iter().flatten().collect()
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        self.config
            .members
            .iter()
            .map(|url| url.trim_end_matches('/'))
    }

    /// Has them change places, and waits until it is so.
    ///
    /// # Errors
    /// [`Error::Pair`] if Patroni refuses, [`Error::Late`] if it does not come about.
    pub async fn change(&self, plan: &Plan, op: &mut Operation<'_>) -> Result<Standing, Error> {
        op.at("change", &format!("{} takes over", plan.to));
        let mut wish = json!({"candidate": plan.to});
        if let (Some(from), Some(wish)) = (&plan.from, wish.as_object_mut()) {
            wish.insert("leader".to_owned(), Value::String(from.clone()));
        }
        let said = self.tell(plan.change, &wish).await?;
        let leads = |standing: &Standing| {
            standing
                .leader()
                .is_some_and(|one| one.name == plan.to && one.runs())
        };
        let standing = self.until(&format!("{} leading", plan.to), leads).await?;
        op.did("change", said, json!(standing.members));
        if plan.change == Change::Failover {
            // The former one may be gone for long.
            return Ok(standing);
        }
        op.at(
            "follow",
            "the former leader comes back as the synchronous standby",
        );
        let is_whole =
            |standing: &Standing| leads(standing) && standing.standby().is_some_and(Member::runs);
        let standing = self.until("a synchronous standby", is_whole).await?;
        let name = standing.standby().map_or("", |one| one.name.as_str());
        op.did(
            "follow",
            format!("{name} follows and has everything"),
            json!(standing.members),
        );
        Ok(standing)
    }

    /// Tells the first one that can be reached; what it said. None is told twice.
    async fn tell(&self, change: Change, wish: &Value) -> Result<String, Error> {
        let mut faults = Vec::new();
        for url in self.urls() {
            let request = self.http.post(format!("{url}/{}", change.name()));
            let mut request = request.timeout(CHANGE).json(wish);
            if let Some(password) = &self.password {
                request = request.basic_auth(&self.config.username, Some(password.expose_secret()));
            }
            match said(request).await {
                Err(Error::NoPatroni(why)) => faults.push(format!("{url}: {why}")),
                other => return other,
            }
        }
        Err(Error::NoPatroni(faults.join("; ")))
    }

    async fn until(
        &self,
        what: &str,
        is_so: impl Fn(&Standing) -> bool,
    ) -> Result<Standing, Error> {
        let deadline = Instant::now() + self.config.patience.0;
        loop {
            // While they change places one of them may not answer.
            if let Ok(standing) = self.standing().await
                && is_so(&standing)
            {
                return Ok(standing);
            }
            if Instant::now() > deadline {
                return Err(Error::Late {
                    what: what.to_owned(),
                    limit: self.config.patience.0,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What Patroni says. [`Error::Pair`] if it refuses or fails, [`Error::NoPatroni`] if it was not reached at all.
async fn said(request: RequestBuilder) -> Result<String, Error> {
    let answer = request.send().await.map_err(|error| {
        let words = hub_base::chain(&error);
        if error.is_connect() {
            Error::NoPatroni(words)
        } else {
            Error::Pair(words)
        }
    })?;
    let status = answer.status();
    let text = answer
        .text()
        .await
        .map_err(|error| Error::Pair(hub_base::chain(&error)))?;
    match status.as_u16() {
        200..=299 => Ok(text),
        401 => Err(Error::Pair(
            "the username or the password is not Patroni's".to_owned(),
        )),
        _ => Err(Error::Pair(format!(
            "Patroni answers {status}: {}",
            text.trim()
        ))),
    }
}

#[cfg(test)]
mod tests;
