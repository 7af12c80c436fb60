//! Deploys on Kubernetes. No API server can be had from the package registries, so one is built here that speaks the
//! protocol as far as a deploy uses it ([`api`]), with controllers that make it real ([`controllers`]): pods are server
//! processes, the migration's Job is run, the Ingress is a HAProxy. What the account may do is what the Role in
//! `infrastructure/kubernetes/base/rbac.yaml` says.

mod api;
mod controllers;
mod killed;
mod lease;
mod quota;
mod scaled;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};

use reqwest::Method;
use serde::Deserialize as _;
use serde_json::{Value, json};

use self::api::Api;
use self::controllers::{Ingress, Node};
use super::load::Load;
use super::{site, unharmed};
use crate::tool;
use crate::world::{PASSWORD, until};

/// Pods of each colour.
const PODS: usize = 2;

struct World {
    api: Arc<Api>,
    images: mpsc::Sender<BTreeMap<String, PathBuf>>,
    ingress: Ingress,
    _database: hub_testkit::TestDb,
    folder: tempfile::TempDir,
}

/// The rules of the Role that is shipped for deploys.
fn shipped_rules() -> Vec<Value> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../infrastructure/kubernetes/base/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .find(|object| {
            object["kind"] == "Role" && object["metadata"]["name"] == "security-hub-deployer"
        })
        .expect("no Role security-hub-deployer")["rules"]
        .as_array()
        .unwrap()
        .clone()
}

fn objects() -> Vec<(&'static str, Value)> {
    let deployment = |colour: &str| {
        let labels =
            json!({"app.kubernetes.io/name": "security-hub", "hub.security/colour": colour});
        json!({
            "kind": "Deployment", "apiVersion": "apps/v1",
            "metadata": {"name": format!("security-hub-{colour}"), "namespace": "security-hub"},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{
                        "name": "security-hub", "image": "none",
                        "resources": {"requests": {"cpu": "250m"}},
                    }]},
                },
            },
        })
    };
    let service = |name: &str, colour: &str| {
        json!({
            "kind": "Service", "apiVersion": "v1", "metadata": {"name": name},
            "spec": {"selector": {"app.kubernetes.io/name": "security-hub", "hub.security/colour": colour}},
        })
    };
    let lease = json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "security-hub-deploy"},
    });
    let container = json!({"name": "migrate", "image": "none", "args": ["migrate"]});
    vec![
        ("deployments/security-hub-blue", deployment("blue")),
        ("deployments/security-hub-green", deployment("green")),
        ("leases/security-hub-deploy", lease),
        ("resourcequotas/security-hub", quota::leaving("2")),
        ("services/security-hub", service("security-hub", "blue")),
        (
            "services/security-hub-preview",
            service("security-hub-preview", "green"),
        ),
        (
            "ingresses/security-hub",
            json!({
                "kind": "Ingress", "apiVersion": "networking.k8s.io/v1",
                "metadata": {"name": "security-hub", "annotations": {}}, "spec": {},
            }),
        ),
        (
            "cronjobs/security-hub-migrate",
            json!({
                "kind": "CronJob", "apiVersion": "batch/v1", "metadata": {"name": "security-hub-migrate"},
                "spec": {"schedule": "0 0 31 2 *", "suspend": true, "jobTemplate": {"spec": {
                    "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
                }}},
            }),
        ),
    ]
}

impl World {
    /// The same objects, untouched, behind other rules.
    async fn serve(&mut self, rules: Vec<Value>) {
        self.api = Api::new(objects(), rules);
        let address = self.api.serve().await;
        std::fs::write(self.at("kubeconfig"), kubeconfig(&address.to_string())).unwrap();
    }

    async fn new() -> Self {
        let database = hub_testkit::database().await;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (port, bind) = (site::free_port(), site::free_port());
        let made = Command::new(hub_testkit::hub::binary().unwrap())
            .arg("keys")
            .arg(at("keys.json"))
            .status();
        assert!(made.unwrap().success());
        let environment = [
            ("DATABASE_URL", database.url_app.clone()),
            ("HUB_DATABASE_OWNER_URL", database.url_owner.clone()),
            ("HUB_DATABASE_MIGRATE", "false".to_owned()),
            ("HUB_KEYS_FILE", at("keys.json").display().to_string()),
            ("HUB_LOG_FORMAT", "json".to_owned()),
            ("HUB_METRICS_LOOPBACK", "true".to_owned()),
            ("HUB_PUBLIC_URL", format!("http://127.0.0.1:{bind}")),
            ("HUB_LIMITS_REQUESTS_PER_SECOND", "100000".to_owned()),
            ("HUB_LIMITS_BURST", "100000".to_owned()),
        ];
        let api = Api::new(objects(), shipped_rules());
        let address = api.serve().await;
        let (images, told) = mpsc::channel();
        let node = Node {
            api: Arc::clone(&api),
            images: BTreeMap::new(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec(),
            port,
            folder: folder.path().to_owned(),
        };
        std::thread::spawn(move || node.work(told));
        let ingress = controllers::ingress(Arc::clone(&api), folder.path(), bind, port, PODS);
        std::fs::write(at("kubeconfig"), kubeconfig(&address.to_string())).unwrap();
        std::fs::write(
            at("deploy.toml"),
            format!(
                "[kubernetes]\nkubeconfig = 'kubeconfig'\nstate = 'state'\nreplicas = {PODS}\n\
                 [policy]\nsteps = [25, 100]\nstep = '3s'\nbake = '3s'\nready = '30s'\ndrain = '3s'\nlook = '200ms'\n\
                 [policy.tolerance]\nslack = '600ms'\n"
            ),
        )
        .unwrap();
        Self {
            api,
            images,
            ingress,
            _database: database,
            folder,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool::binary());
        command
            .args(arguments)
            .env("HUB_DEPLOY_CONFIG", self.at("deploy.toml"))
            .env_remove("HUB_TOKEN")
            .env_remove("HUB_URL");
        command
    }

    async fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = self.command(arguments);
        command.arg("--json");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let document = serde_json::from_slice(&output.stdout).unwrap_or(json!(words));
        (output.status.code().unwrap_or(-1), document)
    }

