//! Events as PostgreSQL's COPY text: one pass that encodes and hashes.

use hub_base::{BatchId, TenantId, Timestamp};
use hub_events::Event;
use sha2::{Digest, Sha256};

use crate::error::Error;

pub(crate) struct Rows {
    pub(crate) text: Vec<u8>,
    pub(crate) sha256: [u8; 32],
}

/// The rows of `event` for COPY, and the digest over their bodies.
pub(crate) fn encode(
    tenant: TenantId,
    batch: BatchId,
    received_at: Timestamp,
    events: &[Event],
) -> Result<Rows, Error> {
    let mut text = Vec::with_capacity(events.len() * 640);
    let mut hasher = Sha256::new();
    let mut body = Vec::with_capacity(1024);
    let head = format!("{tenant}\t{batch}\t");
    let received = received_at.to_string();
    for (ordinal, event) in events.iter().enumerate() {
        body.clear();
        serde_json::to_writer(&mut body, &event.body).map_err(|_| Error::Inconsistent {
            table: "event",
            column: "body",
            id: format!("{batch}/{ordinal}"),
        })?;
        hasher.update(&body);
        hasher.update(b"\n");
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(ordinal.to_string().as_bytes());
        text.push(b'\t');
        text.extend_from_slice(received.as_bytes());
        text.push(b'\t');
        text.extend_from_slice(event.time.to_string().as_bytes());
        text.push(b'\t');
        text.extend_from_slice(event.class_uid().to_string().as_bytes());
        text.push(b'\t');
        escape(&mut text, event.source.product.as_bytes());
        text.push(b'\t');
        escape(&mut text, event.source.service.as_bytes());
        text.push(b'\t');
        match &event.source.category {
            Some(category) => escape(&mut text, category.as_bytes()),
            None => text.extend_from_slice(b"\\N"),
        }
        text.push(b'\t');
        escape(&mut text, &body);
        text.push(b'\n');
    }
    Ok(Rows { text, sha256: hasher.finalize().into() })
}

/// Escapes what COPY's text format reserves. A NUL, which PostgreSQL cannot hold, becomes U+FFFD.
fn escape(out: &mut Vec<u8>, raw: &[u8]) {
    for &byte in raw {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            _ => out.push(byte),
        }
    }
}
