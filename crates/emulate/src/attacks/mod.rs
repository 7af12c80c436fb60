//! The attacks. Each knows its own truth: which addresses it came from, whom it was aimed at, what got through.

mod guessing;
mod misuse;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use hub_base::{Clock, SystemClock, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::actor::{Actor, Reply, Stage};
use crate::benign::FORGETFUL;
use crate::error::Error;
use crate::population::{Cast, Person, Program};
use crate::scenario::{AttackKind, AttackSpec, Place, Scenario};

/// One hostile request.
#[derive(Debug, Clone, Copy)]
pub struct Shot {
    pub at: Timestamp,
    pub succeeded: bool,
}

/// A session or key that opened a door for an attacker.
#[derive(Debug, Clone)]
pub struct WayIn {
    pub actor: Actor,
    /// What it can read while it works.
    pub path: &'static str,
}

/// What an attack really was.
#[derive(Debug, Default)]
pub struct Truth {
    /// Addresses it came from.
    pub addresses: Vec<IpAddr>,
    /// Ids of people it took over or aimed at alone.
    pub victims: Vec<String>,
    /// Ids of those whose account really is in its hands: to lock them is right, to lock anybody else is not.
    pub taken: Vec<String>,
    /// Ids of API keys it stole.
    pub keys: Vec<String>,
    /// Sessions and keys with which it once got in, where it got in from, and a path that showed it.
    pub ways_in: Vec<WayIn>,
    pub began: Option<Timestamp>,
    pub shots: Vec<Shot>,
}

/// An attack with its truth, which grows while it runs.
#[derive(Debug, Clone)]
pub struct Attack {
    pub spec: AttackSpec,
    pub truth: Arc<Mutex<Truth>>,
}

impl Attack {
    fn new(spec: &AttackSpec) -> Self {
        Self {
            spec: spec.clone(),
            truth: Arc::default(),
        }
    }

