//! Where a run stands: computed from its journal each time, so that there is nothing else that could disagree.

use super::journal::{Ended, How, Line, What as Event};
use super::{Kind, Runbook, Then, What};

/// A place in the runbook, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    pub section: usize,
    pub item: usize,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// This item. `before` is how it ended when it was tried last.
    Do { at: At, before: Option<Ended> },
    /// Everything is done; it can be closed so.
    Through { went_back: bool },
    /// It is closed.
    Over { outcome: String },
}

/// Where a run stands after these lines.
pub(super) fn stands(book: &Runbook, lines: &[Line]) -> Now {
    place(book, lines).0
}

/// Where a run stands after these lines, and since which of them it is in that section: its items may come again later.
pub(super) fn place(book: &Runbook, lines: &[Line]) -> (Now, usize) {
    let mut entered = 0;
    let mut at = Some(At {
        section: 0,
        item: 0,
    });
    let mut before = None;
    let mut went_back = false;
    for (number, line) in lines.iter().enumerate() {
        match &line.what {
            Event::Closed { outcome, .. } => {
                let outcome = outcome.clone();
                return (Now::Over { outcome }, entered);
            }
            Event::WentBack { .. } => {
                entered = number;
                went_back = true;
                before = None;
                at = book.way_back().map(|section| At { section, item: 0 });
            }
            Event::Ended(ended) if ended.how.goes_on() => {
                before = None;
                went_back |= led(book, ended) == Some(Then::RollBack);
                at = after(book, ended);
                if at.is_some_and(|at| at.item == 0) {
                    entered = number;
                }
            }
            Event::Ended(ended) => before = Some(ended.clone()),
            _ => {}
        }
    }
    let now = match at {
        Some(at) => Now::Do { at, before },
        None => Now::Through { went_back },
    };
    (now, entered)
}

/// What comes after an item that ended well. The way back is gone only if somebody says so.
fn after(book: &Runbook, ended: &Ended) -> Option<At> {
    let section = book.sections.get(ended.section)?;
    let is_last = ended.item + 1 >= section.items.len();
    let then = match led(book, ended) {
        None | Some(Then::GoOn) if is_last => section.then,
        None => Then::GoOn,
        Some(then) => then,
    };
    let first = |section| At { section, item: 0 };
    match then {
        Then::Step(number) => book.step(number).map(first),
        Then::Checks => book.checks().map(first),
        Then::RollBack => book.way_back().map(first),
        Then::Stop => None,
        Then::GoOn if !is_last => Some(At {
            section: ended.section,
            item: ended.item + 1,
        }),
        Then::GoOn => {
            let next = book.sections.get(ended.section + 1)?;
            (next.kind != Kind::RollBack).then(|| first(ended.section + 1))
        }
    }
}

/// Where the answer to a decision led.
fn led(book: &Runbook, ended: &Ended) -> Option<Then> {
    let item = book.sections.get(ended.section)?.items.get(ended.item)?;
    let What::Decision { choices, .. } = &item.what else {
        return None;
    };
    let mut choices = choices.iter();
    let choice = choices.find(|choice| choice.label == ended.said)?;
    (ended.how == How::Decided).then_some(choice.then)
}
