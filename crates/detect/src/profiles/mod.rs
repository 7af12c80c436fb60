//! Behaviour models: what is usual for each user, key and session, learned from what succeeded, and laid beside each
//! of the hub's own events before rules see it. Rules hold the thresholds; here are only the facts.
//!
//! A new source counts as familiar only after [`PROBATION`]: an intruder's first success must not vouch for the
//! second. The very first source and device of all are familiar at once, or every new user would be an alarm.

mod learn;
pub(crate) mod repo;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use hub_base::Timestamp;
use hub_events::Event;
use serde_json::Value;

use crate::locations::{self, Location, LocationKind, Map};
use crate::view::HUB;

/// How long a new source must be known before it is familiar.
pub const PROBATION: Duration = Duration::from_hours(1);
/// Users and keys in memory at most; the one that was quiet the longest goes.
pub(crate) const SUBJECTS: usize = 50_000;
pub(crate) const SESSIONS: usize = 100_000;
/// Sources, and devices, of one subject.
const OF_A_SUBJECT: usize = 64;

/// When something was first and last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    pub(crate) is_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) point: (f64, f64),
    pub(crate) at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Subject {
    pub(crate) sources: HashMap<String, Seen>,
    pub(crate) devices: HashMap<String, Seen>,
    pub(crate) place: Option<Place>,
    touched: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) address: String,
    pub(crate) user_agent: String,
    pub(crate) last_at: Timestamp,
    pub(crate) touched: u64,
}

/// One tenant's behaviour models.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    pub(crate) subjects: HashMap<String, Subject>,
    pub(crate) sessions: HashMap<String, Session>,
    /// How many subjects have succeeded from each source.
    seen: HashMap<String, u32>,
    locations: Map,
    tick: u64,
    pub(crate) evicted: u64,
    pub(crate) dirty: Dirty,
}

/// What must be written with the worker's next commit.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) sources: HashSet<(String, String)>,
    pub(crate) devices: HashSet<(String, String)>,
    pub(crate) places: HashSet<String>,
    pub(crate) sessions: HashSet<String>,
}

/// The parts of an event that the models work with.
struct Facts {
    at: Timestamp,
    operation: String,
    succeeded: bool,
    /// The user or key whose habits count.
    subject: Option<String>,
    is_key: bool,
    address: Option<String>,
    device: Option<String>,
    session: Option<String>,
    user_agent: String,
}

impl Facts {
    fn of(event: &Event) -> Self {
        let text = |path: &str| event.text(path).map(str::to_owned);
        let operation = text("api.operation").unwrap_or_default();
        let key = text("actor.user.credential_uid");
        let is_key = key.is_some();
        let subject = if operation.starts_with("session.") || operation.starts_with("token.") {
            text("user.uid").or_else(|| text("actor.user.uid"))
        } else {
            key.or_else(|| text("actor.user.uid"))
                .or_else(|| text("user.uid"))
        };
        Self {
            at: event.time,
            succeeded: event.at("status_id").and_then(Value::as_u64) == Some(1),
            subject,
            is_key,
            address: text("src_endpoint.ip"),
            device: text("device.uid"),
            session: text("actor.session.uid").or_else(|| text("session.uid")),
            user_agent: text("http_request.user_agent").unwrap_or_default(),
            operation,
        }
    }

    fn is_login(&self) -> bool {
        self.operation == "session.begin" && self.succeeded
    }
}

impl Profiles {
    pub(crate) fn set_locations(&mut self, locations: Vec<Location>) {
        self.locations = Map::new(locations);
    }

    /// Lays what is known beside the event, then learns from it.
    pub(crate) fn enrich(&mut self, event: &mut Event) {
        if event.source.product == HUB {
            volume(event);
        }
        let Some(location) = self.locate(event) else {
            if event.source.product == HUB {
                self.compare(event, None);
            }
            return;
        };
        event.set("src_endpoint.location.country", location.country.clone());
        event.set("src_endpoint.location.city", location.city.clone());
        event.set("src_endpoint.location.lat", location.latitude);
        event.set("src_endpoint.location.long", location.longitude);
        event.set("unmapped.source.location", location.name.clone());
        event.set("unmapped.source.trusted", location.trusted);
        if event.source.product == HUB {
            self.compare(event, Some(&location));
        }
    }

    fn locate(&self, event: &Event) -> Option<Location> {
        if self.locations.is_empty() {
            return None;
        }
        let address: IpAddr = event.text("src_endpoint.ip")?.parse().ok()?;
        self.locations.find(address).cloned()
    }

