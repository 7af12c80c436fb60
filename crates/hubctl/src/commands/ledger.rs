//! The ledger: seen through the API, exported, and verified offline without trusting the hub that wrote it.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Subcommand;
use futures_util::StreamExt;
use hub_base::HumanDuration;
use hub_ledger::export::Expect;
use hub_ledger::{Checkpoint, Report, VerifierKey, succession};
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, field, list};
use crate::exit::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Size, root and signed checkpoint.
    Head,
    /// Write every entry and the signed checkpoint to a file.
    Export {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Check an export offline: every leaf, the root, the signature. Exit code 1 if anything is wrong.
    Verify {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The key that must have signed (`name+hash+key`), as published outside the hub.
        #[arg(long)]
        key: Option<String>,
        /// A checkpoint kept from earlier: its ledger must be the beginning of this one.
        #[arg(long, value_name = "FILE")]
        earlier: Option<PathBuf>,
    },
    /// One entry.
    Show { index: u64 },
    /// One entry's inclusion proof, checked here.
    Proof { index: u64 },
    /// Entries, newest first.
    Search(Search),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// Exactly this operation: `user.lock`.
    #[arg(long, default_value = "")]
    operation: String,
    /// This text anywhere in the entry.
    #[arg(long, default_value = "")]
    text: String,
    /// Keep asking for so long until there is one: what was just done stands in the ledger a moment later.
    #[arg(long, value_name = "DURATION")]
    wait: Option<HumanDuration>,
}

impl Search {
    async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let query = [
            ("limit", "50"),
            ("q", &self.text),
            ("operation", &self.operation),
        ];
        let started = Instant::now();
        let body = loop {
            let body = client.find("/api/v2/ledger/entries", &query).await?;
            let left = self.wait.is_some_and(|wait| started.elapsed() < wait.0);
            if !left || !list(&body, "items").is_empty() {
                break body;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        if output.json {
            output.document(&body)?;
            return Ok(Exit::Done);
        }
        let rows = list(&body, "items");
        let rows = rows.iter().map(|e| {
            vec![
                field(e, "index"),
                field(e, "occurred_at"),
                field(e, "operation"),
            ]
        });
        output.table(&["Index", "When", "Operation"], rows.collect())?;
        Ok(Exit::Done)
    }
}

impl Ledger {
    pub(crate) async fn run(
        self,
        client: impl FnOnce() -> Result<Client, Failure>,
        output: &Output,
    ) -> Result<Exit, Failure> {
        match self {
            // Offline: no client is made, so none can be asked.
            Self::Verify { file, key, earlier } => {
                verify(output, &file, key.as_deref(), earlier.as_deref())
            }
            Self::Export { file } => export(&client()?, output, &file).await,
            Self::Head => {
                let body = client()?.get("/api/v2/ledger/head").await?;
                if output.json {
                    output.document(&body)?;
                } else {
                    output.line(&field(&body, "checkpoint"))?;
                }
                Ok(Exit::Done)
            }
            Self::Show { index } => {
                let body = client()?
                    .get(&format!("/api/v2/ledger/entries/{index}"))
                    .await?;
                if output.json {
                    output.document(&body)?;
                } else {
                    output.line(&field(&body, "body"))?;
                }
                Ok(Exit::Done)
            }
            Self::Proof { index } => proof(&client()?, output, index).await,
            Self::Search(search) => search.run(&client()?, output).await,
        }
    }
}

async fn export(client: &Client, output: &Output, file: &std::path::Path) -> Result<Exit, Failure> {
    let response = client
        .send(client.request(Method::GET, "/api/v2/ledger/export"))
        .await?;
    let beside = file.with_extension("part");
    let mut out = File::create(&beside).map_err(|error| Failure::file("write", &beside, error))?;
    let mut stream = response.bytes_stream();
    let mut bytes = 0_u64;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::new(Exit::Interrupted, error))?;
        bytes += chunk.len() as u64;
        out.write_all(&chunk)?;
    }
    out.sync_all()?;
    std::fs::rename(&beside, file)?;
    let told = serde_json::json!({"file": file, "bytes": bytes});
    if output.json {
        output.document(&told)?;
    } else {
        output.line(&format!("{bytes} bytes in {}", file.display()))?;
    }
    Ok(Exit::Done)
}

