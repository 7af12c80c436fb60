//! One node of the pair: Patroni, the PostgreSQL that it runs, and the roads to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::link::Link;
use super::shipped::{
    PASSWORD, SHIPPED, account, bound, filled, free_port, give, log, settings, superuser,
};

/// One of the two.
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) home: PathBuf,
    /// Patroni's.
    pub(super) process: Option<Child>,
    /// Of PostgreSQL and of Patroni, as HAProxy sees them.
    pub(super) postgres: u16,
    pub(super) api: u16,
    /// To each etcd; from the other node to this one's PostgreSQL and Patroni.
    pub(super) roads: Vec<Link>,
    env: Vec<(String, String)>,
}

impl Node {
    pub(super) async fn new(name: &'static str, folder: &Path, etcd: &[u16; 3]) -> Self {
        let home = folder.join(name);
        for path in [
            home.clone(),
            home.join("conf"),
            home.join("run"),
            home.join("hub"),
        ] {
            std::fs::create_dir(&path).unwrap();
            give(&path);
        }
        let (postgres, api) = (free_port(), free_port());
        let mut roads = Vec::new();
        for target in etcd.iter().copied().chain([postgres, api]) {
            roads.push(Link::to(target).await);
        }
        let hosts: Vec<String> = roads[..3]
            .iter()
            .map(|road| format!("127.0.0.1:{}", road.port))
            .collect();
        let path = |path: PathBuf| path.display().to_string();
        let user = superuser();
        let values = [
            ("name: node-a", format!("name: {name}")),
            // The roads stand between this node and etcd: it must not ask etcd for its members' own addresses.
            (
                "hosts: [10.0.0.11:2379, 10.0.0.12:2379, 10.0.0.13:2379]",
                format!("use_proxies: true\n  hosts: [{}]", hosts.join(", ")),
            ),
            (
                "connect_address: 10.0.0.11:8008",
                format!("connect_address: 127.0.0.1:{}", roads[4].port),
            ),
            ("10.0.0.11:8008", format!("127.0.0.1:{api}")),
            (
                "connect_address: 10.0.0.11:5432",
                format!("connect_address: 127.0.0.1:{}", roads[3].port),
            ),
            ("10.0.0.11:5432", format!("127.0.0.1:{postgres}")),
            ("/etc/security-hub/tls", path(folder.join("tls"))),
            ("/etc/patroni/security-hub", path(folder.to_owned())),
            ("/var/lib/postgresql/security-hub", path(home.join("data"))),
            (
                "/var/lib/postgresql/patroni.pgpass",
                path(home.join("pgpass")),
            ),
            ("/var/run/postgresql", path(home.join("run"))),
            ("/usr/lib/postgresql/15/bin", path(programs())),
            ("username: postgres", format!("username: {user}")),
        ];
        let text = filled("node.example.yml", &values);
        std::fs::write(home.join("conf/node.yml"), text).unwrap();
        for shipped in ["patroni.yml", "start.py"] {
            let place = home.join("conf").join(shipped);
            std::fs::copy(Path::new(SHIPPED).join(shipped), place).unwrap();
        }
        let secrets =
            std::fs::read_to_string(Path::new(SHIPPED).join("secrets.example.env")).unwrap();
        let secrets = secrets
            .replace("<openssl rand -hex 24>", PASSWORD)
            .replace("/var/lib/security-hub", &path(home.join("hub")));
        let env = settings(&secrets)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            name,
            home,
            process: None,
            postgres,
            api,
            roads,
            env,
        }
    }

    /// Patroni, which starts PostgreSQL.
    pub(super) fn start(&mut self) {
        let mut command = bound("/usr/bin/python3", account().as_ref());
        command
            .arg("-I")
            .arg(self.home.join("conf/start.py"))
            .arg(self.home.join("conf"))
            .envs(self.env.iter().cloned())
            .env("HOME", &self.home)
            .current_dir(&self.home);
        self.process = Some(log(&mut command, &self.home.join("log")));
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.home.join("data/postmaster.pid")).ok()?;
        text.lines().next()?.parse().ok().map(Pid::from_raw)
    }

    pub(super) fn kill_postgres(&self) {
        if let Some(pid) = self.postmaster() {
            // It may be gone already.
            let _gone = kill(pid, Signal::SIGKILL);
        }
    }

    /// The node loses its power: Patroni and PostgreSQL in one moment.
    pub(super) fn kill(&mut self) {
        let mut patroni = self.process.take().unwrap();
        patroni.kill().unwrap();
        self.kill_postgres();
        patroni.wait().unwrap();
    }

    /// SQL as the superuser on this very node.
    pub(super) fn sql(&self, text: &str) -> Result<String, String> {
        let output = Command::new("psql")
            .args(["-XAt", "-U", &superuser()])
            .args([
                "-d",
                "hub",
                "-v",
                "ON_ERROR_STOP=1",
                "-p",
                &self.postgres.to_string(),
            ])
            .arg("-h")
            .arg(self.home.join("run"))
            .args(["-c", text])
            .output()
            .unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }
}

/// Where the newest PostgreSQL's programs are.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("Debian's PostgreSQL");
    let mut versions: Vec<u32> = versions
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable();
    let newest = versions.last().expect("a version of PostgreSQL");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}
