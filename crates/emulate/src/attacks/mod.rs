//! The attacks. Each knows its own truth: which addresses it came from, whom it was aimed at, what got through.

mod guessing;
mod misuse;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use hub_base::{Clock, SystemClock, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::actor::{Actor, Reply, Stage};
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

/// Which people an attack is aimed at, by their place in the cast. Nobody plays two parts.
fn victims(
    kind: AttackKind,
    cast: &Cast,
    nth: usize,
    scenario: &Scenario,
    place: &Place,
) -> Vec<Person> {
    // Somebody who works in the country that the attack comes from: no travel betrays it.
    let nearby = |person: &Person| {
        let IpAddr::V4(address) = person.actor.address else {
            return false;
        };
        let home = scenario
            .places
            .iter()
            .find(|home| home.octet == address.octets()[1]);
        home.is_some_and(|home| home.country == place.country)
    };
    let from = 40 + nth * 8;
    let pick = |wanted: &dyn Fn(&Person) -> bool, count: usize| {
        let found = cast
            .people
            .iter()
            .skip(from)
            .filter(|person| wanted(person))
            .take(count);
        found.cloned().collect::<Vec<_>>()
    };
    match kind {
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
fn accomplice(cast: &Cast) -> Option<Person> {
    let behind = cast.people.iter().skip(120).take(30);
    let mut behind = behind.filter(|person| person.roles.iter().any(|role| role == "trader"));
    behind.next().cloned()
}

/// An attack under way.
type Task = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Every attack of the scenario, and the task that will carry it out after its start.
pub(crate) fn prepare(scenario: &Scenario, cast: &Cast) -> Vec<(Attack, Task)> {
    let mut prepared: Vec<(Attack, Task)> = Vec::new();
    for (nth, spec) in scenario.attacks.iter().enumerate() {
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
                .skip(150)
                .map(|person| person.username.clone())
                .collect(),
            victims: victims(spec.kind, cast, nth, scenario, place),
            accomplice: accomplice(cast),
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
