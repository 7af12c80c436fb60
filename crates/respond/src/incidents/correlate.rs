//! Which incident a finding belongs to. A pure function: one attack, one incident; attacks that run at the
//! same time stay apart.

use std::time::Duration;

use hub_base::{IncidentId, Timestamp};
use hub_detect::{Entity, EntityKind, Finding};

use super::Role;

/// An incident takes a finding only within this time of its activity.
pub const WINDOW: Duration = Duration::from_hours(1);

/// An open incident as far as correlation needs it.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub id: IncidentId,
    pub number: i64,
    pub first_activity_at: Timestamp,
    pub last_activity_at: Timestamp,
    /// The entities it holds (those of the finding are enough).
    pub entities: Vec<(EntityKind, String, Role)>,
}

/// What a finding shares with an incident, the strongest tie last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    /// It is about one that the incident's attack was merely aimed at, and says nothing of where from.
    Target,
    /// It is about somebody who is already in this attacker's hands.
    Victim,
    /// It comes from an address that this incident's attacker uses.
    Attacker,
    /// It is about the very same thing.
    Primary,
}

/// The incident that `finding` belongs to; `None` opens a new one.
pub fn correlate(open: &[Candidate], finding: &Finding) -> Option<IncidentId> {
    let near: Vec<&Candidate> = open.iter().filter(|c| is_near(c, finding)).collect();
    let aimed_at = near
        .iter()
        .filter(|c| tie(c, finding) == Some(Tie::Target))
        .count();
    near.into_iter()
        .filter_map(|candidate| Some((tie(candidate, finding)?, candidate)))
        // Two attacks on one target: nothing says whose work this is.
        .filter(|(tie, _)| *tie != Tie::Target || aimed_at == 1)
        .max_by_key(|(tie, c)| (*tie, c.last_activity_at, std::cmp::Reverse(c.number)))
        .map(|(_, candidate)| candidate.id)
}

fn is_near(candidate: &Candidate, finding: &Finding) -> bool {
    finding.first_event_at <= candidate.last_activity_at.plus(WINDOW)
        && finding.last_event_at >= candidate.first_activity_at.minus(WINDOW)
}

fn tie(candidate: &Candidate, finding: &Finding) -> Option<Tie> {
    let primary = &finding.primary;
    let role = role_of(candidate, primary);
    if role == Some(Role::Primary) {
        return Some(Tie::Primary);
    }
    match primary.kind {
        // An address that is one incident's attacker is not taken over by another.
        EntityKind::Address => (role == Some(Role::Attacker)).then_some(Tie::Attacker),
        // Campaigns and hosts are grouped by their name alone.
        EntityKind::Campaign | EntityKind::Host => None,
        EntityKind::User | EntityKind::Session | EntityKind::ApiKey | EntityKind::CloudIdentity => {
            tie_of_victim(candidate, finding, role)
        }
    }
}

fn tie_of_victim(candidate: &Candidate, finding: &Finding, role: Option<Role>) -> Option<Tie> {
    let mut addresses = finding
        .entities
        .iter()
        .filter(|e| e.kind == EntityKind::Address)
        .peekable();
    let says_where_from = addresses.peek().is_some();
    let is_attacker = |address: &Entity| {
        matches!(
            role_of(candidate, address),
            Some(Role::Primary | Role::Attacker)
        )
    };
    if addresses.any(is_attacker) {
        return Some(Tie::Attacker);
    }
    // A session's user, a user's key: somebody of the finding is in this attacker's hands already.
    let is_in_hand = |entity: &Entity| {
        is_somebody(entity.kind)
            && matches!(
                role_of(candidate, entity),
                Some(Role::Primary | Role::Compromised)
            )
    };
    if finding
        .entities
        .iter()
        .chain([&finding.primary])
        .any(is_in_hand)
    {
        return Some(Tie::Victim);
    }
    (role == Some(Role::Target) && !says_where_from).then_some(Tie::Target)
}

fn role_of(candidate: &Candidate, entity: &Entity) -> Option<Role> {
    candidate
        .entities
        .iter()
        .find(|(kind, value, _)| *kind == entity.kind && *value == entity.value)
        .map(|(_, _, role)| *role)
}

/// Whether entities of this kind act: people, their sessions and keys.
const fn is_somebody(kind: EntityKind) -> bool {
    matches!(
        kind,
        EntityKind::User | EntityKind::Session | EntityKind::ApiKey | EntityKind::CloudIdentity
    )
}

/// The part that `entity` of `finding` plays. Where the finding is about an address or a campaign, people are
/// what it aims at; where it is about somebody, they are in the attacker's hands.
pub fn role(finding: &Finding, entity: &Entity) -> Role {
    match entity.kind {
        EntityKind::Address => Role::Attacker,
        kind if is_somebody(kind) && is_somebody(finding.primary.kind) => Role::Compromised,
        _ => Role::Target,
    }
}

