//! Gates that ask others: pgBackRest for the newest backup, Prometheus for what is left of the error budget.
//!
//! Who cannot be asked has not agreed: a gate without an answer fails.

use std::time::Duration;

use hub_base::{HumanDuration, Timestamp};
use serde::Deserialize;

use super::Check;
use crate::program::{run, succeeded};

/// For an answer.
const ASK: Duration = Duration::from_secs(10);

/// How old the newest backup may be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// What prints `pgbackrest info --output=json`.
    #[serde(default = "pgbackrest")]
    pub command: Vec<String>,
    /// Where an operator of PostgreSQL tells it to Prometheus, it is asked instead.
    pub told_by: Option<Series>,
    pub within: HumanDuration,
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
    pub(super) async fn check(&self, now: Timestamp) -> Check {
        let told = match &self.told_by {
            Some(series) => series.number().await.map(instant),
            None => self.told().await.and_then(|text| newest(&text)),
        };
        let (holds, said) = match told {
            Err(why) => (false, why),
            Ok(at) => {
                let age = HumanDuration(Duration::from_secs(now.since(at).as_secs()));
                let said = format!(
                    "the newest backup ended {age} ago, at most {} is asked for",
                    self.within
                );
                (age.0 <= self.within.0, said)
            }
        };
        Check {
            gate: "backup",
            holds,
            said,
        }
    }

    async fn told(&self) -> Result<String, String> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments);
        let output = run(command, ASK).await;
        let told = output.and_then(|output| succeeded(program, output));
        told.map_err(|error| hub_base::chain(&error))
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
        }
    }

    #[tokio::test]
    async fn the_newest_good_backup_counts() {
        let now = Timestamp::from_unix_seconds(1_763_892_003 + 600);
        let check = printing(INFO, "15m").check(now).await;
        assert!(check.holds, "{}", check.said);
        assert!(!printing(INFO, "5m").check(now).await.holds);
        for (text, why) in [("[]", "no good backup"), ("nonsense", "no answer")] {
            let check = printing(text, "15m").check(now).await;
            assert!(!check.holds && check.said.contains(why), "{}", check.said);
        }
        let absent = Backup {
            command: vec!["/nowhere/pgbackrest".to_owned()],
            told_by: None,
            within: "1h".parse().unwrap(),
        };
        assert!(
            absent
                .check(now)
                .await
                .said
                .contains("could not be started")
        );
    }
}
