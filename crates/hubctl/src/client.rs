//! The hub's API over HTTP, with its problems turned into exit codes.

use std::path::PathBuf;
use std::time::Duration;

use hub_base::plain;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::secret::read_secret;

/// Which hub, and with which credential.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connection {
    /// Address of the hub.
    #[arg(
        long,
        env = "HUB_URL",
        default_value = "http://127.0.0.1:8005",
        global = true
    )]
    pub(crate) url: String,
    /// File that holds an API key or access token (or set HUB_TOKEN).
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
}

/// A client of one hub.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) url: String,
    token: Option<SecretString>,
}

impl Client {
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let token = match &connection.token_file {
            Some(file) => Some(read_secret(file)?),
            // A secret in argv shows in every process list; the environment does not.
            // A pipeline without the secret sets it to nothing: that is none.
            None => std::env::var("HUB_TOKEN")
                .ok()
                .filter(|token| !token.is_empty())
                .map(SecretString::from),
        };
        let http = reqwest::Client::builder()
            .timeout(Duration::from_mins(2))
            .user_agent(concat!("hubctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(Exit::Bug, error))?;
        Ok(Self {
            http,
            url: connection.url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    pub(crate) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The credential, for commands that hand it on.
    pub(crate) fn token(&self) -> Result<&SecretString, Failure> {
        self.token.as_ref().ok_or_else(|| {
            Failure::new(
                Exit::NotPermitted,
                anyhow::anyhow!("no credential was given"),
            )
            .help("set HUB_TOKEN, or give --token-file FILE; `hubctl login` makes one")
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// One list from its first page to its last; values of the query may be anything.
    pub(crate) async fn all(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page = self
                .find(path, &[query, &[("after", after.as_str())]].concat())
                .await?;
            items.extend(list(&page, "items"));
            after = field(&page, "next");
            if after.is_empty() {
                return Ok(serde_json::json!({ "items": items }));
            }
        }
    }

    /// Like [`Client::get`], with a query whose values may be anything.
    pub(crate) async fn find(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let given: Vec<_> = query
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let request = self.request(Method::GET, path).query(&given);
        self.document(request).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.document(request).await
    }

    /// The JSON of an answer, be it a refusal; null if it has none. What the hub cannot do just now is a failure.
    pub(crate) async fn whatever(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, Failure> {
        let request = self.request(method, path).json(&body);
        let response = request.send().await;
        let response = response.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(Self::problem(response).await);
        }
        let bytes = response.bytes().await;
        let bytes = bytes.map_err(|error| self.unreachable(error))?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// The JSON of a successful answer; null if it has none.
    async fn document(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let response = self.send(request).await?;
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(error))?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    /// Sends; a problem becomes a failure.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Self::problem(response).await)
    }

    async fn problem(response: reqwest::Response) -> Failure {
        let status = response.status();
        let id = response.headers().get("x-request-id");
        let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let bytes = response.bytes().await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        // It may be a proxy's, and stands on somebody's terminal.
        let text = |name: &str| problem.get(name).and_then(Value::as_str).map(plain);
        let title = text("title").unwrap_or_else(|| format!("the hub answered {status}"));
        let shown = match text("detail") {
            Some(detail) => format!("{title}: {detail}"),
            None => title,
        };
        let exit = match status.as_u16() {
            401 | 403 => Exit::NotPermitted,
            429 | 502..=504 => Exit::Unreachable,
            400..=499 => Exit::Usage,
            _ => Exit::Bug,
        };
        let failure = Failure::new(exit, anyhow::Error::msg(shown));
        match (status.as_u16(), id) {
            (401, _) => failure.help(
                "the credential is missing, expired or revoked: `hubctl login` makes a new one",
            ),
            // An id is hexadecimal digits and hyphens; whatever else a proxy says is not shown.
            (500.., Some(id))
                if id
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b'-') =>
            {
                failure.help(format!("the server's log says why, at request {id}"))
            }
            _ => failure,
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let error = anyhow::Error::new(error).context(format!("{} does not answer", self.url));
        Failure::new(Exit::Unreachable, error)
            .help("is the hub running (`security-hub serve`), and is --url or HUB_URL right?")
    }
}

/// The text of a field, empty if it is not there.
pub(crate) fn field(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// The list under a field.
pub(crate) fn list(value: &Value, name: &str) -> Vec<Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}
