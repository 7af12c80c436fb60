//! Sending logs in batches. Each batch has a key made of its content, so that sending a file again stores nothing twice.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use hub_events::normalise::Format;
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
    format: Format,
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
        let year = self.year.map(|year| year.to_string());
        let asked = [
            ("format", Some(self.format.name())),
            ("year", year.as_deref()),
            ("source", self.source.as_deref()),
        ];
        let query: Vec<(&str, &str)> = asked
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let bar = if Output::is_live() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        let mut totals = Totals::default();
        for file in files(&self.path, self.format)? {
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
        query: &[(&str, &str)],
        file: &Path,
        bar: &ProgressBar,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let mut reader: Box<dyn BufRead + Send> = if file.as_os_str() == "-" {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let opened =
                std::fs::File::open(file).map_err(|error| Failure::file("read", file, error))?;
            Box::new(BufReader::new(opened))
        };
        // A CloudTrail file is one JSON value and cannot be cut at a line.
        let whole = self.format == Format::CloudTrail;
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
        query: &[(&str, &str)],
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
                .request(Method::POST, "/api/v2/events")
                .query(query)
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

/// The file itself, or every file of a folder and the folders in it, by name.
fn files(path: &Path, format: Format) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if is_wanted(&path, format) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Beside CloudTrail's JSON files lie digests of licences and the like.
fn is_wanted(file: &Path, format: Format) -> bool {
    let is_json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    format != Format::CloudTrail || is_json
}

fn read_all(reader: &mut (dyn BufRead + Send)) -> Result<Vec<u8>, Failure> {
    let mut batch = Vec::new();
    reader.read_to_end(&mut batch)?;
    Ok(batch)
}

/// Whole lines up to about [`BATCH`] bytes, and as many as the hub takes at once; empty at the end.
fn read_lines(reader: &mut (dyn BufRead + Send)) -> Result<Vec<u8>, Failure> {
    let mut batch = Vec::new();
    // The last line's end begins one more, empty line.
    for _ in 1..hub_events::normalise::MAX_LINES {
        if batch.len() >= BATCH || reader.read_until(b'\n', &mut batch)? == 0 {
            break;
        }
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_to_its_depths_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.json", "b/1.json", "a/3.json", "LICENSE"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |format| -> Vec<String> {
            let found = files(folder.path(), format).unwrap();
            let inside = found
                .iter()
                .map(|file| file.strip_prefix(folder.path()).unwrap());
            inside.map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            names(Format::CloudTrail),
            ["a/3.json", "b/1.json", "b/2.json"]
        );
        assert_eq!(names(Format::Json).len(), 4);
    }

    #[test]
    fn batches_end_at_lines_and_lose_nothing() {
        let lines: Vec<String> = (0..200_000).map(|n| format!("line number {n}")).collect();
        let text = lines.join("\n") + "\n";
        let mut reader = text.as_bytes();
        let mut batches = Vec::new();
        loop {
            let batch = read_lines(&mut reader).unwrap();
            if batch.is_empty() {
                break;
            }
            batches.push(batch);
        }
        assert!(batches.len() > 1 && batches.iter().all(|batch| batch.ends_with(b"\n")));
        assert_eq!(batches.concat(), text.as_bytes());
    }
}
