//! The pair as it is shipped (`infrastructure/patroni`): three etcd, two PostgreSQL under Patroni, HAProxy before them. Each node
//! reaches etcd and the other node over roads that can be cut.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::link::Link;
use super::node::Node;
use super::shipped::{SHIPPED, bound, certificates, filled, free_port, log, secret, settings};
use crate::tool::patiently;

/// Killed when dropped, with everything that works in its folder.
pub(super) struct Pair {
    pub(super) nodes: [Node; 2],
    /// Where the hub connects.
    pub(super) port: u16,
    witnesses: Vec<Child>,
    haproxy: Option<Child>,
    patroni: reqwest::Client,
    pub(super) folder: TempDir,
}

impl Drop for Pair {
    fn drop(&mut self) {
        let mut processes: Vec<Child> = self.witnesses.drain(..).collect();
        processes.extend(self.haproxy.take());
        processes.extend(self.nodes.iter_mut().filter_map(|node| node.process.take()));
        for process in &mut processes {
            let _gone = process.kill();
            let _gone = process.wait();
        }
        for node in &self.nodes {
            node.kill_postgres();
        }
        if std::thread::panicking() {
            self.last_words();
        }
    }
}

pub(super) fn installed(test: &str) -> bool {
    let missing: Vec<_> = ["patroni", "etcd", "haproxy", "pgbackrest"]
        .into_iter()
        .filter(|program| !on_path(program))
        .collect();
    #[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
    if !missing.is_empty() {
        println!("SKIPPED: {test}: not installed: {missing:?} (scripts/bootstrap.sh test)");
    }
    missing.is_empty()
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Pair {
    /// Both nodes up, the second one synchronous, HAProxy knows who leads.
    pub(super) async fn start() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = TempDir::new_in("/var/tmp").unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        certificates(&at("tls"));
        std::fs::create_dir(at("secrets")).unwrap();
        secret(&at("secrets/hub_owner_password"), "owner's\n");
        secret(&at("secrets/hub_app_password"), "application's\n");
        std::fs::copy(Path::new(SHIPPED).join("roles.sh"), at("roles.sh")).unwrap();
        let (witnesses, ports) = etcd(folder.path());
        let ca = std::fs::read(at("tls/ca.pem")).unwrap();
        let identity = [
            std::fs::read(at("tls/node.pem")).unwrap(),
            std::fs::read(at("tls/node.key")).unwrap(),
        ]
        .concat();
        let patroni = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .identity(reqwest::Identity::from_pem(&identity).unwrap())
            .timeout(Duration::from_secs(3))
            .build()
            .unwrap();
        // Patroni takes an etcd whose members have not found each other yet for a very old one.
        patiently("the three etcd", async || {
            let answer = patroni
                .get(format!("https://127.0.0.1:{}/version", ports[0]))
                .send()
                .await
                .ok()?;
            let version: Value = answer.json().await.ok()?;
            (version["etcdcluster"] != "3.0.0" && version["etcdcluster"] != "not_decided")
                .then_some(())
        })
        .await;
        let nodes = [
            Node::new("node-a", folder.path(), &ports).await,
            Node::new("node-b", folder.path(), &ports).await,
        ];
        let mut pair = Self {
            nodes,
            port: free_port(),
            witnesses,
            haproxy: None,
            patroni,
            folder,
        };
        pair.nodes[0].start();
        pair.leads(0).await;
        pair.nodes[1].start();
        pair.is_whole(0).await;
        pair.haproxy = Some(pair.balance());
        pair.serves().await;
        pair
    }

    /// A test that failed shows what the programs said last.
    #[expect(clippy::print_stderr, reason = "of a test that failed")]
    fn last_words(&self) {
        let names = [
            "node-a/log",
            "node-b/log",
            "etcd-witness.log",
            "haproxy.log",
        ];
        for name in names {
            let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            // What starts a line, without the traceback that Patroni writes whenever PostgreSQL is away.
            let said = text.lines().rev().filter(|line| {
                let noise = [
                    "get_postgresql_status",
                    "Is the server running",
                    "During handling",
                ];
                let starts = |c: char| c.is_ascii_alphanumeric() || c == '[';
                line.starts_with(starts) && !noise.iter().any(|words| line.contains(words))
            });
            let last: Vec<&str> = said.take(150).collect();
            eprintln!("== {name}");
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }

    fn balance(&self) -> Child {
        let mut command = bound("haproxy", None);
        command
            .arg("-f")
            .arg(Path::new(SHIPPED).join("haproxy.cfg"));
        command
            .env("DB_BIND", format!("127.0.0.1:{}", self.port))
            .env("DB_CA", self.folder.path().join("tls/ca.pem"));
        for (node, letter) in self.nodes.iter().zip(["A", "B"]) {
            command
                .env(
                    format!("DB_{letter}"),
                    format!("127.0.0.1:{}", node.postgres),
                )
                .env(format!("DB_{letter}_PATRONI"), node.api.to_string());
        }
        log(&mut command, &self.folder.path().join("haproxy.log"))
    }

    /// How the application and the owner reach the database.
    pub(super) fn urls(&self) -> (String, String) {
        let ca = self.folder.path().join("tls/ca.pem").display().to_string();
        let url = |user: &str, password: &str| {
            let port = self.port;
            format!(
                "postgres://{user}:{password}@127.0.0.1:{port}/hub?sslmode=verify-ca&sslrootcert={ca}"
            )
        };
        (url("hub_app", "application's"), url("hub_owner", "owner's"))
    }

    pub(super) async fn ask(&self, node: usize, path: &str) -> Option<(u16, Value)> {
        let url = format!("https://127.0.0.1:{}{path}", self.nodes[node].api);
        let answer = self.patroni.get(url).send().await.ok()?;
        Some((
            answer.status().as_u16(),
            answer.json().await.unwrap_or_default(),
        ))
    }

    /// What this node tells Prometheus.
    pub(super) async fn figures(&self, node: usize) -> String {
        let url = format!("https://127.0.0.1:{}/metrics", self.nodes[node].api);
        let answer = self.patroni.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// The figures of Patroni that the shipped alerts ask for.
    pub(super) fn asked_for() -> Vec<String> {
        let rules = std::fs::read_to_string(Path::new(SHIPPED).join("alerts/pair.rules.yml"));
        let rules = rules.unwrap();
        let words = rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let words = words.filter(|word| word.starts_with("patroni_"));
        words.map(str::to_owned).collect()
    }

    /// Waits until this node leads.
    pub(super) async fn leads(&self, node: usize) {
        patiently("the leader", async || {
            (self.ask(node, "/primary").await?.0 == 200).then_some(())
        })
        .await;
    }

    /// Waits until this node leads and the other one is its synchronous standby.
    pub(super) async fn is_whole(&self, leader: usize) {
        self.leads(leader).await;
        patiently("the synchronous standby", async || {
            (self.ask(1 - leader, "/synchronous").await?.0 == 200).then_some(())
        })
        .await;
    }

    async fn serves(&self) {
        let url = self.urls().1;
        patiently("HAProxy", async || {
            let connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await;
            connection.is_ok().then_some(())
        })
        .await;
    }

    /// This node reaches nobody of the pair and no etcd, and they do not reach it; its clients do.
    pub(super) fn cut_off(&self, node: usize) {
        self.roads_of(node).for_each(Link::cut);
    }

    pub(super) fn mend(&self, node: usize) {
        self.roads_of(node).for_each(Link::mend);
    }

    fn roads_of(&self, node: usize) -> impl Iterator<Item = &Link> {
        let to_the_other = &self.nodes[1 - node].roads[3..];
        self.nodes[node].roads.iter().chain(to_the_other)
    }

    /// What Patroni and PostgreSQL of a node wrote.
    pub(super) fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.nodes[node].home.join("log")).unwrap()
    }
}