#[cfg(test)]
mod tests {
    use hub_base::{Clock, ManualClock};

    use super::*;
    use crate::testing::{entity, finding};

    /// An open incident active from minute 0 to 10 with `kind:value=role` entities.
    fn open(number: i64, entities: &[&str]) -> Candidate {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(number));
        let entities = entities.iter().map(|text| {
            let (what, role) = text.split_once('=').unwrap();
            let entity = entity(what);
            (entity.kind, entity.value, Role::parse(role).unwrap())
        });
        Candidate {
            id: IncidentId::new(&clock),
            number,
            first_activity_at: minute(0),
            last_activity_at: minute(10),
            entities: entities.collect(),
        }
    }

    fn minute(n: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + n * 60)
    }

    /// `0` opens a new incident.
    #[track_caller]
    fn check(open: &[Candidate], primary: &str, entities: &[&str], at: i64, expected: i64) {
        let clock = ManualClock::at(minute(at));
        let mut finding = finding("r", primary, entities, &clock);
        finding.first_event_at = clock.now();
        finding.last_event_at = clock.now();
        let found = correlate(open, &finding)
            .map_or(0, |id| open.iter().find(|c| c.id == id).unwrap().number);
        assert_eq!(found, expected, "{primary} {entities:?} at minute {at}");
    }

    #[test]
    fn a_finding_goes_where_its_attack_is() {
        let spray = open(
            1,
            &[
                "address:10.0.0.1=primary",
                "user:ada=target",
                "user:bob=target",
            ],
        );
        let taken = open(
            2,
            &[
                "user:eve=primary",
                "address:10.0.0.2=attacker",
                "session:s=compromised",
            ],
        );
        let stuffing = open(
            3,
            &[
                "campaign:credential-stuffing=primary",
                "address:10.0.0.3=attacker",
                "user:ada=target",
            ],
        );
        let all = [spray, taken, stuffing];
        let cases: &[(&str, &[&str], i64)] = &[
            // the very same thing
            ("address:10.0.0.1", &["user:zoe"], 1),
            ("user:eve", &["address:10.9.9.9"], 2),
            ("campaign:credential-stuffing", &["address:10.0.0.1"], 3),
            // an attacker's address stays with its incident
            ("address:10.0.0.2", &[], 2),
            ("address:10.0.0.3", &["user:eve"], 3),
            // somebody, attacked from a known address
            ("user:ada", &["address:10.0.0.1"], 1),
            ("user:ada", &["address:10.0.0.3"], 3),
            ("api_key:k", &["address:10.0.0.2"], 2),
            // in the attacker's hands already
            ("session:s", &["address:10.9.9.9"], 2),
            ("session:t", &["user:eve"], 2),
            // a mere target, from elsewhere or from nowhere known: another attack
            ("user:bob", &["address:10.9.9.9"], 0),
            ("user:bob", &[], 1),
            ("user:ada", &[], 0),
            // nothing in common
            ("address:10.9.9.9", &["user:ada", "user:bob"], 0),
            ("campaign:other", &["address:10.0.0.3"], 0),
            ("user:new", &["address:10.9.9.9"], 0),
        ];
        for (primary, entities, expected) in cases {
            check(&all, primary, entities, 12, *expected);
        }
    }

    #[test]
    fn an_hour_of_quiet_ends_an_incident() {
        let spray = [open(1, &["address:10.0.0.1=primary"])];
        check(&spray, "address:10.0.0.1", &[], 70, 1);
        check(&spray, "address:10.0.0.1", &[], 71, 0);
        check(&spray, "address:10.0.0.1", &[], -60, 1);
        check(&spray, "address:10.0.0.1", &[], -61, 0);
    }

    #[test]
    fn of_two_that_fit_the_livelier_takes_it() {
        let quiet = open(1, &["address:10.0.0.1=attacker"]);
        let mut lively = open(2, &["address:10.0.0.1=attacker"]);
        lively.last_activity_at = minute(11);
        check(
            &[quiet.clone(), lively.clone()],
            "user:x",
            &["address:10.0.0.1"],
            12,
            2,
        );
        check(&[lively, quiet], "user:x", &["address:10.0.0.1"], 12, 2);
    }

    #[test]
    fn people_are_targets_of_an_address_and_victims_of_an_intruder() {
        let clock = ManualClock::at(minute(0));
        let spray = finding("r", "address:10.0.0.1", &["user:ada"], &clock);
        assert_eq!(role(&spray, &entity("user:ada")), Role::Target);
        let taken = finding("r", "user:ada", &["address:10.0.0.1", "api_key:k"], &clock);
        assert_eq!(role(&taken, &entity("api_key:k")), Role::Compromised);
        assert_eq!(role(&taken, &entity("address:10.0.0.1")), Role::Attacker);
    }
}
