//! HAProxy over its runtime socket: shares, states and counters of the two servers of one backend.
//!
//! Management Guide 2.6, section 9.3. One command per connection; the answer ends with the connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::deploy::Colour;
use crate::error::Error;

/// For one answer.
const LIMIT: Duration = Duration::from_secs(5);
/// An answer is a few lines per server.
const MOST: u64 = 4 * 1024 * 1024;

/// One backend with the servers `blue` and `green`.
#[derive(Debug, Clone)]
pub(crate) struct Haproxy {
    socket: PathBuf,
    backend: String,
}

/// One line of `show stat`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Server {
    pub(crate) weight: u32,
    pub(crate) is_up: bool,
    pub(crate) is_in_maintenance: bool,
    /// Tries, each of a retried request.
    pub(crate) tries: u64,
    pub(crate) in_progress: u64,
}

impl Haproxy {
    pub(crate) fn new(socket: &Path, backend: &str) -> Self {
        Self {
            socket: socket.to_owned(),
            backend: backend.to_owned(),
        }
    }

    async fn ask(&self, command: &str) -> Result<String, Error> {
        let conversation = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(command.as_bytes()).await?;
            stream.write_all(b"\n").await?;
            let mut answer = Vec::new();
            stream.take(MOST).read_to_end(&mut answer).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        timeout(LIMIT, conversation)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|source| Error::Balancer {
                path: self.socket.clone(),
                source,
            })
    }

    /// A command whose good answer is empty.
    async fn tell(&self, command: String) -> Result<(), Error> {
        let answer = self.ask(&command).await?;
        if answer.trim().is_empty() {
            return Ok(());
        }
        Err(Error::Refused {
            command,
            answer: answer.trim().to_owned(),
        })
    }

    pub(crate) async fn weigh(&self, colour: Colour, weight: u8) -> Result<(), Error> {
        let backend = &self.backend;
        self.tell(format!("set server {backend}/{colour} weight {weight}"))
            .await
    }

    /// `ready` takes requests, `maint` takes none and is not checked.
    pub(crate) async fn state(&self, colour: Colour, state: &str) -> Result<(), Error> {
        let backend = &self.backend;
        self.tell(format!("set server {backend}/{colour} state {state}"))
            .await
    }

    /// What a reload takes over (`load-server-state-from-file`).
    pub(crate) async fn states(&self) -> Result<String, Error> {
        self.ask("show servers state").await
    }

    /// Blue and green.
    pub(crate) async fn servers(&self) -> Result<[Server; 2], Error> {
        let answer = self.ask("show stat").await?;
        let [blue, green] = Colour::BOTH.map(|colour| read(&answer, &self.backend, colour.name()));
        Ok([blue?, green?])
    }
}

/// One server's line of `show stat`: comma-separated, the first line names the columns.
fn read(answer: &str, backend: &str, server: &str) -> Result<Server, Error> {
    let nonsense = |what: &str| Error::Nonsense(what.to_owned());
    let mut lines = answer.lines();
    let head: Vec<&str> = lines
        .next()
        .and_then(|line| line.strip_prefix("# "))
        .ok_or_else(|| nonsense("its statistics have no head"))?
        .split(',')
        .collect();
    let line = lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .find(|line| line.first() == Some(&backend) && line.get(1) == Some(&server))
        .ok_or_else(|| {
            Error::Nonsense(format!(
                "it has no server `{server}` in a backend `{backend}`"
            ))
        })?;
    let text = |name: &str| {
        let at = head.iter().position(|column| *column == name);
        at.and_then(|at| line.get(at)).copied().unwrap_or_default()
    };
    let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
    let status = text("status");
    Ok(Server {
        weight: u32::try_from(number("weight")).unwrap_or(0),
        is_up: status.starts_with("UP") || status == "no check",
        is_in_maintenance: status.starts_with("MAINT"),
        tries: number("stot"),
        in_progress: number("scur"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "# pxname,svname,qcur,scur,stot,status,weight,\n\
                        hub,blue,0,2,1000,UP,95,\n\
                        hub,green,0,0,0,MAINT,5,\n\
                        hub,BACKEND,0,2,1000,UP,95,\n";

    #[test]
    fn a_servers_line_is_read() {
        let blue = read(STAT, "hub", "blue").unwrap();
        assert_eq!((blue.tries, blue.in_progress), (1000, 2));
        assert!(blue.is_up && !blue.is_in_maintenance && blue.weight == 95);
        let green = read(STAT, "hub", "green").unwrap();
        assert!(!green.is_up && green.is_in_maintenance);
        let missing = read(STAT, "hub", "red").unwrap_err().to_string();
        assert!(missing.contains("no server `red`"), "{missing}");
        assert!(read("", "hub", "blue").is_err());
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(answer in "\\PC{0,400}", cut in 0usize..200) {
            let _any = read(&answer, "hub", "blue");
            let cut = STAT.get(..cut.min(STAT.len())).unwrap_or_default();
            let _any = read(cut, "hub", "blue");
        }
    }
}
