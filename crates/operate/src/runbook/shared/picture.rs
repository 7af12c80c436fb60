//! A run as a checklist: what each item is, how it stands, and what may be said to it now.

use hub_base::Timestamp;

use super::{Answer, Shared, count, is_in_reach};
use crate::runbook::{At, Ended, Event, Item, Now, Section, Told, What};

/// The whole of it.
#[derive(Debug)]
pub struct Picture<'a> {
    pub sections: Vec<SectionPicture<'a>>,
    /// The line since which the run is in the section where it is now.
    pub entered: u32,
    /// Whether all was gone through or the run is over.
    pub is_through: bool,
}

/// One section.
#[derive(Debug)]
pub struct SectionPicture<'a> {
    pub section: &'a Section,
    pub is_here: bool,
    pub items: Vec<ItemPicture<'a>>,
}

/// One item.
#[derive(Debug)]
pub struct ItemPicture<'a> {
    pub item: &'a Item,
    pub is_turn: bool,
    /// Whether somebody may answer it now.
    pub is_open: bool,
    pub state: State<'a>,
}

/// How an item stands.
#[derive(Debug)]
pub enum State<'a> {
    /// It has not come yet, or was passed by.
    Waits,
    /// Its command runs.
    Runs {
        by: &'a str,
        since: Timestamp,
    },
    /// Somebody has answered; the one who leads has not taken it yet.
    Answered(&'a Answer),
    Ended(Done<'a>),
}

/// How it ended, when, and who said so.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    pub at: Timestamp,
    pub by: &'a str,
    pub ended: &'a Ended,
    pub output: Option<&'a str>,
}

impl Picture<'_> {
    pub(super) fn of(run: &Shared) -> Picture<'_> {
        let (now, entered) = run.now();
        let at = match now {
            Now::Do { at, .. } => Some(at),
            Now::Through { .. } | Now::Over { .. } => None,
        };
        let sections = run.book.sections.iter().enumerate();
        let sections = sections.map(|(number, section)| {
            let is_here = at.is_some_and(|at| at.section == number);
            let items = section.items.iter().enumerate();
            let items = items.map(|(index, item)| {
                let place = At {
                    section: number,
                    item: index,
                };
                pictured(run, item, place, at, entered)
            });
            SectionPicture {
                section,
                is_here,
                items: items.collect(),
            }
        });
        Picture {
            sections: sections.collect(),
            entered,
            is_through: at.is_none(),
        }
    }
}

fn pictured<'a>(
    run: &'a Shared,
    item: &'a Item,
    place: At,
    at: Option<At>,
    entered: u32,
) -> ItemPicture<'a> {
    let is_here = at.is_some_and(|at| at.section == place.section);
    let is_turn = at == Some(place);
    let comes = is_here && at.is_some_and(|at| at.item <= place.item);
    // What was done here in an earlier round is not what is to be done now.
    let since = if is_here { entered } else { 0 };
    let state = state(run, item, place, since);
    let state = match state {
        State::Waits if comes => answered(run, place, entered).unwrap_or(State::Waits),
        state => state,
    };
    let section = run.book.sections.get(place.section);
    let reach = at
        .zip(section)
        .is_some_and(|(at, section)| is_in_reach(section, at.item, place.item));
    let may_be = match &item.what {
        What::Command { .. } => false,
        What::Confirm { .. } => comes && reach,
        What::Decision { .. } => is_turn,
    };
    ItemPicture {
        item,
        is_turn,
        is_open: may_be && !matches!(state, State::Answered(_)),
        state,
    }
}

fn answered(run: &Shared, place: At, entered: u32) -> Option<State<'_>> {
    let key = (entered, count(place.section), count(place.item));
    let mut answers = run.answers.iter();
    let answer = answers.find(|one| (one.entered, one.section, one.item) == key);
    answer.map(State::Answered)
}

/// From the newest line that speaks of it.
fn state<'a>(run: &'a Shared, item: &Item, place: At, since: u32) -> State<'a> {
    let is_command = matches!(item.what, What::Command { .. });
    // The line that led here speaks of what was before.
    let later = |told: &&Told| told.number > since;
    for told in run.lines.iter().rev().take_while(later) {
        match &told.line.what {
            Event::Ended(ended) if (ended.section, ended.item) == (place.section, place.item) => {
                return State::Ended(Done {
                    at: told.line.at,
                    by: &told.line.by,
                    ended,
                    output: told.output.as_deref(),
                });
            }
            Event::Started { section, item }
                if is_command && (*section, *item) == (place.section, place.item) =>
            {
                return State::Runs {
                    by: &told.line.by,
                    since: told.line.at,
                };
            }
            _ => {}
        }
    }
    State::Waits
}