    fn compare(&mut self, event: &mut Event, location: Option<&Location>) {
        let facts = Facts::of(event);
        self.tick += 1;
        self.compare_session(event, &facts);
        let Some(subject) = facts.subject.clone() else {
            if facts.address.is_some() {
                event.set("unmapped.source.familiar", false);
                event.set(
                    "unmapped.source.seen",
                    self.is_seen(&sources(&facts, location)),
                );
            }
            return;
        };
        let sources = sources(&facts, location);
        if !sources.is_empty() {
            self.compare_source(event, &facts, &subject, &sources);
        }
        if facts.operation.starts_with("session.") {
            self.compare_device(event, &facts, &subject);
        }
        if facts.is_login() {
            self.compare_place(event, &facts, &subject, location);
        }
        self.learn(&facts, &subject, &sources, location);
    }

    fn compare_source(&self, event: &mut Event, facts: &Facts, subject: &str, sources: &[String]) {
        let known = self
            .subjects
            .get(subject)
            .filter(|subject| !subject.sources.is_empty());
        let is_first = known.is_none_or(|known| {
            sources
                .iter()
                .any(|source| known.sources.get(source).is_some_and(|seen| seen.is_first))
        });
        let is_old = known.is_some_and(|known| {
            sources
                .iter()
                .filter_map(|source| known.sources.get(source))
                .any(|seen| facts.at.since(seen.first_at) >= PROBATION)
        });
        // A failure proves nobody's habits: of a user without any, it is not familiar.
        let familiar = is_old || (is_first && (facts.succeeded || known.is_some()));
        event.set("unmapped.source.familiar", familiar);
        event.set("unmapped.source.first", known.is_none());
        event.set("unmapped.source.seen", self.is_seen(sources));
    }

    fn is_seen(&self, sources: &[String]) -> bool {
        sources.iter().any(|source| self.seen.contains_key(source))
    }

    fn compare_device(&self, event: &mut Event, facts: &Facts, subject: &str) {
        let known = self.subjects.get(subject);
        let is_new_user = known.is_none_or(|known| known.sources.is_empty());
        // The first device of a user that can be recognised at all: its cookie came from an earlier sign-in.
        let is_first = facts.device.is_some() && known.is_none_or(|known| known.devices.is_empty());
        let familiar = facts.device.as_ref().is_some_and(|device| {
            known
                .and_then(|known| known.devices.get(device))
                .is_some_and(|seen| {
                    // The login that brought the device does not vouch for itself when it is read again.
                    seen.is_first || seen.first_at < facts.at
                })
        });
        event.set(
            "unmapped.device.familiar",
            familiar || (facts.succeeded && (is_new_user || is_first)),
        );
    }

    fn compare_place(
        &self,
        event: &mut Event,
        facts: &Facts,
        subject: &str,
        location: Option<&Location>,
    ) {
        // A trusted network or a VPN says nothing of where the person is, or that it is the person.
        let Some(location) = location.filter(|l| !l.trusted && l.kind != LocationKind::Vpn) else {
            return;
        };
        let Some(last) = self.subjects.get(subject).and_then(|known| known.place) else {
            return;
        };
        if last.at >= facts.at {
            return;
        }
        let km = locations::distance_km(last.point, (location.latitude, location.longitude));
        // Two logins within a second are as far apart as one second.
        let hours = facts.at.since(last.at).as_secs_f64().max(1.0) / 3600.0;
        event.set("unmapped.travel.km", km.round());
        event.set("unmapped.travel.speed_kmh", (km / hours).round());
    }

    fn compare_session(&self, event: &mut Event, facts: &Facts) {
        if facts.operation == "session.begin" {
            return;
        }
        let Some(address) = &facts.address else {
            return;
        };
        let Some(began) = facts
            .session
            .as_ref()
            .and_then(|session| self.sessions.get(session))
        else {
            return;
        };
        let moved = began.address != *address && began.user_agent != facts.user_agent;
        event.set("unmapped.session.moved", moved);
    }
}

/// The names under which the event's origin is remembered: its address, and the named location it lies in.
fn sources(facts: &Facts, location: Option<&Location>) -> Vec<String> {
    let address = facts
        .address
        .iter()
        .map(|address| format!("address:{address}"));
    let location = location.map(|location| format!("location:{}", location.name));
    address.chain(location).collect()
}

/// How much an event stands for: its count of requests or of records, whichever is more; at least 1.
fn volume(event: &mut Event) {
    let number = |path: &str| event.at(path).and_then(Value::as_u64).unwrap_or(1);
    let volume = number("count").max(number("unmapped.records")).max(1);
    event.set("unmapped.volume", volume);
}

#[cfg(test)]
mod tests;
