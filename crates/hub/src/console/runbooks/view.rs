//! What the pages of runs show, in words.

use std::time::Duration;

use askama::Template;
use hub_base::Timestamp;
use hub_operate::runbook::shared::{ItemPicture, Note, Overview, Picture, Shared, State};
use hub_operate::runbook::{Ended, Event, How, Kind, Told, What};

use super::words::Words;
use crate::console::page::Page;
use crate::console::view::short;

/// Characters of an answer's meaning beside its button are all of them; of a button's item in its name so many.
const NAMED: usize = 80;

#[derive(Debug)]
pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) leader: String,
    pub(super) standing: String,
    pub(super) mark: Mark,
    pub(super) began: String,
    pub(super) began_short: String,
}

/// A state in a word with its icon and colour.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) icon: &'static str,
    pub(super) word: String,
    pub(super) class: &'static str,
}

fn mark(icon: &'static str, word: impl Into<String>, class: &'static str) -> Mark {
    let word = word.into();
    Mark { icon, word, class }
}

fn outcome(outcome: Option<&str>) -> Mark {
    match outcome {
        None => mark("…", "goes on", "pending"),
        Some("done") => mark("✓", "done", "good"),
        Some("rolled_back") => mark("↺", "rolled back", "medium"),
        Some("failed") => mark("✕", "given up", "failed"),
        Some(other) => mark("■", other, ""),
    }
}

impl RunRow {
    pub(super) fn of(run: Overview, now: Timestamp) -> Self {
        Self {
            id: run.id.to_string(),
            title: run.title,
            leader: run.leader,
            mark: outcome(run.outcome.as_deref()),
            standing: if run.outcome.is_some() {
                "–".to_owned()
            } else {
                run.standing
            },
            began: run.began.to_string(),
            began_short: short(run.began, now),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct RunView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) runbook: String,
    pub(super) purpose: Words,
    pub(super) severity: String,
    pub(super) roles: String,
    pub(super) sha256: String,
    pub(super) incident: Option<String>,
    pub(super) leader: String,
    pub(super) mark: Mark,
    pub(super) standing: String,
    pub(super) began: String,
    pub(super) heard: String,
    pub(super) limit: String,
    /// How long it has been going on.
    pub(super) spent: String,
    pub(super) is_late: bool,
    pub(super) is_over: bool,
    pub(super) can_answer: bool,
    pub(super) entered: u32,
    pub(super) sections: Vec<SectionView>,
    /// Newest first.
    pub(super) said: Vec<SaidRow>,
    /// What happened last, for whoever hears the page instead of seeing it.
    pub(super) last: String,
    began_at: Timestamp,
    ended_at: Option<Timestamp>,
    time_limit: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct SectionView {
    pub(super) number: usize,
    pub(super) heading: String,
    pub(super) is_here: bool,
    pub(super) items: Vec<ItemView>,
}

#[derive(Debug, Clone)]
pub(super) struct ItemView {
    pub(super) section: usize,
    pub(super) item: usize,
    /// Such as `3.2`.
    pub(super) label: String,
    pub(super) text: Words,
    pub(super) script: Option<String>,
    pub(super) expect: Words,
    pub(super) question: Option<Words>,
    pub(super) confirm: Option<Words>,
    pub(super) choices: Vec<ChoiceView>,
    pub(super) mark: Mark,
    /// Who and when, how long, with which exit code.
    pub(super) facts: String,
    pub(super) sha256: Option<String>,
    pub(super) output: Option<String>,
    pub(super) is_turn: bool,
    /// Whether it can be answered here and now, with buttons.
    pub(super) is_open: bool,
    /// What a button is for, for whoever does not see where it stands.
    pub(super) named: String,
}

#[derive(Debug, Clone)]
pub(super) struct ChoiceView {
    pub(super) label: String,
    pub(super) means: Words,
    pub(super) is_chosen: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SaidRow {
    pub(super) kind: &'static str,
    pub(super) at: String,
    pub(super) at_short: String,
    pub(super) by: String,
    pub(super) text: String,
}

#[derive(Debug, Template)]
#[template(path = "console/runbooks.html")]
pub(super) struct RunsPage {
    pub(super) page: Page,
    pub(super) runs: Vec<RunRow>,
}

#[derive(Debug, Template)]
#[template(path = "console/runbook.html")]
pub(super) struct RunPage {
    pub(super) page: Page,
    pub(super) run: RunView,
}

#[derive(Debug, Template)]
#[template(path = "console/runbook_tiles.html")]
pub(super) struct TilesPart<'a> {
    pub(super) run: &'a RunView,
}

#[derive(Debug, Template)]
#[template(path = "console/runbook_list.html")]
pub(super) struct ListPart<'a> {
    pub(super) run: &'a RunView,
}

#[derive(Debug, Template)]
#[template(source = "{{ run.last }}", ext = "html")]
pub(super) struct LastPart<'a> {
    pub(super) run: &'a RunView,
}

