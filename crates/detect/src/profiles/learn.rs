//! What the models take from an event that succeeded.

use super::{Facts, OF_A_SUBJECT, Place, Profiles, SESSIONS, SUBJECTS, Seen, Session, Subject};
use crate::locations::{Location, LocationKind};

/// A source or device seen again is written at most this often.
const WRITE_EVERY: std::time::Duration = std::time::Duration::from_hours(1);

impl Profiles {
    pub(super) fn learn(
        &mut self,
        facts: &Facts,
        subject: &str,
        sources: &[String],
        location: Option<&Location>,
    ) {
        // People are known by their logins; a session may be in foreign hands. Keys have no logins.
        let counts = facts.is_login() || (facts.is_key && facts.succeeded);
        if !counts {
            return;
        }
        self.make_room();
        let tick = self.tick;
        let known = self.subjects.entry(subject.to_owned()).or_default();
        known.touched = tick;
        let is_first = known.sources.is_empty();
        for source in sources {
            if !known.sources.contains_key(source) {
                *self.seen.entry(source.clone()).or_default() += 1;
            }
            if note(&mut known.sources, source, facts, is_first) {
                self.dirty
                    .sources
                    .insert((subject.to_owned(), source.clone()));
            }
        }
        if let Some(device) = facts.device.as_ref().filter(|_| facts.is_login()) {
            let is_first = known.devices.is_empty();
            if note(&mut known.devices, device, facts, is_first) {
                self.dirty
                    .devices
                    .insert((subject.to_owned(), device.clone()));
            }
        }
        let place =
            location.filter(|l| !matches!(l.kind, LocationKind::Vpn | LocationKind::Mobile));
        if let Some(location) = place.filter(|_| facts.is_login())
            && known.place.is_none_or(|last| last.at < facts.at)
        {
            known.place = Some(Place {
                point: (location.latitude, location.longitude),
                at: facts.at,
            });
            self.dirty.places.insert(subject.to_owned());
        }
        if facts.is_login() {
            self.begin_session(facts);
        }
    }

    fn begin_session(&mut self, facts: &Facts) {
        let (Some(session), Some(address)) = (&facts.session, &facts.address) else {
            return;
        };
        if self.sessions.contains_key(session) {
            return;
        }
        if self.sessions.len() >= SESSIONS {
            let mut touched: Vec<u64> = self.sessions.values().map(|s| s.touched).collect();
            let (_, limit, _) = touched.select_nth_unstable(SESSIONS / 10);
            let limit = *limit;
            let before = self.sessions.len();
            self.sessions.retain(|_, session| session.touched > limit);
            self.evicted += (before - self.sessions.len()) as u64;
        }
        self.sessions.insert(
            session.clone(),
            Session {
                address: address.clone(),
                user_agent: facts.user_agent.clone(),
                last_at: facts.at,
                touched: self.tick,
            },
        );
        self.dirty.sessions.insert(session.clone());
    }

    fn make_room(&mut self) {
        if self.subjects.len() < SUBJECTS {
            return;
        }
        let mut touched: Vec<u64> = self.subjects.values().map(|s| s.touched).collect();
        let (_, limit, _) = touched.select_nth_unstable(SUBJECTS / 10);
        let limit = *limit;
        let before = self.subjects.len();
        let seen = &mut self.seen;
        self.subjects.retain(|_, subject| {
            let stays = subject.touched > limit;
            if !stays {
                subject
                    .sources
                    .keys()
                    .for_each(|source| forget(seen, source));
            }
            stays
        });
        self.evicted += (before - self.subjects.len()) as u64;
    }

    /// Takes in what was stored, the most recent first.
    pub(crate) fn restore_source(&mut self, subject: String, source: String, seen: Seen) {
        if self.subjects.len() >= SUBJECTS && !self.subjects.contains_key(&subject) {
            return;
        }
        *self.seen.entry(source.clone()).or_default() += 1;
        self.subjects
            .entry(subject)
            .or_default()
            .sources
            .insert(source, seen);
    }

    pub(crate) fn known(&mut self, subject: &str) -> Option<&mut Subject> {
        self.subjects.get_mut(subject)
    }
}

fn forget(seen: &mut std::collections::HashMap<String, u32>, source: &str) {
    if let Some(count) = seen.get_mut(source) {
        *count -= 1;
        if *count == 0 {
            seen.remove(source);
        }
    }
}

/// Notes that `name` was seen; says whether it must be written.
fn note(
    all: &mut std::collections::HashMap<String, Seen>,
    name: &str,
    facts: &Facts,
    is_first: bool,
) -> bool {
    if let Some(seen) = all.get_mut(name) {
        let is_due = facts.at.since(seen.last_at) >= WRITE_EVERY;
        if is_due {
            seen.last_at = facts.at;
        }
        return is_due;
    }
    if all.len() >= OF_A_SUBJECT
        && let Some(oldest) = all
            .iter()
            .min_by_key(|(_, seen)| seen.last_at)
            .map(|(name, _)| name.clone())
    {
        all.remove(&oldest);
    }
    all.insert(
        name.to_owned(),
        Seen {
            first_at: facts.at,
            last_at: facts.at,
            is_first,
        },
    );
    true
}
