//! Events as PostgreSQL's binary COPY: one pass that encodes and hashes, a chunk at a time. Binary, because the
//! server then copies bodies instead of unescaping them and takes times as numbers.

use hub_base::{BatchId, Timestamp};
use hub_events::Event;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Signature, flags, length of the header's extension.
pub(crate) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1 ends the data.
pub(crate) const TRAILER: &[u8] = &[0xff, 0xff];
/// Microseconds from the Unix epoch to PostgreSQL's, the year 2000.
const EPOCH_2000: i64 = 946_684_800_000_000;
const COLUMNS: i16 = 7;

/// Encodes events one by one and keeps the digest over their bodies.
pub(crate) struct Encoder {
    batch: BatchId,
    next: i32,
    body: Vec<u8>,
    hasher: Sha256,
}

impl Encoder {
    pub(crate) fn new(batch: BatchId) -> Self {
        Self {
            batch,
            next: 0,
            body: Vec::with_capacity(1024),
            hasher: Sha256::new(),
        }
    }

    /// Appends one row of the staging table: ordinal, occurred_at, class_uid, product, service, category, body.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, event: &Event) -> Result<(), Error> {
        self.body.clear();
        serde_json::to_writer(&mut self.body, &event.body).map_err(|_| Error::Inconsistent {
            table: "event",
            column: "body",
            id: format!("{}/{}", self.batch, self.next),
        })?;
        self.hasher.update(&self.body);
        self.hasher.update(b"\n");
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        field(out, &self.next.to_be_bytes());
        field(out, &since_2000(event.time).to_be_bytes());
        field(out, &event.class_uid().to_be_bytes());
        text(out, &event.source.product);
        text(out, &event.source.service);
        match &event.source.category {
            Some(category) => text(out, category),
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        // JSON escapes a NUL, so a body never holds the one byte that PostgreSQL cannot.
        field(out, &self.body);
        self.next = self.next.saturating_add(1);
        Ok(())
    }

    pub(crate) fn sha256(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

const fn since_2000(at: Timestamp) -> i64 {
    at.unix_micros().saturating_sub(EPOCH_2000)
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn text(out: &mut Vec<u8>, text: &str) {
    if text.contains('\0') {
        field(out, text.replace('\0', "\u{fffd}").as_bytes());
    } else {
        field(out, text.as_bytes());
    }
}
