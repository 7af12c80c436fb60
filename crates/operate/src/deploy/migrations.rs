//! Which migrations a release would apply, and whether the linter found that all of them only expand.
//!
//! The linter's report comes with the release, under its seal; what the database has, the target says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Check, Standing};
use crate::error::Error;
use crate::release::{LINT, Release};

/// What the linter said of a release's migrations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// Each one's name, in order.
    pub migrations: Vec<String>,
    /// What is wrong with them, one line each.
    pub faults: Vec<String>,
    /// Those that take away (contract), and the number of the newest migration that the oldest release knows which can live
    /// with each.
    #[serde(default)]
    pub needs: BTreeMap<String, u32>,
}

impl Report {
    /// The number of the newest migration that the release knows.
    fn newest(&self) -> Option<u32> {
        let numbers = self.migrations.iter();
        numbers
            .filter_map(|name| name.split('_').next()?.parse().ok())
            .max()
    }

    /// The release's, if it has one.
    ///
    /// # Errors
    /// [`Error::Release`] if it is no report.
    pub fn of(release: &Release) -> Result<Option<Self>, Error> {
        let fault = |what: String| Error::Release {
            dir: release.dir.clone(),
            what: format!("its `{LINT}` {what}"),
        };
        if !release.has_lint {
            return Ok(None);
        }
        let text = fs::read_to_string(release.dir.join(LINT))
            .map_err(|error| fault(format!("cannot be read: {error}")))?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| fault(format!("is no report: {error}")))
    }
}

/// The migrations that are to come, as the server's plan prints them.
///
/// # Errors
/// The line that says that what the database has is not what the release knows.
pub(crate) fn to_come(plan: &str) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for line in plan.lines() {
        let Some((name, word)) = line.split_once("  ") else {
            continue;
        };
        match word.trim() {
            "to come" => names.push(name.to_owned()),
            "applied" => {}
            _ => return Err(Error::Migrations(line.to_owned())),
        }
    }
    Ok(names)
}

/// The gate. Where the target cannot tell what the database has, what the running release does not know is to come.
pub fn check(
    release: &Release,
    standing: &[Standing; 2],
    pending: Result<Option<Vec<String>>, Error>,
    demanded: bool,
) -> Check {
    let report = Report::of(release);
    let (pending, trouble) = match (pending, &report) {
        (Ok(Some(pending)), _) => (Some(pending), None),
        (Ok(None), Ok(Some(report))) => (Some(unknown_to_live(report, standing)), None),
        (Ok(None), _) => (None, None),
        (Err(error), _) => (None, Some(error)),
    };
    let unlinted = |report: &Report| {
        let names = pending.iter().flatten();
        names
            .filter(|name| !report.migrations.contains(name))
            .cloned()
            .collect::<Vec<_>>()
    };
    let (is_good, lint) = match &report {
        Err(error) => (false, error.to_string()),
        Ok(None) => (!demanded, "the release has no linter's report".to_owned()),
        Ok(Some(report)) if !report.faults.is_empty() => (
            false,
            format!("the linter refuses: {}", report.faults.join("; ")),
        ),
        Ok(Some(report)) => match unlinted(report) {
            missing if missing.is_empty() => {
                match unfit(release, report, pending.as_deref(), standing, demanded) {
                    Ok(words) => (true, format!("linted: {words}")),
                    Err(why) => (false, why),
                }
            }
            missing => (false, format!("not linted: {}", missing.join(", "))),
        },
    };
    let is_changed = matches!(trouble, Some(Error::Migrations(_)));
    let coming = match (&pending, trouble) {
        (_, Some(error)) => format!("what is to come is not known: {error}"),
        (None, None) => "what is to come is not known here".to_owned(),
        (Some(names), None) if names.is_empty() => "none to come".to_owned(),
        (Some(names), None) => format!("{} to come: {}", names.len(), names.join(", ")),
    };
    Check {
        gate: "migrations",
        holds: is_good && !is_changed && (pending.is_some() || !demanded),
        said: format!("{coming}; {lint}"),
    }
}

