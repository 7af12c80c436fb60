//! The password of Redis: a user may have two at once (ACL), so the new one is added everywhere before anybody shows it.
//! Passwords go over as SHA-256, so that none stands in a log of commands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_vault::Secret32;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::config::{Publish, Secrets};
use super::{Exchange, Look, files};
use crate::error::Error;

/// For one command to be answered.
const ANSWER: Duration = Duration::from_secs(5);

/// The password of one user at every node.
pub(crate) struct Redis {
    addresses: Vec<String>,
    user: String,
    file: PathBuf,
    former: PathBuf,
    fresh: PathBuf,
    /// Makes names of passwords that say nothing about them.
    salt: PathBuf,
    publish: Publish,
}

impl Redis {
    pub(crate) fn new(config: &super::Config) -> Result<Self, Error> {
        let part = config.redis.as_ref().ok_or(Error::Unconfigured("redis"))?;
        let Secrets { former, fresh } = config.secrets("redis");
        Ok(Self {
            addresses: part.addresses.clone(),
            user: part.user.clone(),
            file: part.password_file.clone(),
            former,
            fresh,
            salt: config.state.join("redis.salt"),
            publish: part.publish.clone(),
        })
    }

    fn name(&self, password: &SecretString) -> Result<String, Error> {
        let salt = if let Some(salt) = files::secret(&self.salt)? {
            salt
        } else {
            let salt: SecretString = hex::encode(Secret32::random()?.expose()).into();
            files::private_folder(self.salt.parent().unwrap_or(Path::new(".")))?;
            files::replace(&self.salt, salt.expose_secret().as_bytes())?;
            salt
        };
        let salted = Zeroizing::new([salt.expose_secret(), password.expose_secret()].concat());
        let hash = Sha256::digest(salted.as_bytes());
        Ok(hex::encode(hash.first_chunk::<4>().unwrap_or(&[0; 4])))
    }

    fn password_of(&self, id: &str) -> Result<SecretString, Error> {
        for path in [&self.fresh, &self.former] {
            if let Some(password) = files::secret(path)?
                && self.name(&password)? == id
            {
                return Ok(password);
            }
        }
        Err(Error::Lost(format!("the password {id}")))
    }

    /// The one of the two that is not `id`.
    fn other(&self, id: &str) -> Result<SecretString, Error> {
        for path in [&self.fresh, &self.former] {
            if let Some(password) = files::secret(path)?
                && self.name(&password)? != id
            {
                return Ok(password);
            }
        }
        Err(Error::Lost("the other password".to_owned()))
    }

    /// At every node: shows `password`, then says this.
    async fn everywhere(&self, password: &SecretString, words: &[&str]) -> Result<(), String> {
        for address in &self.addresses {
            let mut node = Node::open(address, &self.user, password).await?;
            if !words.is_empty() {
                node.say(words).await?;
                node.save().await;
            }
        }
        Ok(())
    }

    /// Replicas show their master a password too: where one is set, it is this from now on.
    async fn replicas_show(&self, password: &SecretString) -> Result<(), String> {
        for address in &self.addresses {
            let mut node = Node::open(address, &self.user, password).await?;
            let set = node.say(&["CONFIG", "GET", "masterauth"]).await?;
            if set.lines().nth(1).is_some_and(|value| !value.is_empty()) {
                let words = ["CONFIG", "SET", "masterauth", password.expose_secret()];
                node.say(&words).await?;
                node.save().await;
            }
        }
        Ok(())
    }
}

impl Exchange for Redis {
    async fn in_use(&self) -> Result<String, Error> {
        self.name(&files::needed(&self.file)?)
    }

    async fn stage(&mut self, former: &str) -> Result<String, Error> {
        if files::secret(&self.fresh)?.is_none() {
            let current = files::needed(&self.file)?;
            files::replace(&self.former, current.expose_secret().as_bytes())?;
            let fresh = Zeroizing::new(hex::encode(Secret32::random()?.expose()));
            // On disk before Redis knows it: killed in between, the same one is used.
            files::replace(&self.fresh, fresh.as_bytes())?;
        }
        let fresh = files::needed(&self.fresh)?;
        let hash = format!("#{}", hashed(&fresh));
        let words = ["ACL", "SETUSER", self.user.as_str(), hash.as_str()];
        let done = self.everywhere(&self.password_of(former)?, &words).await;
        done.map_err(Error::Unsettled)?;
        self.name(&fresh)
    }

    async fn known(&self, id: &str) -> Result<Look, Error> {
        let password = self.password_of(id)?;
        Ok(match self.everywhere(&password, &[]).await {
            Ok(()) => Look::Everywhere(format!("{} nodes take it", self.addresses.len())),
            Err(why) => Look::NotYet(why),
        })
    }