    /// A release that names an image, which the node finds at `program`.
    fn release(&self, name: &str, program: PathBuf) -> PathBuf {
        let dir = self.at(name);
        std::fs::create_dir(&dir).unwrap();
        let digest = name.replace('.', "");
        let image = format!("registry.example/hub@sha256:{digest:0>64}");
        std::fs::write(dir.join("image"), format!("{image}\n")).unwrap();
        self.images
            .send(BTreeMap::from([(image, program)]))
            .unwrap();
        let key = self.at("release-key.json");
        let sealed = self
            .command(&[
                "release",
                "seal",
                dir.to_str().unwrap(),
                "--named",
                name,
                "--commit",
                "0123abc",
                "--key",
            ])
            .arg(key)
            .output()
            .unwrap();
        assert!(
            sealed.status.success(),
            "{}",
            String::from_utf8_lossy(&sealed.stderr)
        );
        dir
    }

    fn good(&self, name: &str) -> PathBuf {
        self.release(name, hub_testkit::hub::binary().unwrap())
    }

    fn faulty(&self, fault: &str) -> PathBuf {
        let place = self.at("faulty-program");
        std::fs::create_dir(&place).unwrap();
        std::fs::copy(hub_testkit::hub::binary().unwrap(), place.join("real")).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_faulty-hub"), place.join("security-hub")).unwrap();
        std::fs::write(place.join("fault"), fault).unwrap();
        self.release("9.9.9", place.join("security-hub"))
    }

