//! HAProxy's log as figures: one datagram a request, `hub1 SERVER STATUS MILLISECONDS RETRIES`.
//!
//! The load balancer sees what clients see; the release's own metrics are its own word for itself. HAProxy's counters
//! would tell of tries, not of requests: one that fails everywhere is tried twice at each server, whatever its share, and three of them among those of a
//! small share are many. A line tells of a request, and so to whom it went first, by the share, and whether that one failed it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::deploy::Colour;
use crate::error::Error;

/// Requests whose times are remembered between two looks at most.
const MOST: usize = 200_000;

/// What one colour was told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Requests that went to it first, since the log was listened to.
    pub(crate) requests: u64,
    /// Of those, the ones that it failed.
    pub(crate) errors: u64,
    /// Milliseconds of each since the last look.
    pub(crate) latencies: Vec<u32>,
}

impl Told {
    fn note(&mut self, line: &Line) {
        self.requests += 1;
        self.errors += u64::from(line.failed);
        if let Some(took) = line.took
            && self.latencies.len() < MOST
        {
            self.latencies.push(took);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    told: Arc<Mutex<[Told; 2]>>,
    reader: JoinHandle<()>,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Log {
    pub(crate) async fn listen(address: SocketAddr) -> Result<Self, Error> {
        let socket = UdpSocket::bind(address)
            .await
            .map_err(|source| Error::File {
                path: format!("udp:{address}").into(),
                verb: "listened on",
                source,
            })?;
        let told: Arc<Mutex<[Told; 2]>> = Arc::default();
        // All the while and not at each look: the system keeps a few hundred datagrams and drops what comes after them.
        let reader = tokio::spawn(read_on(socket, Arc::clone(&told)));
        Ok(Self { told, reader })
    }

    /// What came so far, with the times that came since the last look: blue, green.
    pub(crate) fn take(&mut self) -> [Told; 2] {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let so_far = told.clone();
        for colour in &mut *told {
            colour.latencies.clear();
        }
        so_far
    }
}

async fn read_on(socket: UdpSocket, told: Arc<Mutex<[Told; 2]>>) {
    let mut datagram = [0; 512];
    loop {
        // An interrupted read; the next one goes on.
        let Ok(length) = socket.recv(&mut datagram).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let text = String::from_utf8_lossy(datagram.get(..length).unwrap_or_default());
        if let Some(line) = Line::read(&text) {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(colour) = told.get_mut(line.first.place()) {
                colour.note(&line);
            }
        }
    }
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    /// Whom it went to first.
    first: Colour,
    /// Whether that one failed it.
    failed: bool,
    /// Milliseconds until the client had its answer; nothing if it has none.
    took: Option<u32>,
}

impl Line {
    /// `None` for what no colour answered.
    ///
    /// RETRIES is how often it was tried again, with a `+` if elsewhere: at the other server each time (`option redispatch 1`), so
    /// whether it began at the one that is named is whether they are even. Configuration Manual 2.6, section 8.2.4, `%rc`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| *word != "hub1")
            .skip(1);
        let server = words.next()?;
        let last = Colour::BOTH
            .into_iter()
            .find(|colour| colour.name() == server)?;
        let status: i64 = words.next()?.parse().ok()?;
        let took: i64 = words.next()?.parse().ok()?;
        let retries = words.next()?;
        let (elsewhere, retries) = match retries.strip_prefix('+') {
            Some(retries) => (true, retries),
            None => (false, retries),
        };
        let retries: u64 = retries.parse().ok()?;
        Some(Self {
            first: if elsewhere && retries % 2 == 1 {
                last.other()
            } else {
                last
            },
            failed: retries > 0 || status >= 500,
            took: u32::try_from(took).ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> Option<(Colour, bool, Option<u32>)> {
        Line::read(text).map(|line| (line.first, line.failed, line.took))
    }

    #[test]
    fn a_line_names_who_was_asked_first_whether_it_failed_and_the_time() {
        use Colour::{Blue, Green};
        for (text, is) in [
            ("hub1 blue 200 12 0\n", (Blue, false, Some(12))),
            ("<134>x: hub1 green 503 7 0", (Green, true, Some(7))),
            // Green failed it, blue answered.
            ("hub1 blue 200 9 +1", (Green, true, Some(9))),
            // Blue, green and blue again; both failed it.
            ("hub1 blue 200 9 +2", (Blue, true, Some(9))),
            ("hub1 green 500 9 +3", (Blue, true, Some(9))),
            // There was nobody else.
            ("hub1 green 500 9 3", (Green, true, Some(9))),
            // The client went away.
            ("hub1 blue -1 -1 0", (Blue, false, None)),
        ] {
            assert_eq!(line(text), Some(is), "{text}");
        }
        for nothing in [
            "",
            "hub1",
            "hub1 <NOSRV> 503 -1 0",
            "hub1 blue-spare 200 3 0",
            "hub1 blue x",
            "hub1 blue 200 3",
            "hub1 blue 200 3 +",
            "<134>hub1 green 503 7 +1",
        ] {
            assert_eq!(line(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_fails_everywhere_fails_once_where_it_went_first() {
        let mut told = [Told::default(), Told::default()];
        let lines = (0..10)
            .map(|at| if at == 0 { "blue" } else { "green" })
            .map(|last| format!("hub1 {last} 500 4 +3"));
        for line in lines.map(|line| Line::read(&line).unwrap()) {
            told[line.first.place()].note(&line);
        }
        let [blue, green] = told.map(|told| (told.requests, told.errors, told.latencies.len()));
        assert_eq!((blue, green), ((9, 9, 9), (1, 1, 1)));
    }

    #[tokio::test]
    async fn a_burst_between_two_looks_is_told_whole() {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut log = Log::listen(address).await.unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for sent in 1..=5000u64 {
            sender.send_to(b"hub1 blue 200 1 0", address).await.unwrap();
            if sent % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let all = async {
            let mut times = 0;
            while times < 5000 {
                let [blue, _] = log.take();
                times += blue.latencies.len();
                tokio::task::yield_now().await;
            }
            log.take()[0].requests
        };
        let limit = std::time::Duration::from_secs(20);
        let requests = tokio::time::timeout(limit, all).await.unwrap();
        assert_eq!(requests, 5000);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(text in "\\PC{0,100}", words in "hub1 (blue|green) [-0-9]{1,25} [-0-9]{1,25} [+]?[0-9]{1,25}") {
            let _any = Line::read(&text);
            let _any = Line::read(&words);
        }
    }
}
