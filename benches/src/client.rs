//! A client that costs little beside what it measures: blocking sockets, one kept connection per thread.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};

/// What one run measured.
#[derive(Debug, Clone)]
pub struct Run {
    pub requests: usize,
    pub spent: Duration,
    /// Of each request, sorted.
    pub latencies: Vec<Duration>,
}

impl Run {
    pub fn rate(&self) -> f64 {
        crate::rate(self.requests, self.spent)
    }
}

/// `requests` GETs of `path` at `address`, split over `connections` kept connections.
///
/// # Errors
/// If an answer is not 200.
pub fn get(
    address: &str,
    path: &str,
    token: &str,
    connections: usize,
    requests: usize,
) -> anyhow::Result<Run> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: application/json\r\n\r\n"
    );
    let each = requests.div_ceil(connections);
    let started = Instant::now();
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| converse(address, request.as_bytes(), each)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client failed"))?)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let spent = started.elapsed();
    let mut latencies: Vec<Duration> = answers.into_iter().flatten().collect();
    latencies.sort_unstable();
    Ok(Run {
        requests: latencies.len(),
        spent,
        latencies,
    })
}

fn converse(address: &str, request: &[u8], times: usize) -> anyhow::Result<Vec<Duration>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let (mut line, mut body) = (String::new(), Vec::new());
    let mut latencies = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        writer.write_all(request)?;
        answer(&mut reader, &mut line, &mut body)?;
        latencies.push(started.elapsed());
    }
    Ok(latencies)
}

fn answer(
    reader: &mut BufReader<TcpStream>,
    line: &mut String,
    body: &mut Vec<u8>,
) -> anyhow::Result<()> {
    line.clear();
    reader.read_line(line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "answered: {line}");
    let mut length = None;
    loop {
        line.clear();
        ensure!(reader.read_line(line)? > 0, "the answer was cut off");
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse()?);
        }
    }
    body.resize(length.context("an answer without content-length")?, 0);
    reader.read_exact(body)?;
    Ok(())
}
