//! Gates that ask others: pgBackRest for the newest backup, Prometheus for what is left of the error budget.
//!
//! Who cannot be asked has not agreed: a gate without an answer fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_base::{HumanDuration, Timestamp};
use serde::Deserialize;

use super::Check;
use crate::disaster::SUBJECT;
use crate::operation::OperationLog;
use crate::program::{run, succeeded};

/// Clocks differ.
const AHEAD: Duration = Duration::from_mins(5);
/// For an answer.
const ASK: Duration = Duration::from_secs(10);

/// How old the newest backup may be, how long ago one was proven, how long ago the last of the WAL was archived.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// What prints `pgbackrest info --output=json`.
    #[serde(default = "pgbackrest")]
    pub command: Vec<String>,
    /// Where an operator of PostgreSQL tells it to Prometheus, it is asked instead.
    pub told_by: Option<Series>,
    pub within: HumanDuration,
    /// When one was last restored and proven (a drill).
    pub proven: Option<Last>,
    /// When a segment of the WAL was last archived: what lies after it would be lost (RPO).
    pub archived: Option<Last>,
}

/// When something last went well, and how long ago that may be. Whoever tells it: one of the three.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    pub within: HumanDuration,
    /// Prometheus, in Unix seconds.
    pub told_by: Option<Series>,
    /// A program that prints it, in Unix seconds or as RFC 3339 has it.
    pub command: Option<Vec<String>>,
    /// The folder in which `hubctl drill` keeps what it did (`DATA_DIR/backup/operations`).
    pub drills: Option<PathBuf>,
}

/// One number in Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Where Prometheus is, such as `http://127.0.0.1:9090`.
    pub prometheus: String,
    /// For a backup: when the newest ended, in Unix seconds.
    pub query: String,
}

fn pgbackrest() -> Vec<String> {
    let words = ["pgbackrest", "--stanza=hub", "--output=json", "info"];
    words.map(ToOwned::to_owned).to_vec()
}

/// What must be left of the error budget.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Where Prometheus is, such as `http://127.0.0.1:9090`.
    pub prometheus: String,
    /// Gives one number: the fraction of the budget that is left.
    pub query: String,
    pub least: f64,
}

impl Backup {
    /// Paths are relative to the file they stand in.
    pub(crate) fn rebase(&mut self, base: &Path) {
        if let Some(drills) = self.proven.as_mut().and_then(|last| last.drills.as_mut()) {
            *drills = base.join(&*drills);
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let both = [("proven", &self.proven), ("archived", &self.archived)];
        let wrong = both.into_iter().filter(|(_, last)| {
            last.as_ref().is_some_and(|last| {
                let told = [
                    last.told_by.is_some(),
                    last.command.is_some(),
                    last.drills.is_some(),
                ];
                told.into_iter().filter(|is| *is).count() != 1
            })
        });
        wrong
            .map(|(name, _)| {
                format!("gates.backup.{name}: give one of `told_by`, `command`, `drills`")
            })
            .chain(self.archived.as_ref().and_then(|last| {
                let what = "gates.backup.archived: a drill archives nothing";
                last.drills.as_ref().map(|_| what.to_owned())
            }))
            .collect()
    }

    pub(super) async fn check(&self, now: Timestamp) -> Vec<Check> {
        let told = match &self.told_by {
            Some(series) => series.number().await.map(instant),
            None => printed(&self.command).await.and_then(|text| newest(&text)),
        };
        let mut checks = vec![since(
            "backup",
            "the newest backup ended",
            told,
            self.within,
            now,
        )];
        if let Some(last) = &self.proven {
            let words = "a backup was last restored and proven";
            checks.push(since(
                "proven backup",
                words,
                last.told().await,
                last.within,
                now,
            ));
        }
        if let Some(last) = &self.archived {
            let words = "the newest archived WAL is of";
            checks.push(since(
                "archived wal",
                words,
                last.told().await,
                last.within,
                now,
            ));
        }
        checks
    }
}

fn since(
    gate: &'static str,
    words: &str,
    told: Result<Timestamp, String>,
    within: HumanDuration,
    now: Timestamp,
) -> Check {
    let (holds, said) = match told {
        Err(why) => (false, why),
        // A clock that is ahead would make everything look fresh.
        Ok(at) if at > now.plus(AHEAD) => (
            false,
            format!("{words} {at}, which is to come: a clock is wrong"),
        ),
        Ok(at) => {
            let age = HumanDuration(Duration::from_secs(now.since(at).as_secs()));
            let said = format!("{words} {age} ago, at most {within} is asked for");
            (age.0 <= within.0, said)
        }
    };
    Check { gate, holds, said }
}

/// What it prints.
async fn printed(command: &[String]) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments);
    let output = run(command, ASK).await;
    let told = output.and_then(|output| succeeded(program, output));
    told.map_err(|error| hub_base::chain(&error))
}

