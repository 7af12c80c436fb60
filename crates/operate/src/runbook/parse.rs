//! From Markdown to steps.

use super::front::Front;
use super::{Choice, Expect, Fault, Item, Kind, Runbook, Section, Then, What};

mod blocks;

use blocks::{Block, Entry, blocks};

const EXPECT: &str = "**Expect:**";
const ELSEWHERE: &str = "**Not in the sandbox:**";
const DECIDE: &str = "**Decide:**";
const GO_ON: &str = "**Go on:**";
const UNEXPECTED: &str = "nobody is told what this block must come to: a paragraph such as `**Expect:** exit 0` must follow it";
/// Fences whose content is run.
const SHELL: &[&str] = &["sh", "bash", "shell"];

pub(super) fn parse(name: &str, text: &str) -> Result<Runbook, Vec<Fault>> {
    let (front, body) = halves(text)?;
    let first = text[..text.len() - body.len()].lines().count();
    let mut reader = Reader::default();
    let front = match Front::parse(front) {
        Ok(front) => Some(front),
        Err((line, what)) => {
            reader.fault(line + 1, format!("front matter: {what}"));
            None
        }
    };
    for (line, block) in blocks(body) {
        reader.take(first + line, block);
    }
    reader.close();
    let title = reader.title.take().unwrap_or_default();
    let sections = reader.sections();
    match front {
        Some(front) if reader.faults.is_empty() => Ok(Runbook {
            name: name.to_owned(),
            title,
            front,
            sections,
            text: text.to_owned(),
        }),
        _ => {
            reader.faults.sort_by_key(|fault| fault.line);
            Err(reader.faults)
        }
    }
}

/// Front matter and body.
fn halves(text: &str) -> Result<(&str, &str), Vec<Fault>> {
    let fault = |what: &str| {
        let what = what.to_owned();
        Err(vec![Fault { line: 1, what }])
    };
    let Some(rest) = text.strip_prefix("---\n") else {
        return fault("front matter is missing: the file must begin with a line of three dashes");
    };
    match rest.split_once("\n---\n") {
        Some(halves) => Ok(halves),
        None => fault("the front matter does not end: a second line of three dashes is missing"),
    }
}

