//! Who is told how a run goes on: the incident channel, and the incident's own timeline.

use std::path::Path;

use hub_operate::notify::Notify;
use hub_operate::runbook::{self, Run};
use reqwest::Method;
use serde_json::json;

use crate::client::Client;
use crate::exit::Failure;
use crate::output::Output;

/// Everybody who is told.
#[derive(Debug)]
pub(super) struct Channel {
    notify: Notify,
    client: Client,
}

impl Channel {
    pub(super) fn open(file: Option<&Path>, client: &Client) -> Result<Self, Failure> {
        let notify = file.map(Notify::read).transpose()?;
        Ok(Self {
            notify: notify.unwrap_or_default(),
            client: client.clone(),
        })
    }

    /// Tells them. Whoever cannot be told holds nothing up.
    pub(super) async fn tell(&self, run: &Run, said: &str, output: &Output) {
        let said = runbook::short(said);
        let text = format!("runbook {}: {said} ({})", run.book.name, run.by());
        let body = json!({"kind": "runbook", "id": run.id(), "runbook": run.book.name, "by": run.by(), "said": said,
            "incident": run.incident()});
        for fault in self.notify.tell_run(&body, text.clone()).await {
            output.note(&fault);
        }
        let Some(incident) = run.incident().filter(|_| self.client.has_token()) else {
            return;
        };
        let path = format!("/api/v2/incidents/{incident}");
        let note = self
            .client
            .call(Method::PATCH, &path, Some(json!({ "note": text })));
        if let Err(failure) = note.await {
            output.note(&format!(
                "the incident could not be told: {}",
                failure.error
            ));
        }
    }
}
