//! Event-time windows over hits, grouped as Sigma's correlation rules say.
//!
//! Lateness: an event up to one timespan older than the newest of its group still counts in the window that ends
//! with the newest; an older one begins a window of its own (a group keeps two), so that yesterday's file neither
//! joins today's window nor clears it. All state is bounded: entries of a window, and groups.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rsigma_eval::GroupKey;
use rsigma_eval::event::{Event as SigmaEvent, EventValue};
use rsigma_parser::CorrelationType;

use crate::finding::Entity;
use crate::rules::{Correlation, Rule};
use crate::view::EventView;

/// Entries of a window at most; beyond, the oldest is forgotten, so that a flood counts too little, never too much.
const ENTRIES: usize = 4096;
/// Groups at most, over all correlations of a tenant.
const GROUPS: usize = 100_000;
/// Windows of a group: the live one and one for late or early events.
const WINDOWS: usize = 2;
const SEPARATOR: char = '\u{1f}';

/// One event that a detection rule hit.
pub(crate) struct Hit<'a> {
    pub(crate) uid: &'a Arc<str>,
    /// Event time in Unix microseconds.
    pub(crate) at: i64,
    pub(crate) entities: &'a Arc<[Entity]>,
}

#[derive(Debug)]
struct Entry {
    at: i64,
    /// Position of the rule in the correlation's list.
    rule: usize,
    text: Option<String>,
    number: f64,
    uid: Arc<str>,
    entities: Arc<[Entity]>,
}

#[derive(Debug, Default)]
struct Window {
    /// In order of event time.
    entries: VecDeque<Entry>,
    /// How often each counted value stands in the window.
    values: HashMap<String, usize>,
}

#[derive(Debug, Default)]
struct Group {
    /// The live one last.
    windows: Vec<Window>,
    touched: u64,
}

/// The windows of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Correlator {
    groups: HashMap<(usize, GroupKey), Group>,
    tick: u64,
    pub(crate) evicted: u64,
}

/// A condition that is met.
pub(crate) struct Fired<'a> {
    pub(crate) group: String,
    window: &'a Window,
}

impl Fired<'_> {
    /// Hits in the window.
    pub(crate) fn count(&self) -> u64 {
        self.window.entries.len() as u64
    }

    /// All entities of the window, each once, in order of appearance.
    pub(crate) fn entities(&self) -> Vec<Entity> {
        let mut seen = std::collections::HashSet::new();
        let all = self
            .window
            .entries
            .iter()
            .flat_map(|entry| entry.entities.iter());
        all.filter(|entity| seen.insert((entity.kind, entity.value.as_str())))
            .cloned()
            .collect()
    }

    pub(crate) fn uids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.window.entries.iter().map(|entry| &entry.uid)
    }

    pub(crate) fn first_at(&self) -> i64 {
        self.window.entries.front().map_or(0, |entry| entry.at)
    }
}

impl Correlator {
    /// Counts a hit of `rule`; the answer tells whether the condition is met with it.
    pub(crate) fn feed(
        &mut self,
        index: usize,
        correlation: &Correlation,
        rule: &Rule,
        view: &EventView<'_>,
        hit: &Hit<'_>,
    ) -> Option<Fired<'_>> {
        let compiled = &correlation.compiled;
        let names: Vec<&str> = rule.names.iter().map(String::as_str).collect();
        let key = GroupKey::extract(view, &compiled.group_by, &names);
        // An event without the field is in no group: "no address" is not an address.
        let parts: Option<Vec<&str>> = key.0.iter().map(Option::as_deref).collect();
        let group = parts?.join(&SEPARATOR.to_string());
        let entry = entry(correlation, &names, view, hit)?;
        self.make_room();
        self.tick += 1;
        let state = self.groups.entry((index, key)).or_default();
        state.touched = self.tick;
        let span = i64::try_from(correlation.timespan.as_micros()).unwrap_or(i64::MAX);
        let window = state.window(hit.at, span);
        window.insert(entry, span);
        window.meets(correlation).then_some(Fired { group, window })
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// At the bound, the tenth of the groups that was quiet the longest goes.
    fn make_room(&mut self) {
        if self.groups.len() < GROUPS {
            return;
        }
        let mut touched: Vec<u64> = self.groups.values().map(|group| group.touched).collect();
        let (_, limit, _) = touched.select_nth_unstable(GROUPS / 10);
        let limit = *limit;
        let before = self.groups.len();
        self.groups.retain(|_, group| group.touched > limit);
        self.evicted += (before - self.groups.len()) as u64;
    }
}

