//! What a tenant's exported ledger says.

use serde_json::Value;

use crate::world::Actor;

pub(crate) async fn export(actor: &Actor) -> String {
    match actor.get("/api/v2/ledger/export").await.body {
        Value::String(text) => text,
        other => panic!("not lines: {other}"),
    }
}

#[track_caller]
pub(crate) fn verifies(export: &str) {
    let report =
        hub_ledger::export::verify(export.as_bytes(), &hub_ledger::export::Expect::default());
    assert!(report.is_whole(), "{report:?}");
}

/// The batches of JSON that the ledger names, with how many events each has.
pub(crate) fn batches(export: &str) -> Vec<(String, u64)> {
    export
        .lines()
        .skip(1)
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let body: Value = serde_json::from_str(line["body"].as_str()?).ok()?;
            let batch = &body["body"]["unmapped"]["batch"];
            let batch = if batch.is_null() {
                &body["unmapped"]["batch"]
            } else {
                batch
            };
            (batch["source"] == "json").then(|| {
                Some((
                    batch["uid"].as_str()?.to_owned(),
                    batch["accepted"].as_u64()?,
                ))
            })?
        })
        .collect()
}
