//! One tenant's detection: events in, findings out. The rules are shared, the state is the tenant's own.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hub_base::{Clock, FindingId, Timestamp};
use hub_events::{Event, LogSource};
use uuid::Uuid;

use crate::correlate::{Correlator, Hit};
use crate::entities;
use crate::finding::{Entity, EntityKind, Finding};
use crate::locations::Location;
use crate::profiles::Profiles;
use crate::rules::{Rule, RuleSet};
use crate::streams::{Speech, Stream, Streams};
use crate::view::EventView;

/// Findings that wait for the rule they name in `hub: while`.
const HELD: usize = 1000;
/// Log sources whose route is remembered; foreign events name what they like.
const ROUTES: usize = 1024;
/// Entities that a finding names.
const NAMED: usize = 500;

/// What has passed through, for metrics. All count up from the detector's beginning but the last three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub events: u64,
    /// Hits of detection rules.
    pub hits: u64,
    pub findings: u64,
    /// State that was forgotten at its bound: windows, streams, profiles, held findings.
    pub evicted: u64,
    /// Groups that correlations hold now.
    pub groups: u64,
    /// Users and keys that behaviour models know now.
    pub subjects: u64,
    pub sessions: u64,
}

/// One tenant's detection state.
#[derive(Debug)]
pub struct TenantDetector {
    rules: Arc<RuleSet>,
    clock: Arc<dyn Clock>,
    pub(crate) profiles: Profiles,
    correlator: Correlator,
    streams: Streams,
    routes: HashMap<LogSource, Arc<[usize]>>,
    /// When rules that others wait for last had a hit.
    fired: HashMap<String, Gate>,
    held: VecDeque<(String, Finding)>,
    counters: Counters,
    lost: u64,
    /// Where in the ledger this state stands; `None` until the worker has built it.
    pub(crate) position: Option<crate::worker::Position>,
}

/// The time in which a rule that others wait for is held to go on.
#[derive(Debug, Clone, Copy)]
struct Gate {
    from: Timestamp,
    to: Timestamp,
}

impl TenantDetector {
    pub fn new(rules: Arc<RuleSet>, clock: Arc<dyn Clock>) -> Self {
        Self {
            rules,
            clock,
            profiles: Profiles::default(),
            correlator: Correlator::default(),
            streams: Streams::default(),
            routes: HashMap::new(),
            fired: HashMap::new(),
            held: VecDeque::new(),
            counters: Counters::default(),
            lost: 0,
            position: None,
        }
    }

    /// The same rules with nothing learned and nothing seen.
    pub(crate) fn fresh(&self) -> Self {
        let mut fresh = Self::new(Arc::clone(&self.rules), Arc::clone(&self.clock));
        fresh.counters = self.counters;
        fresh.lost = self.counters.evicted;
        fresh
    }

    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// The tenant's named locations, from now on.
    pub fn set_locations(&mut self, locations: Vec<Location>) {
        self.profiles.set_locations(locations);
    }

    pub fn counters(&self) -> Counters {
        Counters {
            evicted: self.lost
                + self.correlator.evicted
                + self.streams.evicted
                + self.profiles.evicted,
            groups: self.correlator.len() as u64,
            subjects: self.profiles.subjects.len() as u64,
            sessions: self.profiles.sessions.len() as u64,
            ..self.counters
        }
    }

    /// Takes in one event; events come in the order of the ledger. What behaviour models know is laid beside the
    /// event's own fields (it is not for storing after this).
    pub fn observe(&mut self, event: &mut Event, uid: &str) -> Vec<Finding> {
        self.profiles.enrich(event);
        let event = &*event;
        self.counters.events += 1;
        let view = EventView::new(event);
        let rules = Arc::clone(&self.rules);
        let mut scene: Option<(Arc<str>, Arc<[Entity]>)> = None;
        let mut out = Vec::new();
        for n in &*self.route(&event.source) {
            let Some(partition) = rules.partitions.get(*n) else {
                continue;
            };
            for result in partition.engine.evaluate(&view) {
                let id = result.header.rule_id.as_deref().unwrap_or_default();
                let Some(rule) = rules.rules.get(id) else {
                    continue;
                };
                self.counters.hits += 1;
                let (uid, entities) =
                    scene.get_or_insert_with(|| (Arc::from(uid), entities::of(event).into()));
                let hit = Hit {
                    uid,
                    at: event.time.unix_micros(),
                    entities,
                };
                self.hit(&rules, rule, event, &view, &hit, &mut out);
            }
        }
        self.counters.findings += out.len() as u64;
        out
    }

    fn route(&mut self, source: &LogSource) -> Arc<[usize]> {
        if let Some(route) = self.routes.get(source) {
            return Arc::clone(route);
        }
        if self.routes.len() >= ROUTES {
            self.routes.clear();
        }
        let route: Arc<[usize]> = self.rules.route(source).into();
        self.routes.insert(source.clone(), Arc::clone(&route));
        route
    }

