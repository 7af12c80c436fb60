//! Finds PostgreSQL's server programs on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::Error;

/// The oldest major version that the hub runs on.
const OLDEST: u32 = 15;

/// A directory with `postgres`, `initdb` and `pg_ctl` of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    pub directory: PathBuf,
    pub major: u32,
}

impl Binaries {
    /// The newest installed version, or for data that exists already exactly that data's version.
    pub fn find(data_major: Option<u32>, data: &Path) -> Result<Self, Error> {
        let found: Vec<Self> = directories().into_iter().filter_map(Self::look).collect();
        choose(found, data_major, data)
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn look(directory: PathBuf) -> Option<Self> {
        let all = ["postgres", "initdb", "pg_ctl"]
            .iter()
            .all(|name| directory.join(name).is_file());
        if !all {
            return None;
        }
        let output = words(&directory.join("postgres"), "--version")?;
        Some(Self {
            major: major(&output)?,
            directory,
        })
    }
}

/// A client program beside the newest server's, or by its name from the path.
pub(crate) fn client(name: &str) -> PathBuf {
    let found = directories().into_iter().filter_map(Binaries::look);
    let newest = found.max_by_key(|binaries| binaries.major);
    newest
        .map(|binaries| binaries.program(name))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

fn choose(found: Vec<Binaries>, data_major: Option<u32>, data: &Path) -> Result<Binaries, Error> {
    let newest = found
        .iter()
        .max_by_key(|b| b.major)
        .cloned()
        .ok_or(Error::NoBinaries)?;
    let Some(wanted) = data_major else {
        return if newest.major >= OLDEST {
            Ok(newest)
        } else {
            Err(Error::TooOld {
                found: newest.major,
                path: newest.directory,
            })
        };
    };
    let mut versions: Vec<u32> = found.iter().map(|b| b.major).collect();
    versions.sort_unstable();
    versions.dedup();
    found
        .into_iter()
        .find(|b| b.major == wanted)
        .ok_or_else(|| Error::VersionMismatch {
            data: wanted,
            found: versions
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            path: data.to_owned(),
        })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15; a `16beta1` is 16.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn directories() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    if let Some(bin) = words(Path::new("pg_config"), "--bindir") {
        all.push(PathBuf::from(bin.trim()));
    }
    for (parent, tail) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr", "bin"),
        ("/opt", "bin"),
    ] {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if parent == "/usr/lib/postgresql" || name.to_string_lossy().starts_with("pgsql") {
                all.push(entry.path().join(tail));
            }
        }
    }
    all.push(PathBuf::from("/usr/local/pgsql/bin"));
    all
}

fn words(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_distribution() {
        for (text, expected) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
                Some(15),
            ),
            ("postgres (PostgreSQL) 17beta1", Some(17)),
            ("postgres (EnterpriseDB) nonsense", None),
            ("", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[test]
    fn the_data_chooses_the_version() {
        let check = |installed: &[u32], data: Option<u32>| {
            let found = installed
                .iter()
                .map(|major| Binaries {
                    directory: PathBuf::from(format!("/pg/{major}")),
                    major: *major,
                })
                .collect();
            match choose(found, data, Path::new("/data")) {
                Ok(binaries) => binaries.major.to_string(),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(check(&[15, 17, 16], None), "17");
        assert_eq!(check(&[15, 17], Some(15)), "15");
        assert!(check(&[], None).starts_with("no PostgreSQL server binaries found"));
        assert!(check(&[13], None).contains("too old: install version 15 or newer"));
        assert_eq!(
            check(&[16, 17], Some(15)),
            "the data in /data was made by PostgreSQL 15, but only 16, 17 is installed: install \
             PostgreSQL 15 beside it, or move the data with pg_upgrade"
        );
    }
}