    async fn switch(&mut self, id: &str) -> Result<(), Error> {
        let password = self.password_of(id)?;
        let done = self.replicas_show(&password).await;
        done.map_err(Error::Unsettled)?;
        files::replace(&self.file, password.expose_secret().as_bytes())?;
        self.publish.run().await
    }

    async fn used(&self, id: &str) -> Result<Look, Error> {
        let password = files::needed(&self.file)?;
        if self.name(&password)? != id {
            let file = self.file.display();
            return Ok(Look::NotYet(format!("{file} holds another one")));
        }
        Ok(match self.everywhere(&password, &[]).await {
            Ok(()) => Look::Everywhere("what the file holds is taken by every node".to_owned()),
            Err(why) => Look::NotYet(why),
        })
    }

    /// Connections that are open need no password.
    async fn overlap(&self) -> Result<Duration, Error> {
        Ok(Duration::ZERO)
    }

    async fn retire(&mut self, id: &str) -> Result<(), Error> {
        // Killed after the last node: the files are gone, and there is nothing left to do.
        let (Ok(old), Ok(stays)) = (self.password_of(id), self.other(id)) else {
            return Ok(());
        };
        let hash = format!("!{}", hashed(&old));
        let words = ["ACL", "SETUSER", self.user.as_str(), hash.as_str()];
        for address in &self.addresses {
            let mut node = match Node::open(address, &self.user, &stays).await {
                Ok(node) => node,
                Err(why) => return Err(Error::Unsettled(why)),
            };
            match node.say(&words).await {
                // It is not there any more: done by the attempt before.
                Err(why) if !why.contains("did not exist") && !why.contains("no such password") => {
                    return Err(Error::Unsettled(why));
                }
                _ => node.save().await,
            }
            if Node::open(address, &self.user, &old).await.is_ok() {
                return Err(Error::Unsettled(format!(
                    "{address} takes the old one still"
                )));
            }
        }
        files::remove(&self.former)?;
        files::remove(&self.fresh)
    }

    async fn gone(&self, _id: &str) -> Result<Look, Error> {
        Ok(Look::Everywhere("no node takes it any more".to_owned()))
    }
}

fn hashed(password: &SecretString) -> String {
    hex::encode(Sha256::digest(password.expose_secret().as_bytes()))
}

/// A connection that has shown its password.
pub(crate) struct Node {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Node {
    pub(crate) async fn open(
        address: &str,
        user: &str,
        password: &SecretString,
    ) -> Result<Self, String> {
        let connected = timeout(ANSWER, TcpStream::connect(address)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("{address}: {error}")),
            Err(_late) => return Err(format!("{address} does not answer")),
        };
        let mut node = Self {
            address: address.to_owned(),
            stream: BufReader::new(stream),
        };
        let refused = |_: &str| format!("{address} refuses the password of `{user}`");
        node.say(&["AUTH", user, password.expose_secret()])
            .await
            .map_err(|why| refused(&why))?;
        Ok(node)
    }

    /// Keeps it over a restart, by whichever of the two ways this node is set up.
    async fn save(&mut self) {
        if self.say(&["ACL", "SAVE"]).await.is_err() {
            // Neither: its configuration comes from outside, which reads the file.
            let _kept_outside = self.say(&["CONFIG", "REWRITE"]).await;
        }
    }

    /// Says a command (RESP 2); the answer's texts, one a line.
    pub(crate) async fn say(&mut self, words: &[&str]) -> Result<String, String> {
        let mut text = Zeroizing::new(format!("*{}\r\n", words.len()));
        for word in words {
            for part in ["$", &word.len().to_string(), "\r\n", word, "\r\n"] {
                text.push_str(part);
            }
        }
        let address = self.address.clone();
        let heard = timeout(ANSWER, async {
            self.stream.write_all(text.as_bytes()).await?;
            self.hear().await
        });
        match heard.await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(refused))) => Err(format!("{address}: {refused}")),
            Ok(Err(error)) => Err(format!("{address}: {error}")),
            Err(_late) => Err(format!("{address} does not answer")),
        }
    }

    async fn hear(&mut self) -> std::io::Result<Result<String, String>> {
        let mut answer = String::new();
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let line = line.trim_end();
            let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
            match kind {
                "-" => return Ok(Err(rest.to_owned())),
                "*" => left += rest.parse::<usize>().unwrap_or(0).min(1000),
                "$" => {
                    let Ok(length) = rest.parse::<u16>() else {
                        continue;
                    };
                    let mut bytes = vec![0; usize::from(length) + 2];
                    self.stream.read_exact(&mut bytes).await?;
                    answer.push_str(String::from_utf8_lossy(&bytes).trim_end());
                    answer.push('\n');
                }
                "" => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                _ => answer.push_str(rest),
            }
        }
        Ok(Ok(answer))
    }
}
