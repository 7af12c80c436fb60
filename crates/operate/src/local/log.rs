//! HAProxy's log as figures: one datagram a request, `hub1 SERVER STATUS MILLISECONDS RETRIES`.
//!
//! The load balancer sees what clients see; the release's own metrics are its own word for itself.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use crate::deploy::Colour;
use crate::error::Error;

/// Requests remembered between two looks at most.
const MOST: usize = 200_000;

#[derive(Debug)]
pub(crate) struct Log {
    socket: UdpSocket,
    latencies: [Vec<u32>; 2],
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
        Ok(Self {
            socket,
            latencies: [Vec::new(), Vec::new()],
        })
    }

    /// The times that came since the last look: blue, green.
    pub(crate) fn take(&mut self) -> [Vec<u32>; 2] {
        let mut datagram = [0; 512];
        loop {
            match self.socket.try_recv(&mut datagram) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(datagram.get(..length).unwrap_or_default());
                    if let Some((colour, took)) = read(&text) {
                        let [blue, green] = &mut self.latencies;
                        let kept = match colour {
                            Colour::Blue => blue,
                            Colour::Green => green,
                        };
                        if kept.len() < MOST {
                            kept.push(took);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // An interrupted look; the next one goes on.
                Err(_) => break,
            }
        }
        std::mem::take(&mut self.latencies)
    }
}

/// Server and milliseconds of a line; `None` for what no colour answered.
fn read(line: &str) -> Option<(Colour, u32)> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| *word != "hub1")
        .skip(1);
    let server = words.next()?;
    let colour = Colour::BOTH
        .into_iter()
        .find(|colour| colour.name() == server)?;
    let took: i64 = words.nth(1)?.parse().ok()?;
    Some((colour, u32::try_from(took).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_server_and_time() {
        assert_eq!(read("hub1 blue 200 12 0\n"), Some((Colour::Blue, 12)));
        assert_eq!(read("<134>hub1 green 503 7 +1"), None);
        assert_eq!(
            read("<134>x: hub1 green 503 7 +1"),
            Some((Colour::Green, 7))
        );
        for nothing in [
            "",
            "hub1",
            "hub1 <NOSRV> 503 -1 0",
            "hub1 blue 200 -1 0",
            "hub1 blue x",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