    /// A deploy that is under way.
    fn deploying(&self, release: &Path) -> Child {
        let release = release.to_str().unwrap();
        let mut command = self.command(&["deploy", "--json", "--release", release]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Once its journal has so many entries.
    async fn steps(&self, count: usize) {
        until("the deploy's steps", || async {
            let text = std::fs::read_to_string(self.at("state/current.json")).ok()?;
            let journey: Value = serde_json::from_str(&text).ok()?;
            (journey["entries"].as_array()?.len() >= count).then_some(())
        })
        .await;
    }

    fn object(&self, key: &str) -> Value {
        self.api.objects.lock().unwrap()[key].clone()
    }

    fn put(&self, key: &str, object: Value) {
        let mut objects = self.api.objects.lock().unwrap();
        objects.insert(key.to_owned(), object);
    }

    /// What its autoscaler does.
    fn scale(&self, colour: &str, replicas: usize) {
        let key = format!("deployments/security-hub-{colour}");
        self.api
            .change(&key, |object| object["spec"]["replicas"] = json!(replicas))
            .unwrap();
    }

    fn replicas(&self, colour: &str) -> Value {
        self.object(&format!("deployments/security-hub-{colour}"))["spec"]["replicas"].clone()
    }

    async fn deploy(&self, release: &Path) -> (i32, Value) {
        self.run(&["deploy", "--release", release.to_str().unwrap()])
            .await
    }

    /// The first release, with an administrator; returns their token.
    async fn begin(&self) -> String {
        let first = self.good("1.0.0");
        let (code, outcome) = self.deploy(&first).await;
        assert_eq!(
            (code, &outcome["outcome"]),
            (0, &json!("deployed")),
            "{outcome}"
        );
        let secret = until("the enrolment secret", || async {
            (1..=PODS).find_map(|nth| {
                let log = self.at(&format!("security-hub-blue-{nth}.log"));
                let log = std::fs::read_to_string(log).ok()?;
                let rest = log.split("(shown once): ").nth(1)?;
                rest.split_whitespace().next().map(str::to_owned)
            })
        })
        .await;
        let url = &self.ingress.url;
        let person = json!({"secret": secret, "username": "root", "email": "root@example.org", "password": PASSWORD});
        site::ask(url, Method::POST, "/api/v2/enrol", "", person).await;
        let login = json!({"tenant": "system", "username": "root", "password": PASSWORD});
        let answer = site::ask(url, Method::POST, "/api/v2/login", "", login).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn selector(&self, service: &str) -> Value {
        let objects = self.api.objects.lock().unwrap();
        objects[&format!("services/{service}")]["spec"]["selector"]["hub.security/colour"].clone()
    }

    /// The release that has all the traffic.
    async fn live(&self) -> String {
        let (_, status) = self.run(&["status"]).await;
        let live = status["colours"]
            .as_array()
            .unwrap()
            .iter()
            .find(|colour| colour["share"] == 100);
        let path = PathBuf::from(live.expect("nobody has all")["release"].as_str().unwrap());
        path.file_name().unwrap().to_string_lossy().into_owned()
    }
}

fn kubeconfig(address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: here, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: deployer, user: {{token: {}}}}}]\n\
         contexts: [{{name: here, context: {{cluster: here, user: deployer, namespace: security-hub}}}}]\n",
        api::TOKEN
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_deploy_and_its_rollback_cost_nobody_a_request_whole_machine() {
    let world = World::new().await;
    let token = world.begin().await;
    let second = world.good("1.1.0");
    let load = Load::start(&world.ingress.url, &token);
    let (code, outcome) = world.deploy(&second).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    // It was judged by what people really did, at both colours.
    let share = &outcome["entries"][5]["figures"];
    assert!(share["new"]["requests"].as_u64() > Some(20), "{outcome}");
    assert!(share["old"]["requests"].as_u64() > Some(50), "{share}");
    assert_eq!(world.live().await, "1.1.0");
    assert_eq!(world.selector("security-hub"), "green");
    assert_eq!(world.selector("security-hub-preview"), "blue");
    let (code, back) = world.run(&["rollback"]).await;
    assert_eq!((code, &back["outcome"]), (0, &json!("deployed")), "{back}");
    assert_eq!(world.live().await, "1.0.0");
    assert_eq!(world.selector("security-hub"), "blue");
    unharmed(&load.stop().await);
    let lease = world.api.objects.lock().unwrap()["leases/security-hub-deploy"].clone();
    assert_eq!(
        lease["spec"]["holderIdentity"],
        Value::Null,
        "it was given back: {lease}"
    );
    // The shipped Role is enough, to the last request.
    assert_eq!(*world.api.denied.lock().unwrap(), Vec::<String>::new());
}

async fn takes_itself_back(fault: &str, why: &str) {
    let world = World::new().await;
    let token = world.begin().await;
    let bad = world.faulty(fault);
    let load = Load::start(&world.ingress.url, &token);
    let (code, outcome) = world.deploy(&bad).await;
    let report = load.stop().await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (1, &json!("rolled_back")),
        "{outcome}"
    );
    let said = outcome["back"].as_str().unwrap();
    assert!(said.contains(why), "{said}");
    assert_eq!(world.live().await, "1.0.0");
    assert_eq!(world.selector("security-hub"), "blue");
    let failed: usize = report.failed.values().sum();
    // Two in a hundred of a quarter, until it was seen; nobody else.
    assert!(fault.starts_with("errors") || failed == 0, "{report:?}");
    assert!(failed * 20 < report.answered, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_release_whose_pods_crash_takes_itself_back_whole_machine() {
    takes_itself_back("crash 0", "CrashLoopBackOff").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_release_that_fails_requests_takes_itself_back_whole_machine() {
    takes_itself_back("errors 20", "requests failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_one_deploys_at_a_time_whole_machine() {
    let world = World::new().await;
    let now = hub_base::Clock::now(&hub_base::SystemClock).to_string();
    world
        .api
        .objects
        .lock()
        .unwrap()
        .get_mut("leases/security-hub-deploy")
        .unwrap()["spec"] = json!({
        "holderIdentity": "runner-7:/var/lib/deploys", "leaseDurationSeconds": 3600, "renewTime": now,
    });
    let first = world.good("1.0.0");
    let (code, said) = world.deploy(&first).await;
    assert_eq!(code, 4, "{said}");
    assert!(
        said.to_string()
            .contains("runner-7:/var/lib/deploys deploys here right now"),
        "{said}"
    );
    // Nothing was begun.
    assert_eq!(world.replicas("blue"), 0);
    // Whoever knows that nobody works there any more does not wait; it is in the record.
    let first = first.to_str().unwrap();
    let (code, outcome) = world
        .run(&["deploy", "--take-over", "--release", first])
        .await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    let gates = outcome["entries"][0]["figures"].to_string();
    assert!(
        gates.contains("taken over from runner-7:/var/lib/deploys"),
        "{gates}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kubernetes_a_missing_right_is_named_and_nothing_is_left_behind() {
    let mut world = World::new().await;
    let rules: Vec<Value> = shipped_rules()
        .into_iter()
        .filter(|rule| rule["resources"] != json!(["ingresses"]))
        .collect();
    world.serve(rules).await;
    let (code, said) = world.run(&["status"]).await;
    assert_eq!(code, 4, "{said}");
    assert!(
        said.to_string()
            .contains("may not read Ingress security-hub"),
        "{said}"
    );
}
