//! What is decided of a copy: of whole tables, and of single rows. A file that `compare` writes and a person edits.

use std::collections::BTreeMap;
use std::path::Path;

use hub_base::plain;
use serde::Deserialize;
use toml::Spanned;

use super::compare::{Comparison, Row, Side};
use super::repo::rules::{May, Rule};
use super::rule;
use super::shape::Table;
use crate::error::Error;

/// A decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum What {
    /// What is live stays.
    #[default]
    Live,
    /// The same; for what is decided later.
    Skip,
    /// Rows that are missing are added.
    Missing,
    /// The same, and rows that differ are put back.
    Backup,
}

impl What {
    const ALL: [Self; 4] = [Self::Live, Self::Skip, Self::Missing, Self::Backup];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Skip => "skip",
            Self::Missing => "missing",
            Self::Backup => "backup",
        }
    }

    const fn takes(self) -> bool {
        matches!(self, Self::Missing | Self::Backup)
    }
}

impl std::str::FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|what| what.name() == text)
            .ok_or_else(|| format!("`{text}` is no decision (live, skip, missing or backup)"))
    }
}

/// Everything that was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions {
    /// Of tables that are not named.
    pub(super) others: What,
    pub(super) tables: BTreeMap<String, What>,
    /// Of a table, of a row.
    pub(super) rows: Vec<(String, String, What)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    copy: Spanned<String>,
    #[serde(default)]
    tables: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    rows: BTreeMap<String, BTreeMap<String, Spanned<String>>>,
}

impl Decisions {
    /// The same for every table.
    pub fn all(what: What) -> Self {
        Self {
            others: what,
            ..Self::default()
        }
    }

    /// # Errors
    /// [`Error::Configuration`] with every fault and its line.
    pub fn read(path: &Path, copy: &str) -> Result<Self, Error> {
        let fault = |what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text, copy).map_err(|faults| fault(faults.join("\n")))
    }

    fn parse(text: &str, copy: &str) -> Result<Self, Vec<String>> {
        let file: File =
            toml::from_str(text).map_err(|error| vec![error.to_string().trim_end().to_owned()])?;
        let mut faults = Vec::new();
        let line = |at: std::ops::Range<usize>| {
            let before = text.get(..at.start).unwrap_or_default();
            before.matches('\n').count() + 1
        };
        if file.copy.get_ref() != copy {
            faults.push(format!(
                "line {}: it was written for `{}`, not for `{copy}`",
                line(file.copy.span()),
                file.copy.get_ref()
            ));
        }
        let mut decisions = Self::default();
        let mut word = |word: &Spanned<String>| match word.get_ref().parse() {
            Ok(what) => Some(what),
            Err(why) => {
                faults.push(format!("line {}: {why}", line(word.span())));
                None
            }
        };
        for (table, text) in &file.tables {
            let what = word(text);
            decisions
                .tables
                .extend(what.map(|what| (table.clone(), what)));
        }
        for (table, rows) in &file.rows {
            for (key, text) in rows {
                let what = word(text);
                decisions
                    .rows
                    .extend(what.map(|what| (table.clone(), key.clone(), what)));
            }
        }
        if faults.is_empty() {
            Ok(decisions)
        } else {
            Err(faults)
        }
    }

    pub(super) fn of(&self, table: &str) -> What {
        self.tables.get(table).copied().unwrap_or(self.others)
    }

    /// What cannot be done whatever the rows are.
    pub(super) fn faults(&self, tables: &[Table], is_lost: bool) -> Vec<String> {
        let named = self.tables.iter().map(|(table, what)| (table, None, *what));
        let rows = self
            .rows
            .iter()
            .map(|(table, key, what)| (table, Some(key), *what));
        let mut faults = Vec::new();
        for (table, key, what) in named.chain(rows) {
            let place = key.map_or_else(|| table.clone(), |key| format!("{table} {key}"));
            if !tables.iter().any(|one| one.name == *table) {
                faults.push(format!("{place}: there is no such table of tenants"));
                continue;
            }
            let Rule { may, why, .. } = rule(table, is_lost);
            match (may, what) {
                (May::Compare, what) if what.takes() => {
                    faults.push(format!("{place}: is only compared: {why}"));
                }
                (May::Add, What::Backup) if key.is_none() => {
                    faults.push(format!("{place}: use `missing`: {why}"));
                }
                _ => {}
            }
        }
        faults
    }
}

