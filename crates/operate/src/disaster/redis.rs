//! A Redis beside the hub, as production runs one: with users from a file, and a log of what was written. The hub keeps
//! nothing in it yet: what stands in it stands for what it will.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hub_vault::Secret32;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::detect::Look;
use crate::error::{Error, fault};
use crate::rotate::redis::Node;

const USER: &str = "hub";
/// For it to come up.
const UP: Duration = Duration::from_secs(20);
const KEPT: (&str, &str) = ("drill", "written before");

pub(super) struct Redis {
    folder: PathBuf,
    address: String,
    port: u16,
    password: SecretString,
    child: Option<Child>,
}

impl Redis {
    /// In `folder`, which it makes; running.
    pub(super) async fn make(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir(folder).map_err(fault(folder, "made"))?;
        let password = SecretString::from(hex::encode(Secret32::random()?.expose()));
        let hash = hex::encode(Sha256::digest(password.expose_secret()));
        let users = folder.join("users.acl");
        let text = format!("user default off\nuser {USER} on #{hash} ~* &* +@all\n");
        std::fs::write(&users, text).map_err(fault(&users, "written"))?;
        let port = free_port().map_err(fault(Path::new("127.0.0.1"), "listened on"))?;
        let mut redis = Self {
            folder: folder.to_owned(),
            address: format!("127.0.0.1:{port}"),
            port,
            password,
            child: None,
        };
        redis.start().await?;
        let said = redis.say(&["SET", KEPT.0, KEPT.1]).await;
        said.map_err(Error::Drill)?;
        Ok(redis)
    }

    pub(super) async fn start(&mut self) -> Result<(), Error> {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .args(["--save", "", "--daemonize", "no"])
            .arg("--dir")
            .arg(&self.folder)
            .arg("--aclfile")
            .arg(self.folder.join("users.acl"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        self.child = Some(command.spawn().map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                Error::Absent("redis-server", "install the package `redis-server`")
            } else {
                Error::Start("redis-server".into(), source)
            }
        })?);
        let deadline = Instant::now() + UP;
        loop {
            match self.answers().await {
                Look::Fine(_) => return Ok(()),
                Look::Wrong(why) if Instant::now() > deadline => {
                    return Err(Error::Drill(format!("Redis does not come up: {why}")));
                }
                Look::Wrong(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill().await;
        }
    }

    async fn say(&self, words: &[&str]) -> Result<String, String> {
        let mut node = Node::open(&self.address, USER, &self.password).await?;
        node.say(words).await
    }

    pub(super) async fn answers(&self) -> Look {
        match self.say(&["PING"]).await {
            Ok(_) => Look::Fine("it answers".to_owned()),
            Err(why) => Look::Wrong(why),
        }
    }

    /// With its users, and with what was written to it.
    pub(super) async fn is_back(&self) -> Result<String, Error> {
        match self.say(&["GET", KEPT.0]).await {
            Ok(said) if said.trim() == KEPT.1 => Ok(
                "its user's password is good and what was written to it is there; the hub keeps nothing in it yet"
                    .to_owned(),
            ),
            Ok(said) => Err(Error::NotProven(format!("Redis says `{}`", said.trim()))),
            Err(why) => Err(Error::NotProven(why)),
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}
