//! Sending logs in batches. Each batch has a key made of its content, so that sending a file again stores nothing twice.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::client::{Client, field};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Bytes of a batch, about.
const BATCH: usize = 2 * 1024 * 1024;
/// Tries of one batch before giving up.
const TRIES: u32 = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// sshd, cloudtrail, ocsf or json.
    #[arg(long)]
    format: hub_events::normalise::Format,
    /// The year of the first line, for logs whose times have none.
    #[arg(long)]
    year: Option<i32>,
    /// Product and service of plain JSON: `nginx/access`.
    #[arg(long)]
    source: Option<String>,
    /// A file, a folder (its files by name), or `-` for standard input.
    path: PathBuf,
}

#[derive(Debug, Default)]
struct Totals {
    batches: u64,
    accepted: u64,
    quarantined: u64,
}

impl Ingest {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut query = format!("/api/v2/events?format={}", self.format.name());
        if let Some(year) = self.year {
            query.push_str(&format!("&year={year}"));
        }
        if let Some(source) = &self.source {
            query.push_str(&format!("&source={source}"));
        }
        let bar = if Output::is_live() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        let mut totals = Totals::default();
        for file in files(&self.path)? {
            bar.set_message(file.display().to_string());
            self.file(client, &query, &file, &bar, &mut totals)
                .await
                .map_err(|failure| {
                    failure.help(
                        "what was acknowledged is stored; run the same command again to go on",
                    )
                })?;
        }
        bar.finish_and_clear();
        let told = json!({"batches": totals.batches, "accepted": totals.accepted, "quarantined": totals.quarantined});
        if output.json {
            output.document(&told)?;
        } else {
            output.line(&format!(
                "{} events stored in {} batches; {} lines quarantined",
                totals.accepted, totals.batches, totals.quarantined
            ))?;
        }
        Ok(Exit::Done)
    }

    async fn file(
        &self,
        client: &Client,
        query: &str,
        file: &Path,
        bar: &ProgressBar,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let mut reader: Box<dyn BufRead + Send> = if file.as_os_str() == "-" {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let opened = std::fs::File::open(file).map_err(|error| {
                Failure::new(
                    Exit::Usage,
                    anyhow::Error::new(error).context(format!("cannot read {}", file.display())),
                )
            })?;
            Box::new(BufReader::new(opened))
        };
        // A CloudTrail file is one JSON value and cannot be cut at a line.
        let whole = self.format == hub_events::normalise::Format::CloudTrail;
        let mut number = 0_u64;
        loop {
            let batch = if whole {
                read_all(&mut reader)?
            } else {
                read_lines(&mut reader)?
            };
            if batch.is_empty() {
                return Ok(());
            }
            number += 1;
            let receipt = self.send(client, query, number, batch).await?;
            totals.batches += 1;
            totals.accepted += receipt.get("accepted").and_then(Value::as_u64).unwrap_or(0);
            totals.quarantined += receipt
                .get("quarantined")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            bar.set_prefix(field(&receipt, "batch_id"));
            bar.tick();
        }
    }

    async fn send(
        &self,
        client: &Client,
        query: &str,
        number: u64,
        batch: Vec<u8>,
    ) -> Result<Value, Failure> {
        let mut hasher = Sha256::new();
        hasher.update(number.to_be_bytes());
        hasher.update(&batch);
        let key = hex::encode(hasher.finalize());
        let mut tried = 0;
        loop {
            let request = client
                .request(Method::POST, query)
                .header("content-type", "application/x-ndjson")
                .header("idempotency-key", &key)
                .body(batch.clone());
            match client.send(request).await {
                Ok(response) => {
                    let bytes = response
                        .bytes()
                        .await
                        .map_err(|error| Failure::new(Exit::Unreachable, error))?;
                    return Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null));
                }
                Err(failure) if failure.exit == Exit::Unreachable && tried < TRIES => {
                    tried += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(250 << tried)).await;
                }
                Err(mut failure) => {
                    if failure.exit == Exit::Unreachable && number > 1 {
                        failure.exit = Exit::Interrupted;
                    }
                    return Err(failure);
                }
            }
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

fn read_all(reader: &mut (dyn BufRead + Send)) -> Result<Vec<u8>, Failure> {
    let mut batch = Vec::new();
    reader.read_to_end(&mut batch)?;
    Ok(batch)
}

/// Whole lines up to about [`BATCH`] bytes; empty at the end.
fn read_lines(reader: &mut (dyn BufRead + Send)) -> Result<Vec<u8>, Failure> {
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        if reader.read_until(b'\n', &mut batch)? == 0 {
            break;
        }
    }
    Ok(batch)
}
