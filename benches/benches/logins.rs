//! Sign-ins through the public door beside bare Argon2id on as many threads.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use hub_benches::served::{PASSWORD, Served};
use hub_benches::{Target, cores, process_time, rate, report, size};
use hub_testkit::hub::Setting;
use serde_json::json;

/// OWASP's parameters, which the server uses too.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// Sign-ins on their way at once: enough that no hashing thread waits.
const AT_ONCE: usize = 8;
/// How often the two take turns.
const TURNS: usize = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if hub_benches::served::delegated()? {
        return Ok(());
    }
    let logins = size("HUB_BENCH_LOGINS", 400)?;
    let served = Served::start(&Setting::default())?;
    served.enrol().await?;
    through_the_door(&served, 20).await?;
    // By turns, so that other work on the machine meets both alike.
    let (mut bare, mut ours, mut client) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let each = logins.div_ceil(TURNS);
    for _ in 0..TURNS {
        bare += argon2id(each)?;
        let before = process_time(std::process::id())?;
        ours += through_the_door(&served, each).await?;
        client += process_time(std::process::id())?.saturating_sub(before);
    }
    let (ours, bare) = (rate(TURNS * each, ours), rate(TURNS * each, bare));
    // The client runs on the same processors, and people's browsers would not: what it spends, the threads that hash
    // could not have had.
    let client = client.as_secs_f64() / (f64::from(u32::try_from(TURNS * each)?) / ours);
    let left = 1.0 - client / f64::from(u32::try_from(cores())?);
    // A login may cost 1.1 times the bare hash: 0.91 of its rate.
    let target = Some(Target::AtLeast(1.0 / 1.1));
    let details = format!(
        "{} logins; {ours:.1}/s vs {bare:.1}/s on all processors, of which the client left {left:.3}",
        TURNS * each
    );
    report(
        "logins",
        ours / (bare * left),
        "bare Argon2id",
        target,
        &details,
    );
    Ok(())
}

async fn through_the_door(served: &Served, logins: usize) -> anyhow::Result<Duration> {
    let body = json!({"tenant": "system", "username": "root", "password": PASSWORD});
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for client in 0..AT_ONCE {
        let turns = logins / AT_ONCE + usize::from(client < logins % AT_ONCE);
        let (http, url, body) = (served.http.clone(), served.hub.url.clone(), body.clone());
        running.spawn(async move {
            for _ in 0..turns {
                let answer = http.post(format!("{url}/api/v2/login")).json(&body);
                answer.send().await?.error_for_status()?.bytes().await?;
            }
            Ok::<_, reqwest::Error>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done.context("a client failed")??;
    }
    Ok(started.elapsed())
}

/// Each thread with memory of its own that it keeps, as the server's threads do.
fn argon2id(times: usize) -> anyhow::Result<Duration> {
    let threads = cores();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|n| {
                let turns = times / threads + usize::from(n < times % threads);
                scope.spawn(move || hash(turns))
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread failed"))?)
    })?;
    Ok(started.elapsed())
}

fn hash(times: usize) -> anyhow::Result<()> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(anyhow::Error::msg)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = vec![Block::default(); MEMORY_KIB as usize];
    let mut out = [0; 32];
    for _ in 0..times {
        argon2
            .hash_password_into_with_memory(PASSWORD.as_bytes(), &[7; 16], &mut out, &mut memory)
            .map_err(anyhow::Error::msg)?;
        std::hint::black_box(&out);
    }
    Ok(())
}
