//! What the loss of a database costs: the pair as it is shipped, a hub on it, people at work. Optimised binaries by `HUB_BIN` and
//! `HUBCTL_BIN`; `make bench-failover` sets them. Fails if a limit is missed or an acknowledged act is lost.
#![expect(dead_code, reason = "what the tests share is more than is measured")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program that prints figures or fails"
)]

#[path = "../tests/e2e/export.rs"]
mod export;
#[path = "../tests/e2e/ha/link.rs"]
mod link;
#[path = "../tests/e2e/ha/load.rs"]
mod load;
#[path = "../tests/e2e/ha/node.rs"]
mod node;
#[path = "../tests/e2e/ha/pair.rs"]
mod pair;
#[path = "../tests/e2e/ha/shipped.rs"]
mod shipped;
#[path = "../tests/e2e/ha/site.rs"]
mod site;
#[path = "../tests/e2e/tool.rs"]
mod tool;
#[path = "../tests/e2e/world.rs"]
mod world;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use site::{Outcome, Site};

const FAILOVER: Duration = Duration::from_secs(30);
const SWITCHOVER: Duration = Duration::from_secs(10);

fn told(name: &str, outcome: &Outcome, limit: Duration, whole: Duration) {
    let (gap, acknowledged) = (outcome.told.gap().as_secs_f64(), outcome.told.count());
    println!(
        "{name:<44} writes again after {gap:>5.1} s (limit {} s) · {acknowledged:>5} acknowledged, {} lost · clients saw {:?} · whole again after {:.1} s",
        limit.as_secs(),
        outcome.lost.len(),
        outcome.told.seen,
        whole.as_secs_f64()
    );
    outcome.expect(limit);
}

/// Patroni stops where it stands; PostgreSQL does not notice.
fn hang(node: &node::Node) {
    let process = i32::try_from(node.process.as_ref().unwrap().id()).unwrap();
    kill(Pid::from_raw(process), Signal::SIGSTOP).unwrap();
}

#[tokio::main]
async fn main() {
    let mut site = Site::new().await;
    let mut leader = 0;
    let other = |leader: usize| 1 - leader;

    for _ in 0..2 {
        let outcome = site
            .under_load(async |site| {
                site.pair.nodes[leader].kill();
                site.pair.leads(other(leader)).await;
            })
            .await;
        let began = Instant::now();
        site.pair.nodes[leader].start();
        leader = other(leader);
        site.pair.is_whole(leader).await;
        told(
            "kill -9 of PostgreSQL and Patroni",
            &outcome,
            FAILOVER,
            began.elapsed(),
        );
    }

    let outcome = site
        .under_load(async |site| {
            site.pair.nodes[leader].kill_postgres();
            site.pair.leads(other(leader)).await;
        })
        .await;
    let began = Instant::now();
    leader = other(leader);
    site.pair.is_whole(leader).await;
    told(
        "kill -9 of PostgreSQL alone",
        &outcome,
        FAILOVER,
        began.elapsed(),
    );

    let outcome = site
        .under_load(async |site| {
            hang(&site.pair.nodes[leader]);
            site.pair.leads(other(leader)).await;
        })
        .await;
    let began = Instant::now();
    // As its watchdog would have done long ago.
    site.pair.nodes[leader].kill();
    site.pair.nodes[leader].start();
    leader = other(leader);
    site.pair.is_whole(leader).await;
    told(
        "Patroni hangs, PostgreSQL beside it does not",
        &outcome,
        FAILOVER,
        began.elapsed(),
    );

    let outcome = site
        .under_load(async |site| {
            site.pair.cut_off(leader);
            site.pair.leads(other(leader)).await;
        })
        .await;
    let began = Instant::now();
    site.pair.mend(leader);
    leader = other(leader);
    site.pair.is_whole(leader).await;
    told(
        "leader cut off from etcd and its partner",
        &outcome,
        FAILOVER,
        began.elapsed(),
    );

    let outcome = site
        .under_load(async |site| {
            let to = site.pair.nodes[other(leader)].name;
            site.told(&["switchover", "--confirm", to]).await;
        })
        .await;
    leader = other(leader);
    let began = Instant::now();
    site.pair.is_whole(leader).await;
    told(
        "hubctl database switchover",
        &outcome,
        SWITCHOVER,
        began.elapsed(),
    );

    let outcome = site
        .under_load(async |site| {
            site.pair.nodes[other(leader)].kill();
        })
        .await;
    let began = Instant::now();
    site.pair.nodes[other(leader)].start();
    site.pair.is_whole(leader).await;
    told("the standby is lost", &outcome, FAILOVER, began.elapsed());
}