fn verify(
    output: &Output,
    file: &std::path::Path,
    key: Option<&str>,
    earlier: Option<&std::path::Path>,
) -> Result<Exit, Failure> {
    let expect = Expect {
        key: key
            .map(VerifierKey::parse)
            .transpose()
            .map_err(|e| Failure::new(Exit::Usage, e))?,
        earlier: match earlier {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::file("read", path, error))?;
                Some(Checkpoint::parse(&text).map_err(|e| Failure::new(Exit::Usage, e))?)
            }
            None => None,
        },
    };
    let opened = File::open(file).map_err(|error| Failure::file("read", file, error))?;
    let size = opened.metadata()?.len();
    let bar = if Output::is_live() {
        ProgressBar::new(size)
    } else {
        ProgressBar::hidden()
    };
    let read = BufReader::with_capacity(1 << 20, bar.wrap_read(opened));
    let report = hub_ledger::verify(read, &expect);
    bar.finish_and_clear();
    if output.json {
        output.document(&report)?;
    } else {
        told(output, &report)?;
    }
    Ok(if report.is_whole() {
        Exit::Done
    } else {
        Exit::No
    })
}

fn told(output: &Output, report: &Report) -> Result<(), Failure> {
    if report.is_whole() {
        let good = output.verdict(true, "whole and signed");
        output.line(&format!(
            "{}: {good}: {} entries, root {}",
            report.origin, report.entries, report.root
        ))?;
        return Ok(());
    }
    for fault in &report.faults {
        let place = fault.index.map_or_else(
            || format!("line {}", fault.line),
            |index| format!("entry {index}"),
        );
        output.line(&format!(
            "{} {place}: {}",
            output.verdict(false, "✕"),
            fault.what
        ))?;
    }
    if report.more_faults > 0 {
        output.line(&format!("… and {} faults more", report.more_faults))?;
    }
    Ok(())
}

async fn proof(client: &Client, output: &Output, index: u64) -> Result<Exit, Failure> {
    let body = client
        .get(&format!("/api/v2/ledger/entries/{index}/proof"))
        .await?;
    let key = client.get("/api/v2/ledger/key").await?;
    let odd = || Failure::new(Exit::Bug, anyhow::anyhow!("the hub's proof is malformed"));
    let current =
        VerifierKey::parse(&field(&key, "key")).map_err(|e| Failure::new(Exit::Bug, e))?;
    let note = field(&body, "checkpoint");
    // The newest checkpoint of a quiet tenant may be an earlier key's.
    let words = list(&key, "successions");
    let words = words.iter().filter_map(Value::as_str);
    let mut earlier = words.filter_map(|word| succession::open(word).ok());
    let head = Checkpoint::open(&note, &current)
        .or_else(|fault| {
            let opened = earlier.find_map(|one| Checkpoint::open(&note, &one.from).ok());
            opened.ok_or(fault)
        })
        .map_err(|e| Failure::new(Exit::No, e))?;
    let leaf = hub_ledger::Hash::from_hex(&field(&body, "leaf_hash")).ok_or_else(odd)?;
    let path = list(&body, "path");
    let path: Option<Vec<_>> = path
        .iter()
        .map(|h| hub_ledger::Hash::from_hex(h.as_str()?))
        .collect();
    let path = path.ok_or_else(odd)?;
    let checked = hub_ledger::proof::verify_inclusion(leaf, index, head.size, &path, &head.root);
    if output.json {
        let mut body = body;
        if let Value::Object(body) = &mut body {
            body.insert("verified".to_owned(), checked.is_ok().into());
        }
        output.document(&body)?;
    }
    match checked {
        Ok(()) if output.json => Ok(Exit::Done),
        Ok(()) => {
            let good = output.verdict(true, "is in the signed ledger");
            output.line(&format!("entry {index} {good} of {} entries", head.size))?;
            Ok(Exit::Done)
        }
        Err(error) => Err(Failure::new(Exit::No, error)),
    }
}
