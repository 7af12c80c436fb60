//! Streams of findings: a continuing attack is one stream, which speaks at once, then only when somebody new takes
//! part or the number of hits has doubled.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::finding::{Entity, EntityKind};

/// Streams at most; beyond, the tenth that was quiet the longest goes.
const STREAMS: usize = 50_000;
/// Entities that a stream remembers to have named.
const KNOWN: usize = 5000;
/// Event uids that a finding names.
pub(crate) const EVENTS: usize = 100;

#[derive(Debug)]
pub(crate) struct Stream {
    /// The uid of the event that began it: part of each finding's key.
    pub(crate) start: Arc<str>,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) count: u64,
    pub(crate) primary: Entity,
    /// The number of the last finding, from 0.
    pub(crate) number: u32,
    pub(crate) events: VecDeque<Arc<str>>,
    next_mark: u64,
    known: HashSet<(EntityKind, String)>,
    touched: u64,
}

/// What a hit means for its stream.
pub(crate) enum Speech {
    /// A new stream: say everything.
    First,
    /// Those of the hit are new, or the count has doubled.
    Again,
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_key: HashMap<String, Stream>,
    tick: u64,
    pub(crate) evicted: u64,
}

impl Streams {
    /// Takes a hit into the stream `key`, or begins it if it was quiet for `quiet` microseconds.
    pub(crate) fn hit(
        &mut self,
        key: &str,
        uid: &Arc<str>,
        at: i64,
        quiet: i64,
        entities: &[Entity],
        primary: impl FnOnce() -> Entity,
    ) -> (Speech, &mut Stream) {
        self.make_room(key);
        self.tick += 1;
        let tick = self.tick;
        let goes_on = self.by_key.get(key).is_some_and(|stream| {
            at <= stream.last_at.saturating_add(quiet)
                && at >= stream.first_at.saturating_sub(quiet)
        });
        if !goes_on {
            let stream = Stream::begin(uid, at, primary());
            self.by_key.insert(key.to_owned(), stream);
        }
        let stream = self
            .by_key
            .entry(key.to_owned())
            .or_insert_with(|| Stream::begin(uid, at, Entity::new(EntityKind::Host, "")));
        stream.touched = tick;
        let is_news = stream.take(uid, at, entities);
        let speech = if !goes_on {
            Speech::First
        } else if is_news || stream.count >= stream.next_mark {
            stream.number += 1;
            Speech::Again
        } else {
            Speech::Nothing
        };
        if stream.count >= stream.next_mark {
            stream.next_mark = stream.count.saturating_mul(2);
        }
        (speech, stream)
    }

    fn make_room(&mut self, key: &str) {
        if self.by_key.len() < STREAMS || self.by_key.contains_key(key) {
            return;
        }
        let mut touched: Vec<u64> = self.by_key.values().map(|stream| stream.touched).collect();
        let (_, limit, _) = touched.select_nth_unstable(STREAMS / 10);
        let limit = *limit;
        let before = self.by_key.len();
        self.by_key.retain(|_, stream| stream.touched > limit);
        self.evicted += (before - self.by_key.len()) as u64;
    }
}

impl Stream {
    fn begin(uid: &Arc<str>, at: i64, primary: Entity) -> Self {
        Self {
            start: Arc::clone(uid),
            first_at: at,
            last_at: at,
            count: 0,
            primary,
            number: 0,
            events: VecDeque::new(),
            next_mark: 2,
            known: HashSet::new(),
            touched: 0,
        }
    }

    /// Counts the hit; says whether somebody new takes part who could be acted upon. New victims are no news by
    /// themselves: a spray that goes on would speak with every attempt.
    fn take(&mut self, uid: &Arc<str>, at: i64, entities: &[Entity]) -> bool {
        self.count += 1;
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
        self.remember_event(uid);
        let mut is_news = false;
        for entity in entities {
            is_news |= self.remember(entity) && entity.kind != EntityKind::User;
        }
        is_news
    }

    /// Notes that `entity` was named; false if it was before.
    pub(crate) fn remember(&mut self, entity: &Entity) -> bool {
        self.known.len() < KNOWN && self.known.insert((entity.kind, entity.value.clone()))
    }

    pub(crate) fn remember_event(&mut self, uid: &Arc<str>) {
        if self
            .events
            .iter()
            .rev()
            .take(EVENTS)
            .any(|known| known == uid)
        {
            return;
        }
        if self.events.len() >= EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Arc::clone(uid));
    }

    /// Takes in what a window held before the hit that met its condition.
    pub(crate) fn seed(&mut self, count: u64, first_at: i64) {
        self.count = self.count.max(count);
        self.first_at = self.first_at.min(first_at);
        self.next_mark = self.count.saturating_mul(2);
    }
}