/// Whether something that is to come takes away what the running release still uses; where nobody knows what it uses, that
/// counts if it was asked for.
fn unfit(
    release: &Release,
    report: &Report,
    pending: Option<&[String]>,
    standing: &[Standing; 2],
    demanded: bool,
) -> Result<&'static str, String> {
    let needs: Vec<(&String, u32)> = pending
        .unwrap_or_default()
        .iter()
        .filter_map(|name| Some((name, *report.needs.get(name)?)))
        .collect();
    if needs.is_empty() {
        return Ok("all only expand");
    }
    if Standing::live(standing).is_none() {
        return Ok("nothing runs that could use what is taken away");
    }
    // In a folder that was filled anew, the report is not of what runs.
    let live = of_live(standing).filter(|(dir, _)| *dir != release.dir);
    let Some(newest) = live.and_then(|(_, report)| report.newest()) else {
        let why = "what the running release uses is not known here: its folder has no report, or is filled anew";
        return if demanded {
            Err(why.to_owned())
        } else {
            Ok(why)
        };
    };
    let unfit: Vec<String> = needs
        .iter()
        .filter(|(_, needs)| newest < *needs)
        .map(|(name, needs)| format!("{name} takes away what a release without {needs:04} uses"))
        .collect();
    if unfit.is_empty() {
        return Ok("nothing that runs uses what is taken away");
    }
    Err(format!(
        "{}; the running one knows {newest:04} at most: bring in a release in between first",
        unfit.join(", ")
    ))
}

/// The report of the release that runs, and the folder it is in.
fn of_live(standing: &[Standing; 2]) -> Option<(PathBuf, Report)> {
    let dir = Standing::live(standing)?.release.clone()?;
    let live = Release::open(Path::new(&dir), None).ok()?;
    let report = Report::of(&live).ok().flatten()?;
    Some((live.dir, report))
}

