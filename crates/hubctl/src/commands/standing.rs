//! How backups stand: what is due, what was missed, how far each repository lies behind; and whoever must know is told.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hub_base::{Clock as _, HumanDuration, SystemClock, Timestamp};
use hub_operate::backup::{self, Due, Info, Kind, Lag, Schedule, Site, Standing};
use hub_operate::disaster::SUBJECT;
use hub_operate::operation::Operation;
use serde_json::json;

use super::backup::tell;
use super::progress::Progress;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Everything at one instant.
struct Look {
    at: Timestamp,
    kinds: Vec<Standing>,
    lags: Vec<Lag>,
    /// Backups that a clock made that was ahead.
    ahead: Vec<String>,
}

impl Look {
    async fn at(site: &Site) -> Result<Self, Failure> {
        let info = if site.is_set_up() {
            backup::list(site).await?
        } else {
            Info::default()
        };
        let at = SystemClock.now();
        let lags = backup::measure(site, &info).await?;
        let drills = site.log()?.all()?.into_iter().rev();
        let mut drills = drills
            // A scenario rehearses a disaster, not the restore of this installation's backups.
            .filter(|record| !record.subject.starts_with(SUBJECT))
            .filter(|record| record.kind == "drill" && record.outcome == "done")
            .map(|record| record.ended);
        let ahead = info.ahead(at).into_iter();
        Ok(Self {
            at,
            kinds: site.config.schedule.standing(&info, drills.next(), at),
            lags,
            ahead: ahead
                .map(|one| format!("{} ({})", one.label, one.stop))
                .collect(),
        })
    }

    /// What somebody must know.
    fn faults(&self) -> Vec<String> {
        let missed = self.kinds.iter().filter(|one| one.is_missed);
        let missed: Vec<&str> = missed.map(|one| one.kind).collect();
        let mut faults = Vec::new();
        if !missed.is_empty() {
            faults.push(format!(
                "missed: no {} backup in time",
                missed.join(", no ")
            ));
        }
        faults.extend(self.lags.iter().filter(|lag| lag.is_late).map(Lag::words));
        if !self.ahead.is_empty() {
            faults.push(format!(
                "a clock was ahead when {} was made: it counts for nothing; set the clocks (NTP)",
                self.ahead.join(", ")
            ));
        }
        faults
    }

    /// In Prometheus' text format.
    fn metrics(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, help: &str, samples: Vec<(String, f64)>| {
            let _infallible = writeln!(
                text,
                "# HELP hub_backup_{name} {help}\n# TYPE hub_backup_{name} gauge"
            );
            for (labels, value) in samples {
                let _infallible = writeln!(text, "hub_backup_{name}{labels} {value}");
            }
        };
        let kinds = |value: fn(&Standing) -> Option<f64>| {
            let samples = self.kinds.iter();
            let sample = |one: &Standing| Some((format!("{{kind=\"{}\"}}", one.kind), value(one)?));
            samples.filter_map(sample).collect::<Vec<_>>()
        };
        let lags = |value: fn(&Lag) -> Option<f64>| {
            let sample = |one: &Lag| {
                Some((
                    format!("{{repository=\"{}\"}}", one.repository),
                    value(one)?,
                ))
            };
            self.lags.iter().filter_map(sample).collect::<Vec<_>>()
        };
        family(
            "looked_timestamp_seconds",
            "When these figures were taken.",
            vec![(String::new(), self.at.unix_seconds() as f64)],
        );
        family(
            "last_timestamp_seconds",
            "When the last good one ended, in the repository that is furthest behind.",
            kinds(|one| one.last.map(|at| at.unix_seconds() as f64)),
        );
        family(
            "missed",
            "1 if none was made in time.",
            kinds(|one| Some(f64::from(u8::from(one.is_missed)))),
        );
        family(
            "repository_up",
            "1 if it answers.",
            lags(|one| Some(f64::from(u8::from(one.away.is_none())))),
        );
        family(
            "lag_seconds",
            "How long the oldest WAL segment that it lacks has been whole.",
            lags(|one| one.behind.map(|behind| behind.0.as_secs_f64())),
        );
        family(
            "lag_segments",
            "Whole WAL segments that it lacks.",
            lags(|one| one.segments.map(|segments| segments as f64)),
        );
        family(
            "lag_bytes",
            "Bytes of WAL that it lacks.",
            lags(|one| one.bytes.map(|bytes| bytes as f64)),
        );
        family(
            "lag_limit_seconds",
            "How far it may lie behind (backup.toml).",
            lags(|one| Some(one.limit.0.as_secs_f64())),
        );
        text
    }