impl Last {
    async fn told(&self) -> Result<Timestamp, String> {
        if let Some(series) = &self.told_by {
            return series.number().await.map(instant);
        }
        if let Some(command) = &self.command {
            let text = printed(command).await?;
            let text = text.trim();
            let unix = text.parse().ok().filter(|unix: &f64| unix.is_finite());
            return match unix {
                Some(unix) => Ok(instant(unix)),
                None => text
                    .parse()
                    .map_err(|_| format!("`{text}` is no time: nothing is known")),
            };
        }
        let folder = self.drills.as_deref().ok_or("nobody tells it")?;
        let log = OperationLog::look(folder).map_err(|error| hub_base::chain(&error))?;
        // A scenario rehearses a disaster, not the restore of this installation's backups.
        let drills = log
            .iter()
            .rev()
            .filter(|one| one.kind == "drill" && !one.subject.starts_with(SUBJECT));
        let good = drills
            .filter(|one| one.outcome == "done")
            .map(|one| one.ended);
        let last = good.into_iter().next();
        last.ok_or_else(|| format!("no drill that went well is in {}", folder.display()))
    }
}

fn instant(unix: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "as good as seconds are")]
    Timestamp::from_unix_seconds(unix as i64)
}

/// What `pgbackrest info --output=json` prints, as far as it is needed.
#[derive(Deserialize)]
struct Stanza {
    #[serde(default)]
    backup: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    error: Option<bool>,
    timestamp: Span,
}

#[derive(Deserialize)]
struct Span {
    /// Unix seconds.
    stop: i64,
}

/// When the newest good backup ended.
fn newest(text: &str) -> Result<Timestamp, String> {
    let told: Vec<Stanza> =
        serde_json::from_str(text).map_err(|error| format!("no answer of pgBackRest: {error}"))?;
    let backups = told.iter().flat_map(|stanza| &stanza.backup);
    let ends = backups
        .filter(|backup| backup.error != Some(true))
        .map(|backup| backup.timestamp.stop);
    let newest = ends.max().ok_or("there is no good backup")?;
    Ok(Timestamp::from_unix_seconds(newest))
}

/// Prometheus' answer to an instant query (HTTP API v1).
#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize, Default)]
struct Data {
    #[serde(default)]
    result: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    /// When, and the number as text.
    value: (f64, String),
}

impl Budget {
    pub(super) async fn check(&self) -> Check {
        let series = Series {
            prometheus: self.prometheus.clone(),
            query: self.query.clone(),
        };
        let (holds, said) = match series.number().await {
            Err(why) => (false, why),
            Ok(left) => (
                left >= self.least,
                format!(
                    "{:.0} % of the error budget is left, {:.0} % asked for",
                    left * 100.0,
                    self.least * 100.0
                ),
            ),
        };
        Check {
            gate: "error budget",
            holds,
            said,
        }
    }
}

