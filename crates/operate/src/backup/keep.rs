//! Which backups stay: grandfather, father, son, and what a legal hold covers.

use std::collections::BTreeSet;

use hub_base::Timestamp;
use serde::Deserialize;

use super::info::{Backup, Kind};

/// The name of the day, week and so on that a backup belongs to.
type Class = fn(Timestamp) -> String;

/// How many full backups of each class stay. A backup that depends on one that stays, stays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// The newest fulls, whenever they were made.
    pub newest: usize,
    /// The newest full of each of so many days, weeks, months, years that have one.
    pub daily: usize,
    pub weekly: usize,
    pub monthly: usize,
    pub yearly: usize,
    /// Labels of backups under a legal hold: never removed.
    pub hold: BTreeSet<String>,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            newest: 2,
            daily: 7,
            weekly: 5,
            monthly: 12,
            yearly: 0,
            hold: BTreeSet::new(),
        }
    }
}

impl Keep {
    pub(super) fn faults(&self) -> Option<String> {
        (self.newest == 0).then(|| "keep.newest must be at least 1".to_owned())
    }

    /// The labels of the full backups that may go, oldest first, of all that are in one repository.
    pub fn removable(&self, backups: &[Backup]) -> Vec<String> {
        let mut fulls: Vec<&Backup> = backups
            .iter()
            .filter(|backup| backup.kind == Kind::Full)
            .collect();
        fulls.sort_by_key(|backup| std::cmp::Reverse(backup.stop));
        let mut stay: BTreeSet<&str> = BTreeSet::new();
        // One that failed does not count as the newest of anything.
        let good: Vec<&Backup> = fulls.iter().filter(|one| !one.error).copied().collect();
        stay.extend(good.iter().take(self.newest).map(|one| one.label.as_str()));
        let classes: [(usize, Class); 4] = [
            (self.daily, |at| at.to_offset().date().to_string()),
            (self.weekly, |at| {
                let (year, week, _) = at.to_offset().date().to_iso_week_date();
                format!("{year}-{week}")
            }),
            (self.monthly, |at| {
                let date = at.to_offset().date();
                format!("{}-{}", date.year(), u8::from(date.month()))
            }),
            (self.yearly, |at| at.to_offset().date().year().to_string()),
        ];
        for (count, class) in classes {
            let mut seen = BTreeSet::new();
            for one in &good {
                if seen.len() < count && seen.insert(class(one.stop)) {
                    stay.insert(&one.label);
                }
            }
        }
        // A held incremental needs its full: labels of dependants begin with it.
        let held = |label: &str| self.hold.iter().any(|hold| hold.starts_with(label));
        let removable = fulls
            .iter()
            .rev()
            .filter(|one| !stay.contains(one.label.as_str()) && !held(&one.label));
        removable.map(|one| one.label.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(at: &str) -> Backup {
        let stop: Timestamp = at.parse().unwrap();
        let date = stop.to_offset();
        Backup {
            label: format!(
                "{:04}{:02}{:02}-{:02}0000F",
                date.year(),
                u8::from(date.month()),
                date.day(),
                date.hour()
            ),
            kind: Kind::Full,
            start: stop,
            stop,
            size: 0,
            stored: 0,
            error: false,
            repository: 1,
            wal_start: String::new(),
            wal_stop: String::new(),
            postgres: String::new(),
        }
    }

    fn keep(newest: usize, daily: usize, weekly: usize, monthly: usize) -> Keep {
        Keep {
            newest,
            daily,
            weekly,
            monthly,
            yearly: 0,
            hold: BTreeSet::new(),
        }
    }

    #[test]
    fn the_newest_of_each_day_week_and_month_stays() {
        let all: Vec<Backup> = [
            "2026-09-30T02:00:00Z",
            "2026-10-31T02:00:00Z",
            "2026-11-20T02:00:00Z",
            "2026-11-22T02:00:00Z",
            "2026-11-22T14:00:00Z",
            "2026-11-23T02:00:00Z",
        ]
        .map(full)
        .to_vec();
        // 23 November is a Monday: the week before has the 20th and both of the 22nd.
        assert_eq!(
            keep(1, 2, 2, 2).removable(&all),
            ["20260930-020000F", "20261120-020000F", "20261122-020000F"]
        );
        assert_eq!(keep(6, 0, 0, 0).removable(&all), Vec::<String>::new());
    }

    #[test]
    fn a_hold_keeps_a_backup_and_what_it_stands_on() {
        let all = ["2026-11-01T02:00:00Z", "2026-11-23T02:00:00Z"].map(full);
        let mut keep = keep(1, 0, 0, 0);
        assert_eq!(keep.removable(&all), ["20261101-020000F"]);
        keep.hold
            .insert("20261101-020000F_20261101-100000I".to_owned());
        assert!(keep.removable(&all).is_empty());
    }

    #[test]
    fn a_failed_backup_is_not_the_newest_of_anything() {
        let mut all = ["2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z"].map(full);
        all[1].error = true;
        assert_eq!(keep(1, 1, 0, 0).removable(&all), ["20261123-020000F"]);
    }
}