#[derive(Debug, Template)]
#[template(path = "console/runbook_said.html")]
pub(super) struct SaidPart<'a> {
    pub(super) run: &'a RunView,
}

/// Such as `4m 12s`.
fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {}s", seconds % 60),
        _ => format!("{hours}h {minutes}m {}s", seconds % 60),
    }
}

impl RunView {
    pub(super) fn of(run: &Shared, can_answer: bool, now: Timestamp) -> Self {
        let (overview, front) = (&run.overview, &run.book.front);
        let picture = run.picture();
        let mut view = Self {
            id: overview.id.to_string(),
            title: run.book.title.clone(),
            runbook: overview.runbook.clone(),
            purpose: Words::of(&front.purpose),
            severity: front.severity.to_string(),
            roles: front.roles.join(", "),
            sha256: overview.sha256.clone(),
            incident: overview.incident.clone(),
            leader: overview.leader.clone(),
            mark: outcome(overview.outcome.as_deref()),
            standing: overview.standing.clone(),
            began: short(overview.began, now),
            heard: short(overview.told, now),
            limit: front.time_limit.to_string(),
            spent: String::new(),
            is_late: false,
            is_over: overview.outcome.is_some(),
            can_answer,
            entered: picture.entered,
            sections: sections(&picture, now),
            said: said(run, now),
            last: last(run),
            began_at: overview.began,
            ended_at: overview.ended,
            time_limit: front.time_limit.0,
        };
        view.pass(now);
        view
    }

    /// Time passes.
    pub(super) fn pass(&mut self, now: Timestamp) {
        let spent = self.ended_at.unwrap_or(now).since(self.began_at);
        self.spent = lasting(spent);
        self.is_late = spent > self.time_limit;
    }
}

fn sections(picture: &Picture<'_>, now: Timestamp) -> Vec<SectionView> {
    let here = picture.sections.iter().position(|one| one.is_here);
    let sections = picture.sections.iter().enumerate();
    let sections = sections.map(|(number, one)| {
        let label = one.section.label();
        let idle = if picture.is_through || here.is_some_and(|here| number < here) {
            mark("–", "passed by", "")
        } else if one.section.kind == Kind::RollBack && !one.is_here {
            mark("○", "only if it is decided", "")
        } else {
            mark("○", "not yet", "")
        };
        let items = one.items.iter().enumerate();
        let items = items.map(|(item, of)| item_view((number, item), &label, of, &idle, now));
        SectionView {
            number,
            heading: if label.bytes().all(|byte| byte.is_ascii_digit()) {
                format!("{label}. {}", one.section.title)
            } else {
                one.section.title.clone()
            },
            is_here: one.is_here,
            items: items.collect(),
        }
    });
    sections.collect()
}

fn item_view(
    (section, item): (usize, usize),
    label: &str,
    of: &ItemPicture<'_>,
    idle: &Mark,
    now: Timestamp,
) -> ItemView {
    let (script, expect) = match &of.item.what {
        What::Command { script, expect, .. } => {
            (Some(script.clone()), Words::of(&expect.to_string()))
        }
        _ => (None, Words::of("")),
    };
    let (question, choices) = match &of.item.what {
        What::Decision { question, choices } => {
            let chosen = chosen(&of.state);
            let choices = choices.iter().map(|choice| ChoiceView {
                label: choice.label.clone(),
                means: Words::of(&choice.means),
                is_chosen: chosen == Some(choice.label.as_str()),
            });
            (Some(Words::of(question)), choices.collect())
        }
        _ => (None, Vec::new()),
    };
    let confirm = match &of.item.what {
        What::Confirm { what } => Some(Words::of(what)),
        _ => None,
    };
    let done = match &of.state {
        State::Ended(done) => Some(done),
        _ => None,
    };
    let named = question.as_ref().or(confirm.as_ref());
    ItemView {
        section,
        item,
        label: format!("{label}.{}", item + 1),
        text: Words::of(&of.item.text),
        script,
        expect,
        named: named.map_or_else(String::new, |text| {
            text.plain().chars().take(NAMED).collect()
        }),
        question,
        confirm,
        choices,
        mark: marked(of, idle),
        facts: facts(&of.state, now),
        sha256: done.and_then(|done| done.ended.sha256.clone()),
        output: done.and_then(|done| done.output.map(str::to_owned)),
        is_turn: of.is_turn,
        is_open: of.is_open,
    }
}

