//! Offline verification of an exported ledger beside bare RFC 9162 hashing of the same bodies.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::ensure;
use hub_base::SystemClock;
use hub_benches::{Target, rate, report, size};
use hub_ledger::export::{Expect, FORMAT, Header, Line};
use hub_ledger::{Checkpoint, Frontier, Hash, VerifierKey, leaf_hash, verify};
use hub_vault::{KeyRing, NoteSigner};
use serde_json::json;

const CHUNK: usize = 10_000;

fn main() -> anyhow::Result<()> {
    let entries = size("HUB_BENCH_ENTRIES", 1_000_000)?;
    let (export, hashing) = export(entries)?;
    let started = Instant::now();
    let verified = verify(export.as_bytes(), &Expect::default());
    let spent = started.elapsed();
    ensure!(
        verified.is_whole(),
        "the export does not verify: {:?}",
        verified.faults
    );
    let details = format!(
        "{entries} entries, {} MB; {:.0} k/s vs {:.0} k/s",
        export.len() / 1_000_000,
        rate(entries, spent) / 1000.0,
        rate(entries, hashing) / 1000.0,
    );
    let ratio = hashing.as_secs_f64() / spent.as_secs_f64();
    report(
        "ledger verify",
        ratio,
        "bare RFC 9162 hashing",
        None,
        &details,
    );
    let per_million = spent.as_secs_f64() * 1_000_000.0 / entries as f64;
    let details = format!("{per_million:.2} s per million entries");
    let target = Some(Target::AtMost(1.0));
    report(
        "ledger verify, 1 M entries",
        per_million / 10.0,
        "its 10 s",
        target,
        &details,
    );
    Ok(())
}

/// An export of so many entries, and how long hashing their bodies alone took.
fn export(entries: usize) -> anyhow::Result<(String, Duration)> {
    let (mut lines, mut tree, mut hashing) = (String::new(), Frontier::default(), Duration::ZERO);
    for start in (0..entries).step_by(CHUNK) {
        let bodies: Vec<(String, String)> = (start..entries.min(start + CHUNK)).map(body).collect();
        let started = Instant::now();
        let leaves: Vec<Hash> = bodies
            .iter()
            .map(|(_, body)| leaf_hash(body.as_bytes()))
            .collect();
        for leaf in &leaves {
            tree.push(*leaf);
        }
        hashing += started.elapsed();
        for (n, ((id, body), leaf)) in bodies.iter().zip(&leaves).enumerate() {
            let line = Line {
                index: (start + n) as u64,
                id: id.into(),
                leaf: leaf.to_string().into(),
                body: body.into(),
            };
            writeln!(lines, "{}", serde_json::to_string(&line)?)?;
        }
    }
    let signer = NoteSigner::checkpoints(&KeyRing::generate(&SystemClock)?, "bench")?;
    let checkpoint = Checkpoint {
        origin: "security-hub/bench".to_owned(),
        size: entries as u64,
        root: tree.root(),
    };
    let header = Header {
        format: FORMAT.to_owned(),
        tenant: "bench".to_owned(),
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        key: VerifierKey::of(&signer)?.to_string(),
        checkpoint: checkpoint.sign(&signer)?,
        successions: Vec::new(),
    };
    Ok((
        format!("{}\n{lines}", serde_json::to_string(&header)?),
        hashing,
    ))
}

/// An entry's id and text, such as a refused sign-in makes.
fn body(n: usize) -> (String, String) {
    let id = format!("01932f00-0000-7000-8000-{n:012x}");
    let body = json!({
        "class_uid": 3002, "class_name": "Authentication", "category_uid": 3, "activity_id": 1,
        "type_uid": 300_201, "time": 1_700_000_000_000_u64 + n as u64, "severity_id": 1, "status_id": 2,
        "status": "Failure", "status_detail": "invalid_credentials",
        "metadata": {"version": "1.8.0", "uid": id, "log_provider": "security_hub", "log_name": "auth",
            "product": {"name": "Security Hub", "vendor_name": "Security Hub"}},
        "user": {"name": format!("user{}", n % 997)},
        "src_endpoint": {"ip": format!("198.51.{}.{}", n / 251 % 251, n % 251)},
        "http_request": {"user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
    });
    (id, body.to_string())
}
