//! The token-signing key exchanged at 500 requests a second on two replicas, each token shown to both. Optimised binaries by
//! `HUB_BIN` and `HUBCTL_BIN`; `make bench-keys` sets them.
#![expect(dead_code, reason = "what the tests share is more than is measured")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program that prints figures or fails"
)]

#[path = "../tests/e2e/keys/site.rs"]
mod site;
#[path = "../tests/e2e/tool.rs"]
mod tool;
#[path = "../tests/e2e/world.rs"]
mod world;

use std::time::{Duration, Instant};

use site::{Load, Site};

/// How long the load runs before and after.
const AROUND: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    for (name, rate) in [
        ("500 requests a second", 500),
        ("as many as are answered", 0),
    ] {
        let site = Site::new().await;
        let load = Load::start(&site.hubs, 24, rate).await;
        tokio::time::sleep(AROUND).await;
        let began = Instant::now();
        site.told(&["rotate", "token-signing"]).await;
        let took = began.elapsed();
        tokio::time::sleep(AROUND).await;
        let report = load.stop().await;
        println!(
            "{name}: exchanged in {:.1} s; {:.0} a second, {} requests, {} failed",
            took.as_secs_f64(),
            report.per_second,
            report.requests,
            report.failures.len()
        );
        assert!(report.failures.is_empty(), "{:?}", report.failures.first());
    }
}
