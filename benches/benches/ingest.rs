//! Durable ingest of generated events beside a raw COPY of the same rows into the same cluster.

use hub_benches::{Target, rate, report, size};

const BATCH: usize = 10_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let events = size("HUB_BENCH_EVENTS", 1_000_000)?;
    let figures = hub_testkit::measure_ingest(events.div_ceil(BATCH), BATCH, 2).await?;
    let details = format!(
        "{} rows; {:.0} k/s vs {:.0} k/s",
        figures.rows,
        rate(figures.rows, figures.ingest) / 1000.0,
        rate(figures.rows, figures.raw_copy) / 1000.0,
    );
    let target = Some(Target::AtLeast(0.6));
    report("ingest", figures.ratio(), "raw COPY", target, &details);
    Ok(())
}
