//! A hub on the pair, people at work, and what an operator does on the nodes.

use std::process::{Command, Output};
use std::time::Duration;

use hub_testkit::hub::{Hub, Setting};
use serde_json::{Value, json};

use super::load::{Load, Told};
use super::pair::Pair;
use super::shipped;
use crate::tool::{binary, document};
use crate::world::{Actor, PASSWORD, make_tenant, start};

const COLLECTORS: usize = 4;
/// Writes that are acknowledged before and after.
const AROUND: usize = 100;

/// A hub that reaches the pair over HAProxy.
pub(super) struct Site {
    pub(super) pair: Pair,
    hub: Hub,
    operator: Actor,
    key: String,
}

/// What became of the writes.
pub(super) struct Outcome {
    pub(super) told: Told,
    pub(super) lost: Vec<String>,
}

impl Outcome {
    /// Nothing acknowledged is gone, nobody saw anything but refusals, and writes went on in time.
    #[track_caller]
    pub(super) fn expect(&self, gap: Duration) {
        self.told.expect_only_refusals();
        let acknowledged = self.told.count();
        assert!(
            self.lost.is_empty(),
            "{} of {acknowledged} lost: {:?}",
            self.lost.len(),
            self.lost
        );
        let found = self.told.gap();
        assert!(found < gap, "no write for {found:?}; {:?}", self.told.seen);
    }
}

impl Site {
    pub(super) async fn new() -> Self {
        let pair = Pair::start().await;
        let (app, owner) = pair.urls();
        let setting = Setting::default()
            .with("DATABASE_URL", &app)
            .with("HUB_DATABASE_OWNER_URL", &owner)
            .with("HUB_LIMITS_REQUESTS_PER_SECOND", "100000")
            .with("HUB_LIMITS_BURST", "100000");
        let hub = start(setting, &pair.folder.path().join("hub")).await;
        let nobody = Actor::anonymous(&hub);
        let enrol = json!({"secret": hub.secret, "username": "root", "email": "r@x.example", "password": PASSWORD});
        nobody.post("/api/v2/enrol", enrol).await.expect(201);
        let operator = nobody.signed_in("system", "root").await;
        make_tenant(&operator, "acme").await;
        let wish = json!({"name": "ops", "scopes": ["operations.record", "operations.read"]});
        let key = operator.post("/api/v2/api-keys", wish).await;
        let key = key.expect(201).text("key").to_owned();
        Self {
            pair,
            hub,
            operator,
            key,
        }
    }

    /// What becomes of the writes of people at work while this happens.
    pub(super) async fn under_load(&mut self, happens: impl AsyncFnOnce(&mut Self)) -> Outcome {
        let owner = Actor::anonymous(&self.hub).signed_in("acme", "ada").await;
        let load = Load::start(&owner, COLLECTORS);
        load.acknowledges(AROUND).await;
        happens(self).await;
        load.acknowledges(AROUND).await;
        let told = load.stop().await;
        let lost = told.lost(&owner).await;
        Outcome { told, lost }
    }

    /// What was acknowledged then is there still.
    pub(super) async fn keeps(&self, outcome: &Outcome) {
        let owner = Actor::anonymous(&self.hub).signed_in("acme", "ada").await;
        let lost = outcome.told.lost(&owner).await;
        assert!(lost.is_empty(), "lost afterwards: {lost:?}");
    }

    /// `hubctl` on this site's hub.
    pub(super) async fn hubctl(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command
            .args(words)
            .args(["--url", &self.hub.url])
            .env_remove("HUB_URL")
            .env("HUB_TOKEN", &self.key);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// `hubctl backup …` on a node, as its timer calls it.
    pub(super) async fn backup(&self, node: usize, words: &[&str]) -> Output {
        let node = &self.pair.nodes[node];
        let (config, data) = (node.home.join("backup.toml"), node.home.join("hub"));
        let place = [
            "--config",
            config.to_str().unwrap(),
            "--data-dir",
            data.to_str().unwrap(),
        ];
        self.hubctl(&[&["backup"], words, &place].concat()).await
    }

    /// The shipped backup.toml for this node, into the repository that both share; sealed to these.
    pub(super) fn backs_up(&self, node: usize, recipients: Option<&str>) {
        let shared = |name: &str| self.pair.folder.path().join(name).display().to_string();
        shipped::secret(
            std::path::Path::new(&shared("passphrase")),
            "the same on both nodes, and long\n",
        );
        let node = &self.pair.nodes[node];
        let recipients = recipients.map_or_else(String::new, |text| {
            format!("recipients = [\"{}\"]", text.trim())
        });
        let text = shipped::filled(
            "backup.example.toml",
            &[
                ("recipients = [\"age1…\"]", recipients),
                (
                    "/var/lib/postgresql/security-hub",
                    node.home.join("data").display().to_string(),
                ),
                (
                    "/var/run/postgresql",
                    node.home.join("run").display().to_string(),
                ),
                (
                    "name = \"hub\"",
                    format!(
                        "name = \"hub\"\nport = {}\nuser = \"{}\"",
                        node.postgres,
                        shipped::superuser()
                    ),
                ),
                ("/etc/security-hub/backup-passphrase", shared("passphrase")),
                (
                    "[repository.s3]",
                    format!("path = \"{}\"\n[repository.s3]", shared("repository")),
                ),
            ],
        );
        // A folder in place of the object store.
        let text = text.split("[repository.s3]").next().unwrap();
        std::fs::write(node.home.join("backup.toml"), text).unwrap();
    }

    /// `hubctl database …` with the shipped pair.toml.
    pub(super) async fn database(&self, words: &[&str]) -> Output {
        let folder = self.pair.folder.path();
        let at = |name: &str| folder.join(name).display().to_string();
        let api = |node: usize| format!("127.0.0.1:{}", self.pair.nodes[node].api);
        let text = shipped::filled(
            "pair.example.toml",
            &[
                ("10.0.0.11:8008", api(0)),
                ("10.0.0.12:8008", api(1)),
                ("/etc/security-hub/tls", at("tls")),
                ("/etc/security-hub/patroni-password", at("patroni-password")),
                ("/var/lib/security-hub/pair", at("pair")),
            ],
        );
        std::fs::write(at("pair.toml"), text).unwrap();
        shipped::secret(
            std::path::Path::new(&at("patroni-password")),
            shipped::PASSWORD,
        );
        self.hubctl(&[&["database"], words, &["--config", &at("pair.toml")]].concat())
            .await
    }

    /// The same with `--json`; it must succeed.
    pub(super) async fn told(&self, words: &[&str]) -> Value {
        document(&self.database(&[words, &["--json"]].concat()).await)
    }

    /// Kind, subject and outcome of the operations in the hub's ledger, newest first.
    pub(super) async fn operations(&self) -> Vec<[String; 3]> {
        let told = self.operator.get("/api/v2/operations").await;
        let items = told.expect(200).body["items"].as_array().unwrap();
        let three = |one: &Value| {
            ["kind", "subject", "outcome"].map(|field| one[field].as_str().unwrap().to_owned())
        };
        items.iter().map(three).collect()
    }
}

pub(super) fn words_of(output: &Output) -> String {
    let mut bytes = output.stdout.clone();
    bytes.extend_from_slice(&output.stderr);
    String::from_utf8_lossy(&bytes).into_owned()
}