    fn hit(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        event: &Event,
        view: &EventView<'_>,
        hit: &Hit<'_>,
        out: &mut Vec<Finding>,
    ) {
        if !rule.is_silent {
            let primary = entities::primary(rule, hit.entities, &event.source.product);
            let key = format!("{}\u{1f}{}:{}", rule.id, primary.kind, primary.value);
            let quiet = micros(rule.hub.window());
            let (speech, stream) =
                self.streams
                    .hit(&key, hit.uid, hit.at, quiet, hit.entities, || primary);
            let finding = speak(
                &*self.clock,
                rule,
                &key,
                &speech,
                stream,
                hit.entities.to_vec(),
            );
            self.emit(rule, finding, hit.at, micros(rule.hub.window()), out);
        }
        for index in &rule.feeds {
            let Some(correlation) = rules.correlations.get(*index) else {
                continue;
            };
            let Some(fired) = self.correlator.feed(*index, correlation, rule, view, hit) else {
                continue;
            };
            let above = &correlation.rule;
            let key = format!("{}\u{1f}{}", above.id, fired.group);
            let span = micros(correlation.timespan);
            let quiet = span.max(micros(above.hub.window()));
            let everybody = || entities::primary(above, &fired.entities(), &event.source.product);
            let (speech, stream) =
                self.streams
                    .hit(&key, hit.uid, hit.at, quiet, hit.entities, everybody);
            let mut named = hit.entities.to_vec();
            if matches!(speech, Speech::First) {
                stream.seed(fired.count(), fired.first_at());
                named = fired.entities();
                for entity in &named {
                    stream.remember(entity);
                }
                fired.uids().for_each(|uid| stream.remember_event(uid));
            }
            let finding = speak(&*self.clock, above, &key, &speech, stream, named);
            self.emit(above, finding, hit.at, span, out);
        }
    }

    /// Hands the finding on, unless its rule speaks only while another goes on; opens the gate for those that wait
    /// for this rule.
    fn emit(
        &mut self,
        rule: &Rule,
        finding: Option<Finding>,
        at: i64,
        span: i64,
        out: &mut Vec<Finding>,
    ) {
        let at = Timestamp::from_unix_micros(at);
        if self.is_awaited(&rule.id) {
            let span = std::time::Duration::from_micros(span.unsigned_abs());
            let gate = Gate {
                from: at.minus(span),
                to: at.plus(span),
            };
            self.fired.insert(rule.id.clone(), gate);
            let (free, held) = std::mem::take(&mut self.held)
                .into_iter()
                .partition::<VecDeque<_>, _>(|(id, f)| {
                    *id == rule.id && gate.holds(f.last_event_at)
                });
            self.held = held;
            out.extend(free.into_iter().map(|(_, finding)| finding));
        }
        let Some(finding) = finding else { return };
        match &rule.hub.during {
            Some(other) if !self.fired.get(other).is_some_and(|gate| gate.holds(at)) => {
                if self.held.len() >= HELD {
                    self.held.pop_front();
                    self.lost += 1;
                }
                self.held.push_back((other.clone(), finding));
            }
            _ => out.push(finding),
        }
    }

    fn is_awaited(&self, id: &str) -> bool {
        self.rules.awaited.contains(id)
    }
}

impl Gate {
    fn holds(self, at: Timestamp) -> bool {
        at >= self.from && at <= self.to
    }
}

fn micros(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The finding that a stream makes of a hit, if it has something to say.
fn speak(
    clock: &dyn Clock,
    rule: &Rule,
    key: &str,
    speech: &Speech,
    stream: &Stream,
    mut named: Vec<Entity>,
) -> Option<Finding> {
    if matches!(speech, Speech::Nothing) {
        return None;
    }
    let primary = stream.primary.clone();
    named.retain(|entity| rule.hub.names(entity.kind) && !entity.is_same(&primary));
    named.insert(0, primary.clone());
    named.truncate(NAMED);
    let stream_key = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{key}\u{1f}{}", stream.start).as_bytes(),
    );
    Some(Finding {
        id: FindingId::new(clock),
        rule: rule.id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        techniques: rule.techniques.clone(),
        tactics: rule.tactics.clone(),
        summary: summary(rule, &primary, &named, stream.count),
        primary,
        entities: named,
        events: stream.events.iter().map(ToString::to_string).collect(),
        first_event_at: Timestamp::from_unix_micros(stream.first_at),
        last_event_at: Timestamp::from_unix_micros(stream.last_at),
        detected_at: clock.now(),
        count: stream.count,
        authors: rule.authors.clone(),
        dedup_key: format!("{}/{stream_key}/{}", rule.id, stream.number),
    })
}

/// One sentence for people.
fn summary(rule: &Rule, primary: &Entity, named: &[Entity], count: u64) -> String {
    let who = primary.name.as_deref().unwrap_or(&primary.value);
    let users = named
        .iter()
        .filter(|entity| entity.kind == EntityKind::User)
        .count();
    let addresses = named
        .iter()
        .filter(|entity| entity.kind == EntityKind::Address)
        .count();
    let what = rule.hub.summary.as_deref().unwrap_or(&rule.title);
    format!(
        "{what} ({}: {who}; events: {count}; users: {users}; addresses: {addresses})",
        primary.kind
    )
}
