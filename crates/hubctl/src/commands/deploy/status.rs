//! What runs where, and how good we are at changing it.

use clap::Args;
use hub_base::{Clock as _, SystemClock};
use hub_operate::deploy::{Journal, Journey, Target as _};
use hub_operate::dora::{self, Dora};
use hub_operate::records::Record;
use serde_json::json;

use super::display::{down, line, rows};
use super::{Site, Where, way_on};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The DORA figures as the hub's ledger has them; without a hub that can be asked, as this place's history does.
async fn dora(client: &Client, history: &[Journey], output: &Output) -> (Dora, &'static str) {
    if client.has_token() {
        match client.get("/api/v2/operations/dora").await {
            Ok(told) => {
                if let Ok(dora) = serde_json::from_value(told) {
                    return (dora, "of the hub's ledger");
                }
            }
            Err(failure) => output.note(&format!(
                "the hub's ledger could not be asked (scope operations.read): {}",
                failure.error
            )),
        }
    }
    let records: Vec<Record> = history.iter().cloned().filter_map(Record::of).collect();
    (
        dora::figures(&records, SystemClock.now()),
        "of this place's history",
    )
}

/// What runs where, what is unfinished, what was done, and the DORA figures.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    place: Where,
}

impl Status {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        let mut site = Site::open(&self.place).await?;
        let state = site.target.state().to_owned();
        let standing = site.target.standing().await?;
        let current = Journal::peek(&state)?;
        let history = Journal::history(&state)?;
        let (dora, of) = dora(client, &history, output).await;
        let well = standing.iter().any(|colour| colour.is_up) && current.is_none();
        if output.json {
            output.document(&json!({
                "colours": standing, "unfinished": current, "history": history, "dora": dora,
                "dora_of": of,
            }))?;
        } else {
            output.table(&["Colour", "Release", "Share", "Up"], rows(&standing))?;
            if let Some(said) = down(&standing, &history) {
                output.line(&said)?;
            }
            if let Some(journey) = &current {
                output.line(&format!(
                    "unfinished: the {} of {} stopped {}; {}",
                    journey.kind,
                    journey.to.name,
                    journey.stage,
                    way_on(journey)
                ))?;
            }
            let last = history.iter().rev().take(10).map(line);
            output.table(
                &["Began", "What", "Release", "Outcome", "Why"],
                last.collect(),
            )?;
            output.line(&format!("{dora} ({of})"))?;
        }
        Ok(if well { Exit::Done } else { Exit::No })
    }
}
