//! Somebody with an address, a device and a browser, who makes real requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hub_base::{Clock, SystemClock, Timestamp};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, COOKIE, SET_COOKIE, USER_AGENT};
use serde_json::{Value, json};

use crate::error::Error;

/// Requests made in this run, by everybody and by attackers.
#[derive(Debug, Default)]
pub struct Counters {
    pub all: AtomicU64,
    pub hostile: AtomicU64,
}

/// What is common to all actors of a run.
#[derive(Debug, Clone)]
pub struct Stage {
    pub url: Arc<str>,
    pub counters: Arc<Counters>,
}

/// One request as its maker saw it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// When it was sent.
    pub at: Timestamp,
    pub status: u16,
    pub body: Value,
}

impl Reply {
    pub const fn succeeded(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// Somebody who makes requests from one address.
#[derive(Debug, Clone)]
pub struct Actor {
    stage: Stage,
    client: reqwest::Client,
    pub address: IpAddr,
    pub agent: String,
    hostile: bool,
    /// The device cookie, kept for ever.
    pub device: Option<String>,
    /// The session cookie's value.
    pub session: Option<String>,
    /// An access token or API key.
    pub bearer: Option<String>,
    pub refresh: Option<String>,
    /// The user id that signing in told.
    pub user_id: Option<String>,
}

impl Actor {
    /// # Errors
    /// [`Error::Unreachable`] if no client can be made.
    pub fn new(stage: &Stage, address: IpAddr, agent: &str) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .local_address(address)
            .timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(2)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| Error::Unreachable {
                address: stage.url.to_string(),
                source,
            })?;
        Ok(Self {
            stage: stage.clone(),
            client,
            address,
            agent: agent.to_owned(),
            hostile: false,
            device: None,
            session: None,
            bearer: None,
            refresh: None,
            user_id: None,
        })
    }

    /// An actor whose requests count as an attacker's.
    ///
    /// # Errors
    /// As [`Actor::new`].
    pub fn attacker(stage: &Stage, address: IpAddr, agent: &str) -> Result<Self, Error> {
        Ok(Self {
            hostile: true,
            ..Self::new(stage, address, agent)?
        })
    }

    /// The same cookies and tokens, carried to another address.
    ///
    /// # Errors
    /// As [`Actor::new`].
    pub fn moved_to(&self, address: IpAddr) -> Result<Self, Error> {
        let client = Self::new(&self.stage, address, &self.agent)?.client;
        Ok(Self {
            client,
            address,
            ..self.clone()
        })
    }

    /// The same actor with another token or key, or without one.
    #[must_use]
    pub fn carrying(&self, bearer: Option<String>) -> Self {
        Self {
            bearer,
            ..self.clone()
        }
    }

    /// The same browser without its session.
    #[must_use]
    pub fn signed_out(&self) -> Self {
        Self {
            bearer: None,
            session: None,
            refresh: None,
            ..self.clone()
        }
    }

    /// Sends one request; an answer of any status is an answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Reply, Error> {
        let url = format!("{}{path}", self.stage.url);
        let mut request = self
            .client
            .request(method, url)
            .header(USER_AGENT, &self.agent);
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let cookies: Vec<String> = [("hub_session", &self.session), ("hub_device", &self.device)]
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
            .filter(|cookie| self.bearer.is_none() || !cookie.starts_with("hub_session"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.stage.counters.all.fetch_add(1, Ordering::Relaxed);
        if self.hostile {
            self.stage.counters.hostile.fetch_add(1, Ordering::Relaxed);
        }
        let unreachable = |source| Error::Unreachable {
            address: self.stage.url.to_string(),
            source,
        };
        let at = SystemClock.now();
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(unreachable)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Reply { at, status, body })
    }

    /// Sends one request that must succeed.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not.
    pub async fn must(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Error> {
        let reply = self.send(method.clone(), path, body).await?;
        if reply.succeeded() {
            return Ok(reply.body);
        }
        let told = |name: &str| {
            reply
                .body
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let detail = format!("{} {}", told("title"), told("detail"))
            .trim()
            .to_owned();
        Err(Error::Refused {
            method: method.to_string(),
            path: path.to_owned(),
            status: reply.status,
            detail,
        })
    }

    /// Signs in and keeps what comes back: token, session and device cookies.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn sign_in(
        &mut self,
        tenant: &str,
        username: &str,
        password: &str,
    ) -> Result<Reply, Error> {
        let url = format!("{}/api/v2/login", self.stage.url);
        let mut request = self.client.post(url).header(USER_AGENT, &self.agent);
        if let Some(device) = &self.device {
            request = request.header(COOKIE, format!("hub_device={device}"));
        }
        self.stage.counters.all.fetch_add(1, Ordering::Relaxed);
        if self.hostile {
            self.stage.counters.hostile.fetch_add(1, Ordering::Relaxed);
        }
        let unreachable = |source| Error::Unreachable {
            address: self.stage.url.to_string(),
            source,
        };
        let body = json!({"tenant": tenant, "username": username, "password": password});
        let at = SystemClock.now();
        let response = request.json(&body).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap_or_default();
            let pair = text.split(';').next().unwrap_or_default();
            match pair.split_once('=') {
                Some((name, value)) if name.ends_with("hub_session") => {
                    self.session = Some(value.to_owned());
                }
                Some((name, value)) if name.ends_with("hub_device") => {
                    self.device = Some(value.to_owned());
                }
                _ => {}
            }
        }
        let body: Value = serde_json::from_slice(&response.bytes().await.map_err(unreachable)?)
            .unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        if status == 200 {
            self.bearer = text("access_token");
            self.refresh = text("refresh_token");
            self.user_id = text("user_id");
        }
        Ok(Reply { at, status, body })
    }

    /// Trades the refresh token for new tokens.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn renew(&mut self) -> Result<Reply, Error> {
        let body = json!({"refresh_token": self.refresh.clone().unwrap_or_default()});
        let reply = self
            .signed_out()
            .send(Method::POST, "/api/v2/token/refresh", Some(body))
            .await?;
        if reply.succeeded() {
            let text = |name: &str| {
                reply
                    .body
                    .get(name)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            self.bearer = text("access_token");
            self.refresh = text("refresh_token");
        }
        Ok(reply)
    }
}
