//! Memory of an idle server, its database's processes not counted, beside a bare axum server's.

use anyhow::Context as _;
use hub_benches::bare::Bare;
use hub_benches::served::Served;
use hub_benches::{Target, report};
use hub_testkit::hub::Setting;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if hub_benches::bare::is_child() {
        return hub_benches::bare::serve().await;
    }
    if hub_benches::served::delegated()? {
        return Ok(());
    }
    let served = Served::start(&Setting::default())?;
    served.enrol().await?;
    let bare = Bare::start("{}")?;
    let (ours, bare) = (resident(served.hub.pid())?, resident(bare.pid())?);
    let details = format!("{ours:.1} MB resident; a bare axum server: {bare:.1} MB");
    let target = Some(Target::AtMost(1.0));
    report("idle memory", ours / 100.0, "its 100 MB", target, &details);
    Ok(())
}

/// `VmRSS` in MB.
fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.context("no VmRSS in /proc")?.parse()?;
    Ok(kib * 1024.0 / 1_000_000.0)
}