fn unknown_to_live(report: &Report, standing: &[Standing; 2]) -> Vec<String> {
    let known = of_live(standing).map(|(_, report)| report.migrations);
    let known = known.unwrap_or_default();
    let names = report.migrations.iter();
    names
        .filter(|name| !known.contains(name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::Colour;

    fn release(dir: &std::path::Path, report: Option<&str>) -> Release {
        if let Some(report) = report {
            fs::write(dir.join(LINT), report).unwrap();
        }
        Release {
            dir: dir.to_owned(),
            version: "1".to_owned(),
            commit: "c".to_owned(),
            built: "b".to_owned(),
            digest: "0".repeat(64),
            image: None,
            has_server: true,
            has_scan: false,
            has_lint: report.is_some(),
            signed: false,
            has_sbom: false,
        }
    }

    #[test]
    fn a_plan_says_what_is_to_come_and_what_was_changed() {
        let plan = "0001_a  applied\n0002_b  to come\n0003_c  to come\n";
        assert_eq!(to_come(plan).unwrap(), ["0002_b", "0003_c"]);
        assert_eq!(to_come("").unwrap(), Vec::<String>::new());
        let changed = "0001_a  applied, with another text than this release's\n0002_b  to come\n";
        assert!(to_come(changed).unwrap_err().to_string().contains("0001_a"));
    }

    #[test]
    fn each_way_in_which_it_can_fail() {
        let none = none();
        let names = |names: &[&str]| Ok(Some(names.iter().map(|&name| name.to_owned()).collect()));
        let good = r#"{"migrations": ["0001_a", "0002_b"], "faults": []}"#;
        let bad = r#"{"migrations": ["0001_a"], "faults": ["0001_a, line 3: BanDropTable"]}"#;
        let away = || Err(Error::Nonsense("away".to_owned()));
        let changed = || {
            Err(Error::Migrations(
                "0001_a  applied, with another text".to_owned(),
            ))
        };
        // (report, to come, demanded, holds, what is said)
        for (report, pending, demanded, holds, said) in [
            (
                Some(good),
                names(&["0002_b"]),
                true,
                true,
                "1 to come: 0002_b; linted: all only expand",
            ),
            (Some(good), names(&[]), true, true, "none to come; linted"),
            (
                Some(good),
                Ok(None),
                true,
                true,
                "2 to come: 0001_a, 0002_b; linted",
            ),
            (
                Some(good),
                names(&["0003_c"]),
                false,
                false,
                "not linted: 0003_c",
            ),
            (
                Some(bad),
                names(&[]),
                false,
                false,
                "the linter refuses: 0001_a, line 3: BanDropTable",
            ),
            (Some("nonsense"), names(&[]), false, false, "is no report"),
            (
                None,
                names(&["0001_a"]),
                false,
                true,
                "1 to come: 0001_a; the release has no linter's report",
            ),
            (None, names(&["0001_a"]), true, false, "no linter's report"),
            (None, Ok(None), false, true, "not known here"),
            (Some(good), away(), false, true, "is not known: "),
            (Some(good), away(), true, false, "is not known: "),
            (Some(good), changed(), false, false, "another text"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let check = check(&release(folder.path(), report), &none, pending, demanded);
            assert_eq!(check.holds, holds, "{said}: {}", check.said);
            assert!(check.said.contains(said), "{said}: {}", check.said);
        }
    }

    fn none() -> [Standing; 2] {
        [Colour::Blue, Colour::Green].map(|colour| Standing {
            colour,
            release: None,
            share: 0,
            is_up: false,
        })
    }

    /// A release that runs, whose newest migration is this one; `None` without a report.
    fn running(newest: Option<u32>) -> (tempfile::TempDir, [Standing; 2]) {
        use std::fmt::Write as _;

        use sha2::{Digest as _, Sha256};
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = "security-hub-release 1\nversion 1\ncommit c\nbuilt b\n".to_owned();
        let names: Vec<String> = (1..=newest.unwrap_or(0))
            .map(|number| format!("{number:04}_step"))
            .collect();
        let report = serde_json::json!({"migrations": names, "faults": []}).to_string();
        let mut files = vec![("security-hub", "#!".to_owned())];
        files.extend(newest.map(|_| (LINT, report)));
        for (name, text) in files {
            fs::write(folder.path().join(name), &text).unwrap();
            let digest = hex::encode(Sha256::digest(text.as_bytes()));
            writeln!(manifest, "file {digest} {name}").unwrap();
        }
        fs::write(folder.path().join("release.note"), manifest).unwrap();
        let standing = [Colour::Blue, Colour::Green].map(|colour| Standing {
            colour,
            release: (colour == Colour::Blue).then(|| folder.path().display().to_string()),
            share: if colour == Colour::Blue { 100 } else { 0 },
            is_up: colour == Colour::Blue,
        });
        (folder, standing)
    }

    #[test]
    fn what_the_running_release_still_uses_is_not_taken_away() {
        let report = r#"{"migrations": ["0001_a", "0009_less", "0010_more"], "faults": [], "needs": {"0009_less": 5}}"#;
        let folder = tempfile::tempdir().unwrap();
        let next = release(folder.path(), Some(report));
        let pending =
            |names: &[&str]| Ok(Some(names.iter().map(|&name| name.to_owned()).collect()));
        let coming = ["0009_less", "0010_more"];
        for (newest, coming, holds, said) in [
            (
                Some(5),
                &coming[..],
                true,
                "nothing that runs uses what is taken away",
            ),
            (
                Some(4),
                &coming,
                false,
                "0009_less takes away what a release without 0005 uses; the running one knows 0004 at most: bring in a release in \
                 between first",
            ),
            (Some(4), &coming[1..], true, "linted: all only expand"),
        ] {
            let (_live, standing) = running(newest);
            for demanded in [true, false] {
                let check = check(&next, &standing, pending(coming), demanded);
                assert_eq!(check.holds, holds, "{said}: {}", check.said);
                assert!(check.said.contains(said), "{said}: {}", check.said);
            }
        }
        // Nobody knows what it uses.
        let (_live, standing) = running(None);
        for demanded in [true, false] {
            let check = check(&next, &standing, pending(&coming), demanded);
            assert_eq!(check.holds, !demanded, "{}", check.said);
            assert!(check.said.contains("is not known here"), "{}", check.said);
        }
        assert!(check(&next, &none(), pending(&coming), true).holds);
    }
}