/// The file to edit: nothing is taken as it stands.
pub fn template(comparison: &Comparison) -> String {
    let mut text = format!(
        "# What becomes of what {copy} holds of `{tenant}` as of {point}.\n\
         # \"live\": what is live stays.  \"skip\": the same, to be decided later.\n\
         # \"missing\": rows that are missing are added.  \"backup\": and rows that differ are put back.\n\
         # What was made since the backup always stays.\n\
         copy = {}\n\n[tables]\n",
        quoted(&comparison.copy.name),
        copy = plain(&comparison.copy.name),
        tenant = plain(&comparison.copy.tenant),
        point = plain(&comparison.copy.point),
    );
    for table in comparison
        .tables
        .iter()
        .filter(|table| table.is_different())
    {
        let line = format!(
            "{} only in the backup, {} differ, {} only live",
            table.only_backup, table.differ, table.only_live
        );
        let name = quoted(&table.name);
        let entry = if table.only_compared {
            format!("# {name}: {line}; only compared: {}\n", table.why)
        } else {
            format!("{name} = \"live\"  # {line}\n")
        };
        text.push_str(&entry);
    }
    for table in comparison
        .tables
        .iter()
        .filter(|table| !table.only_compared)
    {
        let can = |row: &&Row| match row.side {
            Side::Backup => true,
            Side::Differs => !table.only_added,
            Side::Live => false,
        };
        let rows = table.rows.iter().filter(can);
        let rows: Vec<String> = rows
            .map(|row| {
                let label = row.label.as_deref().map(plain).unwrap_or_default();
                let changed: Vec<&str> = row.changed.keys().map(String::as_str).collect();
                let key = quoted(&row.key);
                let about = format!("{} {label} {}", row.side.name(), changed.join(", "));
                match &row.own {
                    Some(why) => format!(
                        "{key} = \"live\"  # {}; only by this line: {}\n",
                        about.trim(),
                        plain(why)
                    ),
                    None => format!("# {key} = \"backup\"  # {}\n", about.trim()),
                }
            })
            .collect();
        if !rows.is_empty() {
            let part = format!("\n[rows.{}]\n{}", quoted(&table.name), rows.concat());
            text.push_str(&part);
        }
    }
    text
}

/// As TOML writes it.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| match letter {
            '"' | '\\' => format!("\\{letter}"),
            letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
            letter => letter.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_with_its_line() {
        let text = "copy = \"restored_other_1\"\n[tables]\nrole = \"perhaps\"\napp_user = \"missing\"\n[rows.api_key]\n\"k\" = \"\"\n";
        let faults = Decisions::parse(text, "restored_acme_1").unwrap_err();
        assert_eq!(
            faults,
            [
                "line 1: it was written for `restored_other_1`, not for `restored_acme_1`",
                "line 3: `perhaps` is no decision (live, skip, missing or backup)",
                "line 6: `` is no decision (live, skip, missing or backup)",
            ]
        );
        assert!(Decisions::parse("copy = 1", "a").is_err());
        assert!(Decisions::parse("copy = \"a\"\nwhat = 1", "a").is_err());
    }

    #[test]
    fn a_decision_of_a_row_goes_before_its_tables() {
        let text =
            "copy = \"a\"\n[tables]\nrole = \"missing\"\n[rows.role]\nauditor = \"backup\"\n";
        let decisions = Decisions::parse(text, "a").unwrap();
        assert_eq!(decisions.of("role"), What::Missing);
        assert_eq!(decisions.of("app_user"), What::Live);
        assert_eq!(
            decisions.rows,
            [("role".to_owned(), "auditor".to_owned(), What::Backup)]
        );
        assert_eq!(Decisions::all(What::Missing).of("app_user"), What::Missing);
    }

    proptest::proptest! {
        #[test]
        fn a_key_reads_back_as_it_was(key in ".*") {
            let text = format!("copy = \"a\"\n[rows.role]\n{} = \"live\"\n", quoted(&key));
            let decisions = Decisions::parse(&text, "a").unwrap();
            proptest::prop_assert_eq!(&decisions.rows[0].1, &key);
        }

        #[test]
        fn a_comment_stays_one(label in ".*") {
            let text = format!("copy = \"a\"\n# {}\n", plain(&label));
            proptest::prop_assert_eq!(Decisions::parse(&text, "a").unwrap(), Decisions::default());
        }
    }
}
