//! What people answer, and what they are shown before they do.

use hub_operate::runbook::{Choice, Item, Section, Then, What};

/// What somebody said to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Run it; it is done.
    Yes,
    /// It was done in another way; how.
    Hand(String),
    /// It is left out; why.
    Skip(String),
    /// Everything is taken back; why.
    Back(String),
    /// Somebody else goes on.
    Over(String),
    Note(String),
    /// Later.
    Quit,
    /// Never; why.
    GiveUp(String),
    /// An answer of the decision, from 0.
    Choice(usize),
    Help,
    /// Not understood; what is missing.
    Unclear(&'static str),
}

impl Said {
    pub(super) fn parse(line: &str, what: &What) -> Self {
        if let What::Decision { choices, .. } = what
            && let Some(number) = chosen(line, choices)
        {
            return Self::Choice(number);
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let with = |make: fn(String) -> Self, missing| match rest {
            "" => Self::Unclear(missing),
            rest => make(rest.to_owned()),
        };
        match (word.to_lowercase().as_str(), what) {
            ("" | "run" | "again", What::Command { .. })
            | ("y" | "yes" | "done", What::Command { .. } | What::Confirm { .. }) => Self::Yes,
            ("hand", What::Command { .. }) => with(Self::Hand, "say how: `hand HOW`"),
            ("skip", _) => with(Self::Skip, "say why: `skip WHY`"),
            ("back", _) => with(Self::Back, "say why: `back WHY`"),
            ("over", _) => with(Self::Over, "say to whom: `over NAME`"),
            ("note", _) => with(Self::Note, "say what: `note TEXT`"),
            ("giveup", _) => with(Self::GiveUp, "say why: `giveup WHY`"),
            ("quit" | "q", _) => Self::Quit,
            ("?" | "help", _) => Self::Help,
            _ => Self::Unclear("`?` says what can be answered"),
        }
    }
}

/// By its label or its number.
fn chosen(line: &str, choices: &[Choice]) -> Option<usize> {
    let number = line
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1));
    let number = number.filter(|number| *number < choices.len());
    let mut labels = choices.iter();
    number.or_else(|| labels.position(|choice| choice.label.eq_ignore_ascii_case(line)))
}

/// What can be answered.
pub(super) fn help(what: &What) -> String {
    let own = match what {
        What::Command { .. } => {
            "  Enter        run it (once more)\n  hand HOW     it was done in another way\n"
        }
        What::Confirm { .. } => "  yes          it is done\n",
        What::Decision { .. } => "  the answer's word or number\n",
    };
    format!(
        "{own}  skip WHY     leave it out\n  note TEXT    write something down\n  back WHY     take everything back: the section `Roll back`\n  \
         over NAME    hand over to somebody, who goes on with `hubctl runbook resume`\n  quit         go on later\n  giveup WHY   end it here"
    )
}

/// The question in a line.
pub(super) fn question(what: &What, is_again: bool) -> &'static str {
    match (what, is_again) {
        (What::Command { .. }, false) => "Run it? [Enter, ? for more] ",
        (What::Command { .. }, true) => {
            "Once more? [Enter; hand HOW, skip WHY, back WHY, quit; ? for more] "
        }
        (What::Confirm { .. }, _) => "Is it done? [yes, ? for more] ",
        (What::Decision { .. }, _) => "Which? [word or number, ? for more] ",
    }
}

/// Of a command that follows an answer from the console: what was meant for the question before does not run it.
pub(super) const WARY: &str = "Run it? [run, ? for more] ";

/// Whether a line says in full that a command is to be run.
pub(super) fn is_plain_run(line: &str) -> bool {
    ["run", "again"]
        .iter()
        .any(|word| line.eq_ignore_ascii_case(word))
}

/// A step's heading.
pub(super) fn heading(section: &Section) -> String {
    let label = section.label();
    if label.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("\n== {label}. {}", section.title)
    } else {
        format!("\n== {}", section.title)
    }
}

/// What is to be done.
pub(super) fn item(item: &Item) -> String {
    let mut text = String::new();
    if !item.text.is_empty() {
        text = format!("\n{}\n", item.text);
    }
    match &item.what {
        What::Command { script, expect, .. } => {
            let lines = script.lines().map(|line| format!("    {line}"));
            let lines: Vec<String> = lines.collect();
            format!("{text}\n{}\n\n  Expect: {expect}", lines.join("\n"))
        }
        What::Confirm { what } => format!("{text}\n  [ ] {what}"),
        What::Decision { question, choices } => {
            let choices = choices.iter().enumerate().map(|(number, choice)| {
                let then = match choice.then {
                    Then::GoOn => String::new(),
                    Then::Step(step) => format!(" → step {step}"),
                    Then::Checks => " → checks".to_owned(),
                    Then::RollBack => " → roll back".to_owned(),
                    Then::Stop => " → stop".to_owned(),
                };
                format!("  {}. {}: {}{then}", number + 1, choice.label, choice.means)
            });
            let choices: Vec<String> = choices.collect();
            format!("{text}\n  Decide: {question}\n{}", choices.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_answer_is_understood() {
        let confirm = What::Confirm {
            what: "x".to_owned(),
        };
        let choice = |label: &str| Choice {
            label: label.to_owned(),
            means: String::new(),
            then: Then::GoOn,
        };
        let decision = What::Decision {
            question: String::new(),
            choices: vec![choice("yes"), choice("not yet")],
        };
        assert_eq!(Said::parse("Yes", &confirm), Said::Yes);
        // Somebody who leans on a key confirms nothing.
        assert!(matches!(Said::parse("", &confirm), Said::Unclear(_)));
        assert_eq!(Said::parse("YES", &decision), Said::Choice(0));
        assert_eq!(Said::parse("2", &decision), Said::Choice(1));
        assert_eq!(Said::parse("not yet", &decision), Said::Choice(1));
        assert!(matches!(Said::parse("3", &decision), Said::Unclear(_)));
        assert!(matches!(Said::parse("0", &decision), Said::Unclear(_)));
        assert_eq!(
            Said::parse("skip  no such host ", &confirm),
            Said::Skip("no such host".to_owned())
        );
        assert!(matches!(Said::parse("skip", &confirm), Said::Unclear(_)));
        assert_eq!(
            Said::parse("over ben", &decision),
            Said::Over("ben".to_owned())
        );
    }
}
