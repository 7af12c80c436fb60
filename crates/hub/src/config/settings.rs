//! Gathers settings from defaults, file, environment and flags, remembering where each came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use super::keys::{self, KEYS, NOT_OURS};

/// Where a setting came from. Later ones win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub source: Source,
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.text)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// Lists are joined by commas, which no list item may contain.
    pub(super) text: String,
    pub(super) source: Source,
}

/// All keys with their values as text, and the faults met so far.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) by_key: BTreeMap<&'static str, Setting>,
    pub(super) faults: Vec<Fault>,
    /// The files that secrets came from.
    pub(super) files: BTreeMap<&'static str, PathBuf>,
}

impl Settings {
    pub(super) fn defaults() -> Self {
        let by_key = KEYS
            .iter()
            .map(|key| {
                (
                    key.name,
                    Setting {
                        text: key.default.to_owned(),
                        source: Source::Default,
                    },
                )
            })
            .collect();
        Self {
            by_key,
            faults: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    pub(super) fn put(&mut self, name: &str, text: String, source: Source) {
        if let Some(key) = keys::find(name) {
            self.by_key.insert(key.name, Setting { text, source });
        } else {
            let near = keys::nearest(name, KEYS.iter().map(|key| key.name.to_owned()));
            self.unknown("key", name, &near, source);
        }
    }

    fn unknown(&mut self, what: &str, name: &str, near: &[String], source: Source) {
        let hint = match near {
            [] => "`security-hub config` lists them all".to_owned(),
            near => format!(
                "did you mean {}?",
                near.iter()
                    .map(|n| format!("`{n}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        self.faults.push(Fault {
            source,
            text: format!("unknown {what} `{name}`; {hint}"),
        });
    }

    /// Takes over a TOML file.
    pub(super) fn read_file(&mut self, path: &Path, text: &str) {
        let line_of = |at: usize| {
            text.get(..at)
                .map_or(1, |before| before.matches('\n').count() + 1)
        };
        match DeTable::parse(text) {
            Ok(table) => self.read_table(path, "", table.get_ref(), &line_of),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(span.start));
                let source = Source::File {
                    path: path.to_owned(),
                    line,
                };
                self.faults.push(Fault {
                    source,
                    text: error.message().to_owned(),
                });
            }
        }
    }

    fn read_table(
        &mut self,
        path: &Path,
        prefix: &str,
        table: &DeTable<'_>,
        line_of: &dyn Fn(usize) -> usize,
    ) {
        for (name, value) in table {
            let full = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            let source = Source::File {
                path: path.to_owned(),
                line: line_of(name.span().start),
            };
            match value.get_ref() {
                DeValue::Table(inner) if keys::find(&full).is_none() => {
                    self.read_table(path, &full, inner, line_of);
                }
                DeValue::Array(items) => {
                    let texts: Option<Vec<String>> =
                        items.iter().map(|item| scalar(item.get_ref())).collect();
                    match texts {
                        Some(texts) => self.put(&full, texts.join(","), source),
                        None => self.wrong(&full, source, "must be a list of plain values"),
                    }
                }
                other => match scalar(other) {
                    Some(text) => self.put(&full, text, source),
                    None => self.wrong(&full, source, "must be a plain value"),
                },
            }
        }
    }

    fn wrong(&mut self, key: &str, source: Source, why: &str) {
        self.faults.push(Fault {
            source,
            text: format!("{key}: {why}"),
        });
    }

    /// Takes over the environment: `DATABASE_URL` and `HUB_*`. A secret may stand in a file that its variable with
    /// `_FILE` names, as orchestrators mount them.
    pub(super) fn read_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) {
        let mut variables: Vec<_> = variables.into_iter().collect();
        // Files last: they see whether their key is set already.
        variables.sort_by_key(|(name, _)| (name.ends_with("_FILE"), name.clone()));
        for (name, text) in variables {
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if let Some(key) = keys::of_variable(&name) {
                self.put(key.name, text, Source::Environment(name));
            } else if let Some(key) = name
                .strip_suffix("_FILE")
                .and_then(keys::of_variable)
                .filter(|key| key.secret)
            {
                self.put_from_file(key.name, Path::new(&text), Source::Environment(name));
            } else if name.starts_with("HUB_") {
                let near = keys::nearest(&name, KEYS.iter().map(keys::Key::env));
                self.unknown("variable", &name, &near, Source::Environment(name.clone()));
            }
        }
    }

    fn put_from_file(&mut self, key: &'static str, path: &Path, source: Source) {
        if let Some(Setting {
            source: Source::Environment(other),
            ..
        }) = self.by_key.get(key)
        {
            let why = format!("is set by {other} as well; keep one of them");
            self.wrong(key, source, &why);
            return;
        }
        self.files.insert(key, path.to_owned());
        match std::fs::read_to_string(path) {
            // Editors and shells end a file with a newline, which is not part of the secret.
            Ok(text) => self.put(key, text.trim_end_matches(['\r', '\n']).to_owned(), source),
            Err(error) => {
                let why = format!("`{}` cannot be read: {error}", path.display());
                self.wrong(key, source, &why);
            }
        }
    }

    fn fault(&mut self, key: &str, why: impl fmt::Display) {
        let source = self
            .by_key
            .get(key)
            .map_or(Source::Default, |setting| setting.source.clone());
        self.faults.push(Fault {
            source,
            text: format!("{key}: {why}"),
        });
    }

    /// A fault found by a room's own validation, as `key: what is wrong`.
    pub(super) fn report(&mut self, text: String) {
        let key = text.split_once(':').map_or("", |(key, _)| key);
        let source = self
            .by_key
            .get(key)
            .map_or(Source::Default, |setting| setting.source.clone());
        self.faults.push(Fault { source, text });
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.by_key
            .get(key)
            .map(|setting| setting.text.clone())
            .filter(|text| !text.is_empty())
    }

    /// The value of a key that always has one. `None` only together with a fault.
    pub(super) fn one<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Option<T> {
        match self.text(key).unwrap_or_default().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(key, error);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole(&mut self, key: &str, from: u64, to: u64) -> Option<u64> {
        let text = self.text(key).unwrap_or_default();
        match text.parse() {
            Ok(value) if (from..=to).contains(&value) => Some(value),
            _ => {
                self.fault(
                    key,
                    format_args!("`{text}` is not a whole number from {from} to {to}"),
                );
                None
            }
        }
    }

    pub(super) fn list<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Vec<T> {
        let text = self.text(key).unwrap_or_default();
        let mut values = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match part.parse() {
                Ok(value) => values.push(value),
                Err(error) => self.fault(key, format_args!("`{part}`: {error}")),
            }
        }
        values
    }

    pub(super) fn complain(&mut self, key: &str, why: &str) {
        self.fault(key, why);
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
