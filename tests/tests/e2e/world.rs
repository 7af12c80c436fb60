//! A server of its own for a test: its database, an operator, a tenant `acme` with its owner `ada`.

use std::path::Path;

use hub_testkit::hub::{Hub, Setting};
use hub_testkit::{TestDb, database};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a long enough passphrase 7";

pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) database: TestDb,
    pub(crate) folder: TempDir,
    pub(crate) operator: Actor,
    pub(crate) owner: Actor,
}

/// Somebody who calls: their credential and address.
#[derive(Clone)]
pub(crate) struct Actor {
    client: Client,
    url: String,
    pub(crate) token: Option<String>,
}

/// Status and body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Actor {
    pub(crate) fn anonymous(hub: &Hub) -> Self {
        Self::at(hub, [127, 0, 0, 1])
    }

    /// Comes from another loopback address.
    pub(crate) fn at(hub: &Hub, address: [u8; 4]) -> Self {
        let client = Client::builder()
            .local_address(std::net::IpAddr::from(address))
            .no_proxy();
        let client = client
            .tls_danger_accept_invalid_certs(true)
            .build()
            .unwrap();
        Self {
            client,
            url: hub.url.clone(),
            token: None,
        }
    }

    pub(crate) fn with(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        Answer::of(self.request(method, path).json(&body).send().await.unwrap()).await
    }

    pub(crate) async fn sign_in(&self, tenant: &str, username: &str, password: &str) -> Answer {
        let body = json!({"tenant": tenant, "username": username, "password": password});
        self.post("/api/v2/login", body).await
    }

    /// This caller, signed in.
    pub(crate) async fn signed_in(&self, tenant: &str, username: &str) -> Self {
        let answer = self.sign_in(tenant, username, PASSWORD).await;
        self.with(answer.expect(200).text("access_token"))
    }
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Self {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field]
            .as_str()
            .unwrap_or_else(|| panic!("no `{field}` in {}", self.body))
    }

    /// The last word of the problem's type.
    pub(crate) fn problem(&self) -> &str {
        self.body["type"]
            .as_str()
            .and_then(|text| text.rsplit('/').next())
            .unwrap_or("none")
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|setting| setting).await
    }

    pub(crate) async fn with(change: impl FnOnce(Setting) -> Setting) -> Self {
        let database = database().await;
        let folder = TempDir::new().unwrap();
        let hub = start(change(Setting::on(&database)), folder.path()).await;
        let nobody = Actor::anonymous(&hub);
        let secret = hub
            .secret
            .clone()
            .expect("the first start shows the secret");
        let enrol = json!({"secret": secret, "username": "root", "email": "root@hub.example", "password": PASSWORD});
        nobody.post("/api/v2/enrol", enrol).await.expect(201);
        let operator = nobody.signed_in("system", "root").await;
        make_tenant(&operator, "acme").await;
        let owner = nobody.signed_in("acme", "ada").await;
        Self {
            hub,
            database,
            folder,
            operator,
            owner,
        }
    }

    /// A person of `acme` with these roles, signed in; and their id.
    pub(crate) async fn person(&self, name: &str, roles: &[&str]) -> (Actor, String) {
        let body = json!({"username": name, "email": format!("{name}@acme.example"), "display_name": name,
            "password": PASSWORD, "roles": roles});
        let made = self.owner.post("/api/v2/users", body).await;
        let id = made.expect(201).text("id").to_owned();
        (
            Actor::anonymous(&self.hub).signed_in("acme", name).await,
            id,
        )
    }

    pub(crate) fn nobody(&self) -> Actor {
        Actor::anonymous(&self.hub)
    }
}

pub(crate) async fn start(setting: Setting, folder: &Path) -> Hub {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || setting.start(&folder).unwrap())
        .await
        .unwrap()
}

pub(crate) async fn make_tenant(operator: &Actor, slug: &str) -> String {
    let body = json!({"slug": slug, "name": slug, "owner":
        {"username": "ada", "email": "ada@example.org", "password": PASSWORD}});
    operator
        .post("/api/v2/tenants", body)
        .await
        .expect(201)
        .text("tenant_id")
        .to_owned()
}

/// Asks until the answer is there; a bound instead of a guess how long it takes.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    for _ in 0..400 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{what} did not come about within 10 s");
}