    /// A look at the truth so far.
    pub fn with_truth<T>(&self, look: impl FnOnce(&mut Truth) -> T) -> T {
        look(&mut self.truth.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shot(&self, reply: &Reply) {
        self.with_truth(|truth| {
            truth.shots.push(Shot {
                at: reply.at,
                succeeded: reply.succeeded(),
            });
        });
    }

    /// The attacker is in; whether that lasts is tried again at the end.
    fn is_in(&self, actor: &Actor, path: &'static str) {
        let actor = actor.clone();
        self.with_truth(|truth| truth.ways_in.push(WayIn { actor, path }));
    }

    fn begin(&self) {
        self.with_truth(|truth| truth.began = Some(SystemClock.now()));
    }
}

/// What an attack has to work with.
struct Means {
    attack: Attack,
    tenant: String,
    stage: Stage,
    place: Place,
    rng: StdRng,
    /// Names that a list of employees would give.
    names: Vec<String>,
    /// People whose right credentials leaked, for this attack only.
    victims: Vec<Person>,
    robbed: Program,
    /// Who is to be made strong by an intruder.
    accomplice: Option<Person>,
}

impl Means {
    fn attacker(&self, n: usize, agent: &str) -> Result<Actor, Error> {
        let address = IpAddr::from(self.place.address(self.base() + n));
        Actor::attacker(&self.stage, address, agent)
    }

    /// Attacks from one place keep to addresses of their own.
    fn base(&self) -> usize {
        self.attack
            .spec
            .id
            .bytes()
            .fold(7, |hash, byte| (hash * 31 + usize::from(byte)) % 40_000)
            + 1000
    }

    fn came_from(&self, actors: &[Actor]) {
        self.attack.with_truth(|truth| {
            truth.addresses = actors.iter().map(|actor| actor.address).collect();
        });
    }

    fn aims_at(&self, people: &[Person]) {
        let ids: Vec<String> = people.iter().map(|person| person.id.clone()).collect();
        self.attack.with_truth(|truth| {
            // Who is only guessed at has lost nothing, and must go on working.
            if self.attack.spec.kind != AttackKind::BruteForce {
                truth.taken.clone_from(&ids);
            }
            truth.victims = ids;
        });
    }
}

/// How many people the parts were cast for; among fewer, parts stand closer together.
const CAST_FOR: usize = 320;

/// The place of a part among `users` people.
fn seat(users: usize, of_all: usize) -> usize {
    of_all * users.min(CAST_FOR) / CAST_FOR
}

/// Which people an attack is aimed at, by their place in the cast. Nobody plays two parts: `cast_already` holds ids.
fn victims(
    cast: &Cast,
    nth: usize,
    scenario: &Scenario,
    spec: &AttackSpec,
    cast_already: &BTreeSet<String>,
) -> Vec<Person> {
    let country = scenario
        .place(&spec.from)
        .map_or("", |place| place.country.as_str());
    // Somebody who works in the country that the attack comes from: no travel betrays it.
    let nearby = |person: &Person| {
        let IpAddr::V4(address) = person.actor.address else {
            return false;
        };
        let home = scenario
            .places
            .iter()
            .find(|home| home.octet == address.octets()[1]);
        home.is_some_and(|home| home.country == country)
    };
    // Behind those who play a part at work.
    let from = seat(cast.people.len(), 40 + nth * 8).max(FORGETFUL + scenario.population.forgetful);
    let pick = |wanted: &dyn Fn(&Person) -> bool, count: usize| {
        let found = cast
            .people
            .iter()
            .skip(from)
            .filter(|person| wanted(person) && !cast_already.contains(&person.id))
            .take(count);
        found.cloned().collect::<Vec<_>>()
    };
    match spec.kind {
        AttackKind::PasswordSpraying | AttackKind::ApiKeyAbuse => Vec::new(),
        AttackKind::CredentialStuffing => {
            pick(&|person| person.roles.contains(&"trader".to_owned()), 3)
        }
        AttackKind::AccountManipulation => pick(
            &|person| person.roles.contains(&"admin".to_owned()) && nearby(person),
            1,
        ),
        AttackKind::BruteForce
        | AttackKind::AccountTakeover
        | AttackKind::SessionReplay
        | AttackKind::PrivilegeEscalation => {
            pick(&|person| person.roles.contains(&"trader".to_owned()), 1)
        }
    }
}

/// Somebody of few rights who takes no other part.
fn accomplice(cast: &Cast, cast_already: &BTreeSet<String>) -> Option<Person> {
    let behind = cast.people.iter().skip(seat(cast.people.len(), 120));
    let is_weak = |person: &&Person| person.roles.iter().any(|role| role == "trader");
    let mut behind = behind
        .filter(is_weak)
        .filter(|person| !cast_already.contains(&person.id));
    behind.next().cloned()
}

/// The victims of each attack, in the scenario's order, and the ids of all of them.
fn all_victims(scenario: &Scenario, cast: &Cast) -> (Vec<Vec<Person>>, BTreeSet<String>) {
    let mut cast_already = BTreeSet::new();
    let mut chosen = Vec::with_capacity(scenario.attacks.len());
    for (nth, spec) in scenario.attacks.iter().enumerate() {
        let victims = victims(cast, nth, scenario, spec, &cast_already);
        cast_already.extend(victims.iter().map(|person| person.id.clone()));
        chosen.push(victims);
    }
    (chosen, cast_already)
}

/// An attack under way.
type Task = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Every attack of the scenario, and the task that will carry it out after its start.
pub(crate) fn prepare(scenario: &Scenario, cast: &Cast) -> Vec<(Attack, Task)> {
    let mut prepared: Vec<(Attack, Task)> = Vec::new();
    let (victims, cast_already) = all_victims(scenario, cast);
    for (nth, (spec, victims)) in scenario.attacks.iter().zip(victims).enumerate() {
        let Some(place) = scenario.place(&spec.from) else {
            continue;
        };
        let attack = Attack::new(spec);
        let means = Means {
            attack: attack.clone(),
            tenant: cast.tenant.clone(),
            stage: cast.stage.clone(),
            place: place.clone(),
            rng: StdRng::seed_from_u64(scenario.seed ^ (nth as u64 + 1) << 32),
            names: cast
                .people
                .iter()
                .skip(seat(cast.people.len(), 150))
                .map(|person| person.username.clone())
                .collect(),
            victims,
            accomplice: accomplice(cast, &cast_already),
            robbed: cast.robbed.clone(),
        };
        means.aims_at(&means.victims);
        let start = spec.start.0;
        prepared.push((
            attack,
            Box::pin(async move {
                tokio::time::sleep(start).await;
                carry_out(means).await
            }),
        ));
    }
    prepared
}

async fn carry_out(means: Means) -> Result<(), Error> {
    match means.attack.spec.kind {
        AttackKind::PasswordSpraying => guessing::spray(means).await,
        AttackKind::BruteForce => guessing::brute_force(means).await,
        AttackKind::CredentialStuffing => guessing::stuffing(means).await,
        AttackKind::AccountTakeover => misuse::takeover(means).await,
        AttackKind::SessionReplay => misuse::replay(means).await,
        AttackKind::PrivilegeEscalation => misuse::escalation(means).await,
        AttackKind::ApiKeyAbuse => misuse::bulk_read(means).await,
        AttackKind::AccountManipulation => misuse::manipulation(means).await,
    }
}
