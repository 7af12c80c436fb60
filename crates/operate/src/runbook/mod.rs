//! Runbooks: Markdown that reads well on paper and runs as a checklist.
//!
//! [`Runbook::parse`] reads one, [`faults`] says what is wrong with it, [`Run`] leads people through it with a journal on
//! disk before each next step, [`rehearse`] runs every command block in a sandbox. What the format is stands in
//! `operations/runbooks/README.md`.

mod block;
mod check;
mod clean;
mod expect;
mod front;
mod journal;
mod kept;
mod parse;
mod past;
mod report;
mod run;
pub mod shared;
mod shell;
mod stands;
mod tell;

pub use check::{Programs, Rehearsal, Rehearsed, rehearse};
pub use clean::short;
pub use expect::Expect;
pub use front::{Front, Severity};
pub use journal::{Ended, How, Line, What as Event};
pub use kept::{Found, KEPT, all, find};
pub use past::{Mark, Past, mark, past, unheard};
pub use report::{Report, Reported, Said, Summary, report, runs};
pub use run::{Close, Run, Start};
pub use shell::{calls, syntax};
pub use stands::{At, Now};
pub use tell::Told;

/// A fault in a runbook, at a line of its file (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub what: String,
}

/// One runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runbook {
    pub name: String,
    pub title: String,
    pub front: Front,
    /// In the order in which they are gone through; the way back is the last, if there is one.
    pub sections: Vec<Section>,
    /// The whole file.
    pub text: String,
}

/// A heading of the second level and what is to be done under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub kind: Kind,
    pub title: String,
    pub line: usize,
    pub items: Vec<Item>,
    /// What is said after its last item.
    pub after: String,
    /// Where its end leads, if not to what follows.
    pub then: Then,
}

/// What a section is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `## 3. Title`
    Step(u32),
    /// `## Checks`: whether it is well at the end.
    Checks,
    /// `## Roll back`: gone through only if somebody decides so.
    RollBack,
}

/// One thing that is done, by a command or by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub line: usize,
    /// What is said before it, as Markdown.
    pub text: String,
    pub what: What,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A shell block.
    Command {
        script: String,
        expect: Expect,
        /// Why it cannot run in the sandbox.
        elsewhere: Option<String>,
    },
    /// A person decides.
    Decision {
        question: String,
        choices: Vec<Choice>,
    },
    /// A person does something, and says so.
    Confirm { what: String },
}

/// One answer to a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub label: String,
    pub means: String,
    pub then: Then,
}

/// Where an answer, or the end of a section, leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// To what follows.
    GoOn,
    Step(u32),
    Checks,
    RollBack,
    /// Nothing more is to be done.
    Stop,
}

impl Section {
    /// `3`, `checks`, `roll back`.
    pub fn label(&self) -> String {
        match self.kind {
            Kind::Step(number) => number.to_string(),
            Kind::Checks => "checks".to_owned(),
            Kind::RollBack => "roll back".to_owned(),
        }
    }
}

impl Runbook {
    /// Reads one. `name` is its file's name without `.md`.
    ///
    /// # Errors
    /// Every fault that was found, in the order of the file.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        parse::parse(name, text)
    }

    /// SHA-256 of the file, in hex: which version somebody went by.
    pub fn digest(&self) -> String {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(self.text.as_bytes()))
    }

    /// Where a step stands among the sections.
    pub fn step(&self, number: u32) -> Option<usize> {
        let mut sections = self.sections.iter();
        sections.position(|section| section.kind == Kind::Step(number))
    }

    /// Where the checks stand among the sections.
    pub fn checks(&self) -> Option<usize> {
        let mut sections = self.sections.iter();
        sections.position(|section| section.kind == Kind::Checks)
    }

    /// Where the way back stands among the sections.
    pub fn way_back(&self) -> Option<usize> {
        let mut sections = self.sections.iter();
        sections.position(|section| section.kind == Kind::RollBack)
    }
}

#[cfg(test)]
mod tests;