impl Series {
    async fn number(&self) -> Result<f64, String> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ASK)
            .build()
            .map_err(|error| error.to_string())?;
        let url = format!("{}/api/v1/query", self.prometheus.trim_end_matches('/'));
        let answer = http.get(url).query(&[("query", &self.query)]).send().await;
        let answer =
            answer.map_err(|_| format!("Prometheus at {} cannot be asked", self.prometheus))?;
        let told: Answer = answer
            .json()
            .await
            .map_err(|_| format!("{} does not answer as Prometheus does", self.prometheus))?;
        if told.status != "success" {
            let why = told.error.unwrap_or_default();
            return Err(format!("Prometheus refused the query: {why}"));
        }
        let [one] = told.data.result.as_slice() else {
            let count = told.data.result.len();
            return Err(format!("the query gives {count} series, not one"));
        };
        let number: Option<f64> = one.value.1.parse().ok();
        // Not a number: nothing was counted, so nothing is known.
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| "the query gives no number: nothing was counted".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As pgBackRest 2.45 prints it, shortened.
    const INFO: &str = r#"[{"archive":[],"backup":[
        {"error":false,"label":"20261123-090000F","timestamp":{"start":1763888400,"stop":1763888405},"type":"full"},
        {"error":true,"label":"20261123-110000F","timestamp":{"start":1763895600,"stop":1763895601},"type":"full"},
        {"error":false,"label":"20261123-090000F_20261123-100000I","timestamp":{"start":1763892000,"stop":1763892003},"type":"incr"}
        ],"cipher":"aes-256-cbc","name":"hub","status":{"code":0,"message":"ok"}}]"#;

    fn printing(text: &str, within: &str) -> Backup {
        Backup {
            command: vec!["printf".to_owned(), "%s".to_owned(), text.to_owned()],
            told_by: None,
            within: within.parse().unwrap(),
            proven: None,
            archived: None,
        }
    }

    /// How that one gate stands.
    async fn gate(backup: &Backup, name: &str, now: Timestamp) -> (bool, String) {
        let mut checks = backup.check(now).await.into_iter();
        let check = checks.find(|check| check.gate == name).unwrap();
        (check.holds, check.said)
    }

    #[tokio::test]
    async fn the_newest_good_backup_counts() {
        let now = Timestamp::from_unix_seconds(1_763_892_003 + 600);
        let at = |text: &str, within: &str| {
            let backup = printing(text, within);
            async move { gate(&backup, "backup", now).await }
        };
        let (holds, said) = at(INFO, "15m").await;
        assert!(holds, "{said}");
        assert!(!at(INFO, "5m").await.0);
        for (text, why) in [("[]", "no good backup"), ("nonsense", "no answer")] {
            let (holds, said) = at(text, "15m").await;
            assert!(!holds && said.contains(why), "{said}");
        }
        let absent = Backup {
            command: vec!["/nowhere/pgbackrest".to_owned()],
            ..printing("", "1h")
        };
        let (_, said) = gate(&absent, "backup", now).await;
        assert!(said.contains("could not be started"), "{said}");
        // A backup of tomorrow tells of a clock, not of a backup.
        let early = Timestamp::from_unix_seconds(1_763_800_000);
        let (holds, said) = gate(&printing(INFO, "15m"), "backup", early).await;
        assert!(!holds && said.contains("a clock is wrong"), "{said}");
    }

    fn last(command: &[&str]) -> Last {
        Last {
            within: "15m".parse().unwrap(),
            told_by: None,
            command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            drills: None,
        }
    }

    #[tokio::test]
    async fn what_was_archived_or_proven_too_long_ago_holds_it_up() {
        let now = Timestamp::from_unix_seconds(1_763_892_600);
        for (printed, holds) in [
            ("1763892000", true),
            ("1763892000.25", true),
            ("1763890000", false),
            ("2025-11-23T10:05:00Z", true),
            ("2025-11-23T09:05:00Z", false),
            ("never", false),
            ("", false),
        ] {
            let backup = Backup {
                archived: Some(last(&["echo", printed])),
                ..printing(INFO, "1d")
            };
            let (found, said) = gate(&backup, "archived wal", now).await;
            assert_eq!(found, holds, "{printed}: {said}");
        }
    }

    #[tokio::test]
    async fn only_a_drill_that_went_well_proves_a_backup() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_unix_seconds(1_763_892_600);
        let backup = Backup {
            proven: Some(Last {
                command: None,
                drills: Some(folder.path().to_owned()),
                ..last(&[])
            }),
            ..printing(INFO, "1d")
        };
        let look = || gate(&backup, "proven backup", now);
        assert!(!look().await.0);
        let log = OperationLog::open(folder.path()).unwrap();
        let ended = |kind: &str, outcome: &str, seconds| crate::operation::Record {
            id: hub_base::OperationId::new(&hub_base::SystemClock),
            kind: kind.to_owned(),
            subject: "latest".to_owned(),
            outcome: outcome.to_owned(),
            why: None,
            began: Timestamp::from_unix_seconds(seconds),
            ended: Timestamp::from_unix_seconds(seconds),
            steps: Vec::new(),
        };
        for (kind, outcome, seconds, holds) in [
            ("backup", "done", 1_763_892_500, false),
            ("drill", "failed", 1_763_892_500, false),
            ("drill", "done", 1_763_890_000, false),
            ("drill", "done", 1_763_892_500, true),
        ] {
            log.keep(&ended(kind, outcome, seconds)).unwrap();
            let (found, said) = look().await;
            assert_eq!(found, holds, "{kind} {outcome}: {said}");
        }
    }

    #[test]
    fn one_and_only_one_tells_it() {
        let mut backup = printing(INFO, "1d");
        assert!(backup.faults().is_empty());
        backup.archived = Some(last(&["true"]));
        assert!(backup.faults().is_empty());
        backup.proven = Some(Last {
            command: None,
            ..last(&[])
        });
        let faults = backup.faults();
        assert!(faults[0].starts_with("gates.backup.proven: "), "{faults:?}");
    }
}