/// Takes block after block.
#[derive(Default)]
struct Reader {
    title: Option<String>,
    done: Vec<Section>,
    /// `None` under a heading that is only read.
    section: Option<Section>,
    /// What was said since the last item.
    said: String,
    /// Why the next block cannot run in the sandbox, and the line of that.
    elsewhere: Option<(usize, String)>,
    question: Option<(usize, String)>,
    /// The line of the command that came last: what it must come to follows at once.
    after_command: Option<usize>,
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, line: usize, what: impl Into<String>) {
        let what = what.into();
        self.faults.push(Fault { line, what });
    }

    fn take(&mut self, line: usize, block: Block<'_>) {
        let after_command = self.after_command.take();
        let is_expectation = matches!(&block, Block::Paragraph(raw) if raw.starts_with(EXPECT));
        if let Some(command) = after_command.filter(|_| !is_expectation) {
            self.fault(command, UNEXPECTED);
        }
        match block {
            Block::Heading(1, text) if self.title.is_none() => self.title = Some(text),
            Block::Heading(1, _) => self.fault(line, "a second title"),
            Block::Heading(2, text) => self.open(line, &text),
            _ if self.section.is_none() => {
                if matches!(&block, Block::Code { info, .. } if SHELL.contains(info)) {
                    let what = "this is run by nobody: a shell block must stand under a numbered heading, `## Checks` or `## Roll back`; give one that is only read no language";
                    self.fault(line, what);
                }
            }
            Block::Code { info, text } if SHELL.contains(&info) => self.command(line, text),
            Block::Hidden => self.fault(
                line,
                "a shell block inside of a list or a quotation is run by nobody: let it stand by itself",
            ),
            Block::Paragraph(raw) if raw.starts_with(EXPECT) => {
                self.expectation(line, &raw[EXPECT.len()..], after_command.is_some());
            }
            Block::Paragraph(raw) if raw.starts_with(ELSEWHERE) => {
                let why = one_line(&raw[ELSEWHERE.len()..]);
                if why.is_empty() {
                    self.fault(line, "`Not in the sandbox` must say why");
                }
                self.elsewhere = Some((line, why));
            }
            Block::Paragraph(raw) if raw.starts_with(DECIDE) => {
                self.question = Some((line, one_line(&raw[DECIDE.len()..])));
            }
            Block::Paragraph(raw) if raw.starts_with(GO_ON) => self.go_on(line, &raw[GO_ON.len()..]),
            Block::List(entries) => self.list(line, &entries),
            Block::Paragraph(raw) | Block::Other(raw) => self.say(raw),
            Block::Code { info, text } => {
                // A fence inside keeps its look.
                self.say(&format!("```{info}\n{text}```"));
            }
            Block::Heading(_, text) => self.say(&format!("### {text}")),
        }
    }

    fn go_on(&mut self, line: usize, target: &str) {
        match target_of(target) {
            Ok(then) => {
                if let Some(section) = &mut self.section {
                    section.then = then;
                }
            }
            Err(what) => self.fault(line, what),
        }
    }

    fn say(&mut self, raw: &str) {
        if !self.said.is_empty() {
            self.said.push_str("\n\n");
        }
        self.said.push_str(raw.trim_end());
    }

    fn item(&mut self, line: usize, what: What) {
        let text = std::mem::take(&mut self.said);
        if let Some(section) = &mut self.section {
            section.items.push(Item { line, text, what });
        }
    }

    fn command(&mut self, line: usize, text: String) {
        let elsewhere = self.elsewhere.take().map(|(_, why)| why);
        if text.trim().is_empty() {
            self.fault(line, "an empty command block");
        }
        self.item(
            line,
            What::Command {
                script: text,
                expect: Expect::default(),
                elsewhere,
            },
        );
        self.after_command = Some(line);
    }

    fn expectation(&mut self, line: usize, text: &str, after_command: bool) {
        if !after_command {
            return self.fault(line, "`Expect` must follow the command block it is of");
        }
        match Expect::parse(text) {
            Ok(understood) => {
                let items = self.section.as_mut().map(|section| &mut section.items);
                if let Some(Item {
                    what: What::Command { expect, .. },
                    ..
                }) = items.and_then(|items| items.last_mut())
                {
                    *expect = understood;
                }
            }
            Err(what) => self.fault(line, format!("`Expect` {what}")),
        }
    }

    fn list(&mut self, line: usize, entries: &[Entry<'_>]) {
        if let Some((_, question)) = self.question.take() {
            return self.decision(line, question, entries);
        }
        if entries.iter().any(|entry| entry.is_task) {
            for entry in entries {
                let what = one_line(entry.raw);
                self.item(line + entry.line, What::Confirm { what });
            }
            return;
        }
        for entry in entries {
            self.say(&format!("- {}", entry.raw.trim_end()));
        }
    }

    fn decision(&mut self, line: usize, question: String, entries: &[Entry<'_>]) {
        let mut choices = Vec::new();
        for entry in entries {
            match choice(entry.raw) {
                Ok(choice) => choices.push(choice),
                Err(what) => self.fault(line + entry.line, what),
            }
        }
        let twice = choices.iter().enumerate().find(|(number, choice)| {
            let mut before = choices.iter().take(*number);
            before.any(|other: &Choice| other.label == choice.label)
        });
        if let Some((_, choice)) = twice {
            self.fault(line, format!("two answers are called `{}`", choice.label));
        }
        if choices.len() < 2 {
            self.fault(line, "a decision needs two answers at least");
        }
        self.item(line, What::Decision { question, choices });
    }

    fn open(&mut self, line: usize, heading: &str) {
        self.close();
        let kind = match heading.split_once(". ") {
            Some((number, _)) if number.bytes().all(|c| c.is_ascii_digit()) => {
                number.parse().ok().map(Kind::Step)
            }
            _ if heading.eq_ignore_ascii_case("checks") => Some(Kind::Checks),
            _ if heading.eq_ignore_ascii_case("roll back") => Some(Kind::RollBack),
            _ => None,
        };
        self.section = kind.map(|kind| Section {
            kind,
            title: match kind {
                Kind::Step(_) => heading
                    .split_once(". ")
                    .map_or(heading, |(_, title)| title)
                    .to_owned(),
                Kind::Checks | Kind::RollBack => heading.to_owned(),
            },
            line,
            items: Vec::new(),
            after: String::new(),
            then: Then::GoOn,
        });
    }

    fn close(&mut self) {
        if let Some(command) = self.after_command.take() {
            self.fault(command, UNEXPECTED);
        }
        if let Some((line, _)) = self.elsewhere.take() {
            self.fault(line, "no command block follows this");
        }
        if let Some((line, _)) = self.question.take() {
            self.fault(line, "no list of answers follows this decision");
        }
        let said = std::mem::take(&mut self.said);
        let Some(mut section) = self.section.take() else {
            return;
        };
        if section.items.is_empty() {
            // Something to be done, in words.
            section.items.push(Item {
                line: section.line,
                text: said,
                what: What::Confirm {
                    what: section.title.clone(),
                },
            });
        } else {
            section.after = said;
        }
        self.done.push(section);
    }

    /// What was read, held against what every runbook must have.
    fn sections(&mut self) -> Vec<Section> {
        let sections = std::mem::take(&mut self.done);
        if self.title.as_ref().is_some_and(String::is_empty) {
            self.fault(1, "the title is empty");
        }
        let mut next = 1;
        let mut steps = Vec::new();
        let mut ends = Vec::new();
        for section in sections {
            match section.kind {
                Kind::Step(number) if !ends.is_empty() => {
                    let what = format!("step {number} stands after `Checks` or `Roll back`");
                    self.fault(section.line, what);
                }
                Kind::Step(number) if number != next => {
                    self.fault(
                        section.line,
                        format!("step {number} follows step {}", next - 1),
                    );
                    next = number + 1;
                }
                Kind::Step(_) => next += 1,
                Kind::Checks | Kind::RollBack => {}
            }
            match section.kind {
                Kind::Step(_) => steps.push(section),
                Kind::Checks | Kind::RollBack => ends.push(section),
            }
        }
        if steps.is_empty() {
            self.fault(
                1,
                "there is no step: a heading such as `## 1. Look` begins one",
            );
        }
        for (kind, name) in [(Kind::Checks, "Checks"), (Kind::RollBack, "Roll back")] {
            let found = ends.iter().filter(|section| section.kind == kind).count();
            if found != 1 {
                let what = format!("`## {name}` must stand there once, not {found} times");
                self.fault(1, what);
            }
        }
        ends.sort_by_key(|section| section.kind == Kind::RollBack);
        steps.append(&mut ends);
        self.targets(&steps);
        steps
    }

    /// Whatever leads on must lead somewhere.
    fn targets(&mut self, sections: &[Section]) {
        let lost = |then: Then, from: Kind| match then {
            Then::Step(number) if sections.iter().any(|one| one.kind == Kind::Step(number)) => None,
            Then::Step(number) => Some(format!("there is no step {number} to go to")),
            Then::RollBack if from == Kind::RollBack => {
                Some("this is the way back already".to_owned())
            }
            Then::Checks | Then::RollBack | Then::GoOn | Then::Stop => None,
        };
        for section in sections {
            let choices = section.items.iter().flat_map(|item| {
                let choices = match &item.what {
                    What::Decision { choices, .. } => choices.as_slice(),
                    _ => &[],
                };
                choices.iter().map(|choice| (item.line, choice.then))
            });
            let leads = choices.chain([(section.line, section.then)]);
            for (line, then) in leads {
                if let Some(what) = lost(then, section.kind) {
                    self.fault(line, what);
                }
            }
        }
    }
}

/// `**label**: what it means → step 4`
fn choice(raw: &str) -> Result<Choice, String> {
    let text = one_line(raw);
    let labelled = text
        .strip_prefix("**")
        .and_then(|rest| rest.split_once("**"));
    let Some((label, rest)) = labelled else {
        return Err(format!(
            "an answer begins with its word in bold: `**yes**: …`, not `{text}`"
        ));
    };
    let (means, target) = rest.rsplit_once('→').unwrap_or((rest, "go on"));
    let then = target_of(target)?;
    Ok(Choice {
        label: label.trim_end_matches(':').to_owned(),
        means: means.trim_start_matches(':').trim().to_owned(),
        then,
    })
}

/// `step 4`, `go on`, `checks`, `roll back`, `stop`.
fn target_of(text: &str) -> Result<Then, String> {
    let target = one_line(text);
    let target = target.trim_end_matches('.');
    Ok(match target {
        "go on" => Then::GoOn,
        "checks" => Then::Checks,
        "roll back" => Then::RollBack,
        "stop" => Then::Stop,
        _ => {
            let number = target
                .strip_prefix("step ")
                .and_then(|number| number.parse().ok());
            Then::Step(number.ok_or_else(|| {
                format!(
                    "`{target}` leads nowhere: `go on`, `step 4`, `checks`, `roll back` or `stop`"
                )
            })?)
        }
    })
}

/// Without the line breaks of the file.
fn one_line(raw: &str) -> String {
    raw.split_whitespace().collect::<Vec<_>>().join(" ")
}
