//! What a command block must come to, as a sentence that people read and the tool understands.

use std::collections::BTreeMap;

use pulldown_cmark::{Event, Parser};
use serde::Serialize;

/// Exit codes that are good, words that must be in the output, words that must not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expect {
    pub exits: Vec<i32>,
    pub says: Vec<String>,
    pub not: Vec<String>,
}

impl Default for Expect {
    /// It succeeds.
    fn default() -> Self {
        Self {
            exits: vec![0],
            says: Vec::new(),
            not: Vec::new(),
        }
    }
}

impl Expect {
    /// Understands such as ``exit 0 or 1, and it says `ready`, not `failed` ``: numbers after *exit*, words in backticks,
    /// and those after *not*.
    ///
    /// # Errors
    /// In words, if it expects nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut expect = Self::default();
        let mut given = false;
        let mut denied = false;
        for event in Parser::new(text) {
            match event {
                Event::Code(words) if denied => {
                    expect.not.push(words.into_string());
                    given = true;
                }
                Event::Code(words) => {
                    expect.says.push(words.into_string());
                    given = true;
                }
                Event::Text(prose) => {
                    let exits = exits(&prose);
                    if !exits.is_empty() {
                        expect.exits = exits;
                        given = true;
                    }
                    denied |= prose.split_whitespace().any(|word| word == "not");
                }
                _ => {}
            }
        }
        if given {
            Ok(expect)
        } else {
            Err("expects nothing: name an exit code (`exit 0`), or words in backticks".to_owned())
        }
    }

    /// What is not as it should be. `$NAME` in expected words stands for a variable.
    ///
    /// # Errors
    /// In words.
    pub fn judge(
        &self,
        exit: Option<i32>,
        output: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let Some(code) = exit else {
            return Err("it was ended by a signal".to_owned());
        };
        if !self.exits.contains(&code) {
            let good: Vec<String> = self.exits.iter().map(i32::to_string).collect();
            return Err(format!("exit {code}, not {}", good.join(" or ")));
        }
        let there = |words: &&String| output.contains(&filled(words, variables));
        if let Some(words) = self.says.iter().find(|words| !there(words)) {
            return Err(format!("it does not say `{}`", filled(words, variables)));
        }
        match self.not.iter().find(there) {
            Some(words) => Err(format!("it says `{}`", filled(words, variables))),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exits: Vec<String> = self.exits.iter().map(i32::to_string).collect();
        write!(f, "exit {}", exits.join(" or "))?;
        let quoted = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        };
        if !self.says.is_empty() {
            write!(f, ", says {}", quoted(&self.says))?;
        }
        if !self.not.is_empty() {
            write!(f, ", not {}", quoted(&self.not))?;
        }
        Ok(())
    }
}

/// The numbers that follow *exit*, with *or* and commas between them.
fn exits(prose: &str) -> Vec<i32> {
    let mut words = prose.split_whitespace();
    if !words.by_ref().any(|word| word == "exit") {
        return Vec::new();
    }
    let mut codes = Vec::new();
    for word in words {
        let bare = word.trim_end_matches([',', '.', ';', ':']);
        match bare.parse() {
            Ok(code) => codes.push(code),
            Err(_) if bare == "or" => {}
            Err(_) => break,
        }
    }
    codes
}

/// With the values of variables in the place of `$NAME`.
fn filled(words: &str, variables: &BTreeMap<String, String>) -> String {
    // Longer names first: $NAMES is not $NAME and an s.
    let mut names: Vec<&String> = variables.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut text = words.to_owned();
    for name in names {
        if let Some(value) = variables.get(name) {
            text = text.replace(&format!("${name}"), value);
        }
    }
    text
}