fn chosen<'a>(state: &State<'a>) -> Option<&'a str> {
    match state {
        State::Answered(answer) => answer.choice.as_deref(),
        State::Ended(done) if done.ended.how == How::Decided => Some(&done.ended.said),
        _ => None,
    }
}

/// `idle` while nothing of it was done and nothing is to be done.
fn marked(of: &ItemPicture<'_>, idle: &Mark) -> Mark {
    match &of.state {
        State::Runs { .. } => mark("…", "runs", "pending"),
        State::Answered(answer) => mark("✓", format!("answered: {}", answer.word()), "applied"),
        State::Ended(done) => ended(done.ended),
        State::Waits if of.is_turn => mark("▶", "its turn", "medium"),
        State::Waits if of.is_open => mark("○", "may be done now", "low"),
        State::Waits => idle.clone(),
    }
}

fn ended(ended: &Ended) -> Mark {
    let (icon, class) = match ended.how {
        How::Passed | How::Confirmed | How::Decided | How::ByHand => ("✓", "good"),
        How::Failed | How::CutOff => ("✕", "failed"),
        How::Skipped => ("–", ""),
    };
    mark(icon, ended.words(), class)
}

fn facts(state: &State<'_>, now: Timestamp) -> String {
    match state {
        State::Waits => String::new(),
        State::Runs { by, since } => format!("{by} · since {}", short(*since, now)),
        State::Answered(answer) => format!("{} · {}", answer.by, short(answer.at, now)),
        State::Ended(done) => {
            let took = match done.ended.took_ms {
                0 => String::new(),
                millis @ 1..10_000 => format!(" · took {millis} ms"),
                millis => format!(" · took {}", lasting(Duration::from_millis(millis))),
            };
            let exit = done.ended.exit;
            let exit = exit.map_or_else(String::new, |exit| format!(" · exit {exit}"));
            format!("{} · {}{took}{exit}", done.by, short(done.at, now))
        }
    }
}

/// What was said and what happened beside the items, newest first.
fn said(run: &Shared, now: Timestamp) -> Vec<SaidRow> {
    let lines = run.lines.iter().filter_map(happened);
    let notes = run.notes.iter().map(|note: &Note| {
        let said = format!("{} (in the console)", note.said);
        (note.at, note.by.clone(), "note", said)
    });
    let mut all: Vec<(Timestamp, String, &'static str, String)> = lines.chain(notes).collect();
    all.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let row = |(at, by, kind, text): (Timestamp, String, &'static str, String)| SaidRow {
        kind,
        at: at.to_string(),
        at_short: short(at, now),
        by,
        text,
    };
    all.into_iter().map(row).collect()
}

/// The newest thing that was done, answered or written down.
fn last(run: &Shared) -> String {
    let label = |section: usize, item: usize| {
        let section = run.book.sections.get(section);
        let section = section.map_or_else(String::new, hub_operate::runbook::Section::label);
        format!("{section}.{}", item + 1)
    };
    let done = run.lines.iter().filter_map(|told| {
        let (at, by) = (told.line.at, &told.line.by);
        match &told.line.what {
            Event::Ended(ended) => {
                let label = label(ended.section, ended.item);
                Some((at, format!("{label} {} ({by})", ended.words())))
            }
            _ => happened(told).map(|(at, by, _, text)| (at, format!("{by}: {text}"))),
        }
    });
    let answers = run.answers.iter().map(|answer| {
        let label = label(answer.section as usize, answer.item as usize);
        let text = format!("{label} answered: {} ({})", answer.word(), answer.by);
        (answer.at, text)
    });
    let notes = run.notes.iter();
    let notes = notes.map(|note| (note.at, format!("{}: {}", note.by, note.said)));
    let all = done.chain(answers).chain(notes);
    all.max_by_key(|(at, _)| *at)
        .map_or_else(String::new, |(_, text)| text)
}

fn happened(told: &Told) -> Option<(Timestamp, String, &'static str, String)> {
    let (kind, text) = match &told.line.what {
        Event::Begun { .. } => ("status", "began".to_owned()),
        Event::Resumed => ("status", "goes on".to_owned()),
        Event::Handed { to } => ("status", format!("hands over to {to}")),
        Event::Given { name, value } => ("action", format!("{name} is {value}")),
        // One that was written here is here already.
        Event::Noted {
            text,
            console: None,
        } => ("note", text.clone()),
        Event::Overdue => ("finding", "longer than its limit".to_owned()),
        Event::WentBack { why } => ("finding", format!("goes back: {why}")),
        Event::Closed { outcome, why } => {
            let why = why.as_ref();
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            ("status", format!("{}{why}", outcome.replace('_', " ")))
        }
        Event::Noted { .. } | Event::Started { .. } | Event::Ended(_) => return None,
    };
    Some((told.line.at, told.line.by.clone(), kind, text))
}
