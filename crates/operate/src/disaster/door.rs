//! The way in to the drill's own hub: its public API, wherever it serves just now.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::error::Error;
use crate::serving;

/// For one request; a hub that is restored under it does not answer.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Door {
    http: reqwest::Client,
    url: Arc<RwLock<String>>,
}

/// Status and text of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A field's text; empty if there is none.
    pub(super) fn field(&self, name: &str) -> String {
        let json = self.json();
        let text = json.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    }
}

impl Door {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self {
            http: serving::client(ANSWER).map_err(Error::Drill)?,
            url: Arc::new(RwLock::new("http://127.0.0.1:9".to_owned())),
        })
    }

    /// The hub serves elsewhere from now on, as a name that leads to another address.
    pub(super) fn leads_to(&self, url: String) {
        *self.url.write().unwrap_or_else(PoisonError::into_inner) = url;
    }

    pub(super) fn url(&self) -> String {
        self.url
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) async fn get(&self, path: &str, token: &SecretString) -> Result<Answer, String> {
        self.send(Method::GET, path, Some(token), None).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&SecretString>,
        body: &Value,
    ) -> Result<Answer, String> {
        self.send(Method::POST, path, token, Some(body.to_string()))
            .await
    }

    /// The same, which must answer with `status`.
    pub(super) async fn must(
        &self,
        status: u16,
        path: &str,
        token: Option<&SecretString>,
        body: &Value,
    ) -> Result<Answer, Error> {
        let answer = self.post(path, token, body).await.map_err(Error::Drill)?;
        if answer.status == status {
            return Ok(answer);
        }
        let (status, text) = (answer.status, answer.text);
        Err(Error::Drill(format!("{path} answered {status}: {text}")))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Option<String>,
    ) -> Result<Answer, String> {
        let mut request = self.http.request(method, format!("{}{path}", self.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| serving::unanswered(path, error))?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        Ok(Answer { status, text })
    }
}
