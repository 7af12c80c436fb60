//! What is due, and what was missed.

use hub_base::{HumanDuration, Timestamp};
use serde::Serialize;

use super::age;
use super::config::Schedule;
use super::info::{Info, Kind};

/// What has to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    Backup(Kind),
    Drill,
}

/// How one kind stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub kind: &'static str,
    pub every: HumanDuration,
    /// When the last good one ended.
    pub last: Option<Timestamp>,
    pub is_due: bool,
    /// Later than the grace allows.
    pub is_missed: bool,
}

impl Schedule {
    /// How everything stands: backups by what is in the repositories, the drill by when it last succeeded.
    pub fn standing(&self, info: &Info, drill: Option<Timestamp>, now: Timestamp) -> Vec<Standing> {
        let newest = |kind| info.newest(kind, now).map(|backup| backup.stop);
        // One of the future was made by a clock that is wrong.
        let drill = drill.filter(|at| *at <= now.plus(self.grace.0));
        [
            ("full", self.full, newest(Kind::Full)),
            (
                "differential",
                self.differential,
                newest(Kind::Differential),
            ),
            ("incremental", self.incremental, newest(Kind::Incremental)),
            ("drill", self.drill, drill),
        ]
        .map(|(kind, every, last)| {
            let late = |since: Option<Timestamp>, after| {
                since.is_none_or(|since| age(now, since) >= after)
            };
            // There is nothing to rehearse before the first backup.
            let since = match kind {
                "drill" => last.or_else(|| Some(info.backups.first().map_or(now, |one| one.stop))),
                _ => last,
            };
            Standing {
                kind,
                every,
                last,
                is_due: late(last, every.0),
                is_missed: late(since, every.0 + self.grace.0),
            }
        })
        .to_vec()
    }

    /// What to do now: the fullest backup that is due, or a drill.
    pub fn due(standing: &[Standing]) -> Option<Due> {
        let first = standing.iter().find(|one| one.is_due)?;
        Some(match first.kind {
            "full" => Due::Backup(Kind::Full),
            "differential" => Due::Backup(Kind::Differential),
            "incremental" => Due::Backup(Kind::Incremental),
            _ => Due::Drill,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Backup, Stand};
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_700_000_000 + hours * 3600)
    }

    fn info(backups: &[(Kind, i64)]) -> Info {
        let backup = |&(kind, hours): &(Kind, i64)| Backup {
            label: String::new(),
            kind,
            start: at(hours),
            stop: at(hours),
            size: 0,
            stored: 0,
            error: false,
            repository: 1,
            wal_start: String::new(),
            wal_stop: String::new(),
            postgres: String::new(),
        };
        Info {
            backups: backups.iter().map(backup).collect(),
            repositories: stands(&[1]),
            ..Info::default()
        }
    }

    fn stands(numbers: &[u8]) -> Vec<Stand> {
        let stand = |&repository: &u8| Stand {
            repository,
            ..Stand::default()
        };
        numbers.iter().map(stand).collect()
    }

    #[test]
    fn the_fullest_that_is_due_comes_first() {
        let schedule = Schedule::default();
        let due = |info: &Info, hours| {
            let standing = schedule.standing(info, Some(at(hours)), at(hours));
            Schedule::due(&standing)
        };
        assert_eq!(due(&info(&[]), 0), Some(Due::Backup(Kind::Full)));
        let fresh = info(&[(Kind::Full, 0)]);
        assert_eq!(due(&fresh, 0), None);
        assert_eq!(due(&fresh, 1), Some(Due::Backup(Kind::Incremental)));
        assert_eq!(due(&fresh, 24), Some(Due::Backup(Kind::Differential)));
        assert_eq!(due(&fresh, 24 * 7), Some(Due::Backup(Kind::Full)));
        let both = info(&[(Kind::Full, 0), (Kind::Incremental, 23)]);
        assert_eq!(due(&both, 24), Some(Due::Backup(Kind::Differential)));
        let drill = schedule.standing(&fresh, None, at(0));
        assert_eq!(Schedule::due(&drill), Some(Due::Drill));
    }

    #[test]
    fn missed_is_later_than_the_grace() {
        let schedule = Schedule::default();
        let fresh = info(&[(Kind::Full, 0)]);
        let missed = |hours| {
            let all = schedule.standing(&fresh, Some(at(hours)), at(hours));
            all.iter()
                .filter(|one| one.is_missed)
                .map(|one| one.kind)
                .collect::<Vec<_>>()
        };
        assert!(missed(1).is_empty());
        assert_eq!(missed(2), ["incremental"]);
        assert_eq!(missed(25), ["differential", "incremental"]);
    }
    #[test]
    fn a_backup_is_due_until_every_repository_that_answers_has_it() {
        let mut info = info(&[(Kind::Full, 0), (Kind::Full, 0), (Kind::Incremental, 5)]);
        info.backups[1].repository = 2;
        info.repositories = stands(&[1, 2]);
        let now = at(5);
        let last = |info: &Info| info.newest(Kind::Incremental, now).map(|one| one.stop);
        assert_eq!(last(&info), Some(at(0)));
        info.repositories[1].away = Some("no way to it".to_owned());
        assert_eq!(last(&info), Some(at(5)));
        info.repositories[1].away = None;
        info.backups.remove(1);
        assert_eq!(last(&info), None);
    }

    #[test]
    fn a_clock_that_was_ahead_fools_nobody() {
        let schedule = Schedule::default();
        let made = info(&[(Kind::Full, 0), (Kind::Full, 90 * 24)]);
        let standing = schedule.standing(&made, Some(at(8 * 24)), at(8 * 24));
        assert_eq!(Schedule::due(&standing), Some(Due::Backup(Kind::Full)));
        assert!(standing[0].is_missed);
        assert_eq!(made.ahead(at(8 * 24)).len(), 1);
        assert!(made.ahead(at(90 * 24)).is_empty());
    }
}