fn etcd(folder: &Path) -> (Vec<Child>, [u16; 3]) {
    let (clients, peers) = ([(); 3].map(|()| free_port()), [(); 3].map(|()| free_port()));
    let names = ["node-a", "node-b", "witness"];
    let start = |number: usize| {
        let name = names[number];
        let (client, peer) = (clients[number], peers[number]);
        let mut values = vec![("ETCD_NAME=node-a", format!("ETCD_NAME={name}"))];
        values.push(("10.0.0.11:2379", format!("127.0.0.1:{client}")));
        let others = [
            "node-a=https://10.0.0.11:2380",
            "node-b=https://10.0.0.12:2380",
            "witness=https://10.0.0.13:2380",
        ];
        for (old, (name, peer)) in others.into_iter().zip(names.into_iter().zip(peers)) {
            values.push((old, format!("{name}=https://127.0.0.1:{peer}")));
        }
        values.push(("10.0.0.11:2380", format!("127.0.0.1:{peer}")));
        values.push((
            "/etc/security-hub/tls",
            folder.join("tls").display().to_string(),
        ));
        let data = folder.join(format!("etcd-{name}"));
        values.push(("/var/lib/etcd/security-hub", data.display().to_string()));
        let text = filled("etcd.example.env", &values);
        let mut command = bound("etcd", None);
        command.envs(settings(&text));
        log(&mut command, &folder.join(format!("etcd-{name}.log")))
    };
    ((0..3).map(start).collect(), clients)
}