    fn table(&self, output: &Output) -> Result<(), Failure> {
        let since = |last: Option<Timestamp>| {
            last.map_or_else(
                || "never".to_owned(),
                |last| {
                    let old = Duration::from_secs(self.at.since(last).as_secs());
                    format!("{} ago", HumanDuration(old))
                },
            )
        };
        let rows = self.kinds.iter().map(|one| {
            let word = match (one.is_missed, one.is_due) {
                (true, _) => "MISSED",
                (_, true) => "due",
                _ => "in time",
            };
            vec![
                one.kind.to_owned(),
                one.every.to_string(),
                since(one.last),
                output.verdict(!one.is_missed, word),
            ]
        });
        output.table(&["What", "Every", "Last", ""], rows.collect())?;
        lag_table(output, &self.lags)
    }
}

/// How far each repository lies behind.
pub(super) fn lag_table(output: &Output, lags: &[Lag]) -> Result<(), Failure> {
    let row = |lag: &Lag| {
        let figure = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let word = match (&lag.away, lag.is_late) {
            (Some(_), _) => "AWAY",
            (None, true) => "LAGS",
            _ => "in time",
        };
        vec![
            lag.repository.to_string(),
            lag.place.clone(),
            lag.newest_wal.clone().unwrap_or_else(|| "none".to_owned()),
            lag.behind
                .map_or_else(|| "?".to_owned(), |one| one.to_string()),
            figure(lag.segments),
            figure(lag.bytes.map(|bytes| bytes >> 10)),
            output.verdict(!lag.is_late, word),
        ]
    };
    output.table(
        &[
            "Repository",
            "Where",
            "Newest WAL",
            "Behind",
            "Segments",
            "KiB",
            "",
        ],
        lags.iter().map(row).collect(),
    )
}

/// The backup that the schedule asks for now.
pub(super) async fn due_now(site: &Site) -> Result<Option<Kind>, Failure> {
    let look = Look::at(site).await?;
    let backups = look.kinds.into_iter();
    let backups: Vec<_> = backups.filter(|one| one.kind != "drill").collect();
    Ok(match Schedule::due(&backups) {
        Some(Due::Backup(kind)) => Some(kind),
        _ => None,
    })
}

pub(super) async fn scheduled(
    site: &Site,
    metrics: Option<&Path>,
    client: &Client,
    output: &Output,
) -> Result<Exit, Failure> {
    let look = Look::at(site).await?;
    if let Some(path) = metrics {
        written(path, &look.metrics())
            .with_context(|| format!("{}: cannot be written", path.display()))
            .map_err(|error| Failure::new(Exit::Usage, error))?;
    }
    let faults = look.faults();
    if !faults.is_empty() {
        // Whatever is the matter is told as what failed: the hub opens an incident for it.
        let progress = Progress::new();
        let operation = Operation::begin("backup", Arc::new(SystemClock), &progress);
        let record = operation.end("schedule", Some(faults.join("; ")));
        site.log()?.keep(&record)?;
        tell(site, client, output).await?;
    }
    if output.json {
        output.document(&json!({
            "standing": look.kinds,
            "repositories": look.lags,
            "faults": faults,
        }))?;
    } else {
        look.table(output)?;
        for fault in &faults {
            output.line(&output.verdict(false, fault))?;
        }
    }
    Ok(if faults.is_empty() {
        Exit::Done
    } else {
        Exit::No
    })
}

/// Whole or not at all: the collector may read it at any time, under another user.
fn written(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    std::fs::write(&new, text)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644))?;
    std::fs::rename(&new, path)
}