/// What the window keeps of the hit; `None` if it has not the field that is counted.
fn entry(
    correlation: &Correlation,
    names: &[&str],
    view: &EventView<'_>,
    hit: &Hit<'_>,
) -> Option<Entry> {
    let compiled = &correlation.compiled;
    let rule = compiled
        .rule_refs
        .iter()
        .position(|name| names.contains(&name.as_str()))?;
    let fields = compiled.condition.field.as_deref().unwrap_or_default();
    let (mut text, mut number) = (None, 0.0);
    match compiled.correlation_type {
        CorrelationType::ValueCount => {
            let values: Option<Vec<String>> = fields
                .iter()
                .map(|field| view.get_field(field).and_then(|value| word(&value)))
                .collect();
            text = Some(values?.join(&SEPARATOR.to_string()));
        }
        CorrelationType::ValueSum
        | CorrelationType::ValueAvg
        | CorrelationType::ValuePercentile
        | CorrelationType::ValueMedian => {
            number = view
                .get_field(fields.first()?)?
                .as_f64()
                .filter(|n| n.is_finite())?;
        }
        CorrelationType::EventCount
        | CorrelationType::Temporal
        | CorrelationType::TemporalOrdered => {}
    }
    let (uid, entities) = (Arc::clone(hit.uid), Arc::clone(hit.entities));
    Some(Entry {
        at: hit.at,
        rule,
        text,
        number,
        uid,
        entities,
    })
}

fn word(value: &EventValue<'_>) -> Option<String> {
    value
        .as_str()
        .map(std::borrow::Cow::into_owned)
        .filter(|text| !text.is_empty())
}

impl Group {
    /// The window that an event of `at` belongs to.
    fn window(&mut self, at: i64, span: i64) -> &mut Window {
        let fits = |window: &Window| {
            let last = window.entries.back().map_or(at, |entry| entry.at);
            at.saturating_sub(last).saturating_abs() <= span
        };
        let fitting = self.windows.iter().rposition(fits);
        let n = fitting.unwrap_or_else(|| {
            if self.windows.len() >= WINDOWS {
                self.windows.remove(0);
            }
            self.windows.push(Window::default());
            self.windows.len() - 1
        });
        let window = self.windows.remove(n);
        self.windows.push(window);
        let live = self.windows.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "pushed just above")]
        &mut self.windows[live]
    }
}

impl Window {
    fn insert(&mut self, entry: Entry, span: i64) {
        if let Some(text) = &entry.text {
            *self.values.entry(text.clone()).or_default() += 1;
        }
        let later = self
            .entries
            .iter()
            .rev()
            .take_while(|known| known.at > entry.at)
            .count();
        self.entries.insert(self.entries.len() - later, entry);
        let horizon = self
            .entries
            .back()
            .map_or(i64::MIN, |last| last.at.saturating_sub(span));
        while self.entries.len() > ENTRIES || self.entries.front().is_some_and(|e| e.at < horizon) {
            let Some(gone) = self.entries.pop_front() else {
                break;
            };
            if let Some(text) = gone.text
                && let Some(count) = self.values.get_mut(&text)
            {
                *count -= 1;
                if *count == 0 {
                    self.values.remove(&text);
                }
            }
        }
    }

    fn meets(&self, correlation: &Correlation) -> bool {
        let compiled = &correlation.compiled;
        let refs = compiled.rule_refs.len();
        let sum = || self.entries.iter().map(|entry| entry.number).sum::<f64>();
        let value = match compiled.correlation_type {
            CorrelationType::EventCount => self.entries.len() as f64,
            CorrelationType::ValueCount => self.values.len() as f64,
            CorrelationType::ValueSum => sum(),
            CorrelationType::ValueAvg => sum() / (self.entries.len().max(1) as f64),
            CorrelationType::ValuePercentile => {
                self.percentile(compiled.condition.percentile.unwrap_or(50) as f64)
            }
            CorrelationType::ValueMedian => self.percentile(50.0),
            CorrelationType::Temporal => (0..refs)
                .filter(|rule| self.entries.iter().any(|e| e.rule == *rule))
                .count() as f64,
            CorrelationType::TemporalOrdered => {
                let mut next = 0;
                for entry in &self.entries {
                    next += usize::from(entry.rule == next);
                }
                if next < refs {
                    return false;
                }
                refs as f64
            }
        };
        compiled.condition.check(value)
    }

    /// By linear interpolation between the nearest ranks.
    fn percentile(&self, rank: f64) -> f64 {
        let mut numbers: Vec<f64> = self.entries.iter().map(|entry| entry.number).collect();
        numbers.sort_by(f64::total_cmp);
        let place = rank / 100.0 * numbers.len().saturating_sub(1) as f64;
        let at = |n: f64| numbers.get(n as usize).copied().unwrap_or_default();
        let low = at(place.floor());
        low + (at(place.ceil()) - low) * place.fract()
    }
}

#[cfg(test)]
mod tests;
