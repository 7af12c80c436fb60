//! What the benchmarks share: how a figure is printed, whose processor time was spent, a served hub, an HTTP client.
//!
//! A figure is a ratio against a named reference in the same run on the same machine, since only ratios travel.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing figures is what benchmarks are for"
)]

pub mod bare;
pub mod client;
pub mod served;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::resource::{UsageWho, getrusage};

/// Prints `name: 0.78 of reference (details; n cores)`, and whether the target is met.
pub fn report(name: &str, ratio: f64, reference: &str, target: Option<Target>, details: &str) {
    let verdict = match target {
        None => String::new(),
        Some(target) if target.holds(ratio) => format!("; target {target}"),
        Some(target) => format!("; MISSES its target {target}"),
    };
    println!(
        "{name}: {ratio:.2} of {reference} ({details}; {} cores{verdict})",
        cores()
    );
}

/// What a ratio must be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound:.2}"),
            Self::AtMost(bound) => write!(f, "at most {bound:.2}"),
        }
    }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A size from the environment.
///
/// # Errors
/// If it is set and no whole number above 0.
pub fn size(variable: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => text
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .with_context(|| format!("{variable}: `{text}` is not a whole number above 0")),
    }
}

/// Processor time of the calling thread, user and system.
///
/// # Errors
/// If the system does not tell.
pub fn thread_time() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let (user, system) = (usage.user_time(), usage.system_time());
    let micros = (user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

/// Processor time of a process so far, user and system, in steps of 10 ms.
///
/// # Errors
/// If there is no such process.
pub fn process_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may hold anything; user and system time are the 14th and 15th field of all.
    let (_, rest) = stat
        .rsplit_once(") ")
        .context("/proc/PID/stat has no name")?;
    let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// Per second.
pub fn rate(count: usize, spent: Duration) -> f64 {
    count as f64 / spent.as_secs_f64()
}

/// The value below which `share` of the sorted times are.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len() as f64 * share) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// A folder of the foreign test data (`HUB_SHARED_DATA`); says loudly when it is not there.
pub fn shared(bench: &str, path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HUB_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let folder = root.join(path);
    if folder.exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {bench}: no ../shared/data/{path}");
    None
}
