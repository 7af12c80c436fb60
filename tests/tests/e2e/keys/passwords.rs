//! Passwords of the database and of Redis, with clients that connect anew all the while.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hub_testkit::Guarded;

use super::site::{Load, Site};
use crate::world::until;

/// The former login goes once no connection is being made with it.
async fn retired(site: &Site) {
    until("the former login's end", async || {
        let done = site.keys(&["retire", "database"]).await;
        done.status.success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_databases_password_is_exchanged_under_load_and_nobody_notices() {
    let database = Guarded::start().await.unwrap();
    let urls = (database.url_app.clone(), database.url_owner.clone());
    let more = "[database]\nurl_file = \"database-url\"\nowner_url_file = \"owner-url\"\n";
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(urls, folder, more, |setting| setting).await;
    let mut url = database.url_app.clone();
    for login in ["hub_app_a", "hub_app_b", "hub_app_a"] {
        let load = Load::start(&site.hubs, 8, 80).await;
        let told = site.told(&["rotate", "database"]).await;
        assert_eq!(told["in_use"], login);
        assert!(
            database.lets_in(&url).await,
            "both are good until one is retired"
        );
        retired(&site).await;
        // Every session begins anew, as after a failover: nobody needs the old password.
        let report = load.stop().await;
        report.expect_none_failed();
        assert!(report.requests > 50, "{report:?}");
        database.end_sessions().await.unwrap();
        let load = Load::start(&site.hubs, 4, 60).await;
        until("new sessions", async || (load.done() > 50).then_some(())).await;
        load.stop().await.expect_none_failed();
        assert_eq!(database.logins().await.unwrap(), [login]);
        assert!(!database.lets_in(&url).await, "the former one is refused");
        url = std::fs::read_to_string(site.at("database-url")).unwrap();
        assert!(database.lets_in(&url).await);
        let left = std::fs::read_dir(site.at("rotation")).unwrap();
        let left: Vec<_> = left.map(|one| one.unwrap().file_name()).collect();
        assert!(
            !left
                .iter()
                .any(|name| name.to_string_lossy().starts_with("database.")),
            "{left:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_databases_password_goes_back() {
    let database = Guarded::start().await.unwrap();
    let urls = (database.url_app.clone(), database.url_owner.clone());
    let more = "[database]\nurl_file = \"database-url\"\nowner_url_file = \"owner-url\"\n";
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(urls, folder, more, |setting| setting).await;
    let load = Load::start(&site.hubs, 4, 60).await;
    site.told(&["rotate", "database"]).await;
    let fresh = std::fs::read_to_string(site.at("database-url")).unwrap();
    let told = site.told(&["undo", "database"]).await;
    assert_eq!(told["in_use"], "hub_app");
    retired(&site).await;
    load.stop().await.expect_none_failed();
    let url = std::fs::read_to_string(site.at("database-url")).unwrap();
    assert_eq!(url.trim_end(), database.url_app);
    assert!(!database.lets_in(&fresh).await);
    assert!(database.lets_in(&url).await);
}

/// A Redis of its own; killed when dropped.
struct Redis {
    child: Child,
    port: u16,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Redis {
    fn start(folder: &Path, password: &str, master: Option<u16>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let home = folder.join(format!("redis-{port}"));
        std::fs::create_dir(&home).unwrap();
        let mut text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsave \"\"\nrequirepass {password}\nmasterauth {password}\n",
            home.display()
        );
        if let Some(master) = master {
            text = format!("{text}replicaof 127.0.0.1 {master}\n");
        }
        let file = home.join("redis.conf");
        std::fs::write(&file, text).unwrap();
        let child = Command::new("redis-server")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (scripts/bootstrap.sh)");
        Self { child, port }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a new connection with this password is answered to a command.
    fn say(&self, password: &str, command: &str) -> Result<String, String> {
        let fault = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(self.address()).map_err(fault)?;
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .map_err(fault)?;
        write!(stream, "AUTH {password}\r\n{command}\r\nQUIT\r\n").map_err(fault)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(fault)?;
        match answer.strip_prefix("+OK\r\n") {
            Some(rest) => Ok(rest.to_owned()),
            None => Err(answer),
        }
    }

    async fn ready(&self, password: &str, words: &str) {
        until("redis", async || {
            let said = self.say(password, "INFO replication").ok()?;
            said.contains(words).then_some(())
        })
        .await;
    }
}

/// Connects anew all the while, with what the file holds.
struct Clients {
    stop: Arc<AtomicBool>,
    /// The turns of each.
    done: Arc<[AtomicU64; 4]>,
    threads: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Clients {
    fn start(nodes: &Arc<Vec<Redis>>, file: PathBuf) -> Self {
        let (stop, done) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new([const { AtomicU64::new(0) }; 4]),
        );
        let threads = (0..4).map(|n: usize| {
            let (stop, done, nodes, file) =
                (stop.clone(), done.clone(), nodes.clone(), file.clone());
            std::thread::spawn(move || {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let password = std::fs::read_to_string(&file).unwrap();
                    let node = &nodes[n % nodes.len()];
                    if let Err(why) = node.say(&password, "PING") {
                        failures.push(why);
                    }
                    done[n].fetch_add(1, Ordering::SeqCst);
                }
                failures
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            done,
        }
    }

    fn turns(&self) -> [u64; 4] {
        std::array::from_fn(|n| self.done[n].load(Ordering::SeqCst))
    }

    /// Until nobody goes by what the file held before.
    async fn settled(&self) {
        let before = self.turns();
        until("the clients", async || {
            let now = self.turns();
            now.iter()
                .zip(before)
                .all(|(now, before)| *now > before)
                .then_some(())
        })
        .await;
    }

    fn stop(self) -> (u64, Vec<String>) {
        let turns = self.turns().iter().sum();
        self.stop.store(true, Ordering::Relaxed);
        let all = self.threads.into_iter().flat_map(|one| one.join().unwrap());
        let failures = all.collect();
        (turns, failures)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_redis_is_exchanged_at_both_nodes_and_nobody_notices() {
    let folder = tempfile::tempdir().unwrap();
    let first = "the-first-password";
    let master = Redis::start(folder.path(), first, None);
    let replica = Redis::start(folder.path(), first, Some(master.port));
    master.ready(first, "state=online").await;
    let nodes = Arc::new(vec![master, replica]);
    let more = format!(
        "[redis]\naddresses = [\"{}\", \"{}\"]\npassword_file = \"redis-password\"\n",
        nodes[0].address(),
        nodes[1].address()
    );
    let site = Site::with(&more, |setting| setting).await;
    let file = site.at("redis-password");
    std::fs::write(&file, first).unwrap();
    let clients = Clients::start(&nodes, file.clone());
    site.told(&["rotate", "redis"]).await;
    let second = std::fs::read_to_string(&file).unwrap();
    assert_ne!(second, first);
    for node in nodes.iter() {
        for password in [first, &second] {
            assert!(node.say(password, "PING").is_ok(), "both are good");
        }
    }
    // Back, and forward again.
    site.told(&["undo", "redis"]).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    clients.settled().await;
    site.told(&["retire", "redis"]).await;
    assert!(nodes[0].say(&second, "PING").is_err());
    site.told(&["rotate", "redis"]).await;
    clients.settled().await;
    site.told(&["retire", "redis"]).await;
    let (done, failures) = clients.stop();
    assert!(
        failures.is_empty(),
        "{} of {done}: {:?}",
        failures.len(),
        failures.first()
    );
    assert!(done > 100, "{done}");
    let third = std::fs::read_to_string(&file).unwrap();
    for node in nodes.iter() {
        assert!(node.say(first, "PING").is_err() && node.say(&third, "PING").is_ok());
    }
    // A replica that begins anew shows its master the new one.
    nodes[0].say(&third, "CLIENT KILL TYPE replica").unwrap();
    nodes[0].ready(&third, "state=online").await;
}
