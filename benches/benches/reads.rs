//! Authenticated reads over kept HTTP connections beside a bare axum handler that answers the same bytes.

use std::time::Duration;

use hub_benches::bare::Bare;
use hub_benches::client::{Run, get};
use hub_benches::served::Served;
use hub_benches::{Target, quantile, report, size};
use hub_testkit::hub::Setting;

const CONNECTIONS: usize = 8;
/// Turns of each, one after the other, so that other work on the machine meets all alike.
const TURNS: usize = 4;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if hub_benches::bare::is_child() {
        return hub_benches::bare::serve().await;
    }
    if hub_benches::served::delegated()? {
        return Ok(());
    }
    let requests = size("HUB_BENCH_REQUESTS", 80_000)?;
    // The limit per credential would be what is measured otherwise.
    let setting = Setting::default()
        .with("HUB_LIMITS_REQUESTS_PER_SECOND", "1000000")
        .with("HUB_LIMITS_BURST", "1000000");
    let served = Served::start(&setting)?;
    served.enrol().await?;
    let token = served.sign_in().await?;
    let url = format!("{}/api/v2/me", served.hub.url);
    let answer = served.http.get(url).bearer_auth(&token).send().await?;
    let bare = Bare::start(&answer.error_for_status()?.text().await?)?;

    let hub = (served.hub.address(), served.hub.pid());
    let reference = (bare.address.as_str(), bare.pid());
    let each = requests.div_ceil(TURNS);
    let (mut me, mut users, mut plain) = (Sum::default(), Sum::default(), Sum::default());
    for _ in 0..TURNS {
        plain.add(reference, "/", &token, each)?;
        me.add(hub, "/api/v2/me", &token, each)?;
        users.add(hub, "/api/v2/users?limit=20", &token, each.div_ceil(8))?;
    }
    let target = Some(Target::AtLeast(0.5));
    me.report("read", &plain, target);
    users.report("read from the database", &plain, None);
    Ok(())
}

#[derive(Default)]
struct Sum {
    requests: usize,
    spent: Duration,
    latencies: Vec<Duration>,
    /// Processor time of the server.
    worked: Duration,
}

impl Sum {
    fn add(
        &mut self,
        (address, pid): (&str, u32),
        path: &str,
        token: &str,
        requests: usize,
    ) -> anyhow::Result<()> {
        let before = hub_benches::process_time(pid)?;
        let Run {
            requests,
            spent,
            latencies,
        } = get(address, path, token, CONNECTIONS, requests)?;
        self.worked += hub_benches::process_time(pid)?.saturating_sub(before);
        self.requests += requests;
        self.spent += spent;
        self.latencies.extend(latencies);
        self.latencies.sort_unstable();
        Ok(())
    }

    fn rate(&self) -> f64 {
        hub_benches::rate(self.requests, self.spent)
    }

    /// Microseconds of the server's processor time that a request takes.
    fn work(&self) -> f64 {
        self.worked.as_secs_f64() * 1e6 / self.requests as f64
    }

    fn report(&self, name: &str, bare: &Self, target: Option<Target>) {
        let details = format!(
            "{} requests over {CONNECTIONS} connections; {:.1} k/s vs {:.1} k/s; p99 {:.2} ms vs {:.2} ms; \
             server's processor time {:.0} µs vs {:.0} µs each",
            self.requests,
            self.rate() / 1000.0,
            bare.rate() / 1000.0,
            quantile(&self.latencies, 0.99).as_secs_f64() * 1e3,
            quantile(&bare.latencies, 0.99).as_secs_f64() * 1e3,
            self.work(),
            bare.work(),
        );
        report(
            name,
            self.rate() / bare.rate(),
            "bare axum",
            target,
            &details,
        );
    }
}
