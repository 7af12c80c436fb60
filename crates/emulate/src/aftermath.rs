//! After the attacks: who was wronged, how prompt the hub was by its own account, and whether a containment can be taken back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use hub_base::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::attacks::Attack;
use crate::benign;
use crate::error::Error;
use crate::judge::{self, Incident};
use crate::population::{Cast, OPERATIONS, Person};
use crate::report::{Promptness, Release};
use crate::scenario::{AttackKind, Scenario};

/// Everybody benign who can no longer work, shown by real requests, and every address that is blocked without cause.
/// People whose accounts an attacker holds are not benign traffic; people who were only guessed at are.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Refused`]: what could not be asked is never taken for an answer.
pub(crate) async fn wronged(
    cast: &Cast,
    attacks: &[Attack],
    scenario: &Scenario,
) -> Result<Vec<String>, Error> {
    let taken: BTreeSet<String> = each(attacks, |truth| truth.taken.clone());
    let people = cast.people.iter().enumerate();
    let asked: Vec<Option<String>> = stream::iter(people)
        .filter(|(_, person)| std::future::ready(!taken.contains(&person.id)))
        .map(|(n, person)| still_works(cast, scenario, n, person))
        .buffer_unordered(16)
        .try_collect()
        .await?;
    let mut wronged: Vec<String> = asked.into_iter().flatten().collect();
    for program in cast.programs.iter().chain([&cast.batch]) {
        let path = "/api/v2/users?limit=1";
        let reply = program.actor.send(Method::GET, path, None).await?;
        if !reply.succeeded() {
            wronged.push(format!("{} ({})", program.name, reply.status));
        }
    }
    wronged.extend(blocked_without_cause(cast, attacks).await?);
    wronged.sort();
    Ok(wronged)
}

/// What a person can no longer do, if anything: use the session of the morning; for the clumsy and the travelling, sign in.
async fn still_works(
    cast: &Cast,
    scenario: &Scenario,
    n: usize,
    person: &Person,
) -> Result<Option<String>, Error> {
    let mut kept = person.actor.clone();
    kept.bearer = None;
    let still = kept.send(Method::GET, "/api/v2/me", None).await?;
    if !still.succeeded() {
        let why = format!("{} (session answered {})", person.username, still.status);
        return Ok(Some(why));
    }
    let away = scenario.place(&scenario.population.traveller_at);
    let mut again = match (n, away) {
        (benign::TRAVELLER, Some(away)) => {
            let address = away.address(n).into();
            let mut abroad = Actor::new(&cast.stage, address, &person.actor.agent)?;
            abroad.device.clone_from(&person.actor.device);
            abroad
        }
        (benign::CLUMSY, _) => person.actor.signed_out(),
        _ => return Ok(None),
    };
    let reply = again
        .sign_in(&cast.tenant, &person.username, &person.password)
        .await?;
    let why = || format!("{} (signing in answered {})", person.username, reply.status);
    Ok((!reply.succeeded()).then(why))
}

/// Blocks that hit an address no attack came from.
async fn blocked_without_cause(cast: &Cast, attacks: &[Attack]) -> Result<Vec<String>, Error> {
    let hostile: BTreeSet<IpAddr> = each(attacks, |truth| truth.addresses.clone());
    let body = cast.owner.must(Method::GET, "/api/v2/blocks", None).await?;
    let networks = list(&body, "items");
    let networks = networks
        .iter()
        .filter_map(|block| block.get("network")?.as_str());
    let fair = |network: &str| {
        let address = network.split('/').next().unwrap_or_default();
        let alone = network.ends_with("/32") || network.ends_with("/128") || !network.contains('/');
        alone
            && address
                .parse()
                .is_ok_and(|address: IpAddr| hostile.contains(&address))
    };
    Ok(networks
        .filter(|network| !fair(network))
        .map(|network| format!("address {network}"))
        .collect())
}

/// A set of what each attack's truth tells.
fn each<T: Ord>(
    attacks: &[Attack],
    tell: impl Fn(&crate::attacks::Truth) -> Vec<T>,
) -> BTreeSet<T> {
    attacks
        .iter()
        .flat_map(|attack| attack.with_truth(|truth| tell(truth)))
        .collect()
}

fn list(body: &Value, name: &str) -> Vec<Value> {
    body.get(name)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

fn time(body: &Value, name: &str) -> Option<Timestamp> {
    body.get(name)?.as_str()?.parse().ok()
}

fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<u64> {
    u64::try_from(to?.since(from?).as_millis()).ok()
}

/// Whether the owner can open the console from where this runs and stays let in; if not, what happened. The last thing
/// asked: who is thrown out here can ask nothing more.
///
/// # Errors
/// [`Error::Unreachable`].
pub(crate) async fn console(cast: &Cast) -> Result<Option<String>, Error> {
    let mut desk = Actor::new(&cast.stage, OPERATIONS, "Mozilla/5.0 (console)")?;
    let opened = desk
        .sign_in(&cast.tenant, "owner", &cast.owner_password)
        .await?;
    if !opened.succeeded() {
        return Ok(Some(format!(
            "owner (signing in to the console answered {})",
            opened.status
        )));
    }
    // Containment follows a sign-in, it does not precede it.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let reply = desk.send(Method::GET, "/api/v2/me", None).await?;
        if !reply.succeeded() {
            return Ok(Some(format!(
                "owner (thrown out of the console with {})",
                reply.status
            )));
        }
    }
    Ok(None)
}

/// How many of an attacker's sessions and keys still open a door, tried from an address that nobody has blocked: to have
/// shut out an address is not to have ended what was stolen.
///
/// # Errors
/// [`Error::Unreachable`].
pub(crate) async fn footholds(attacks: &[Attack]) -> Result<Vec<usize>, Error> {
    let mut kept = Vec::with_capacity(attacks.len());
    for attack in attacks {
        let mut works = 0;
        for way in attack.with_truth(|truth| truth.ways_in.clone()) {
            let elsewhere = way.actor.moved_to(fresh(way.actor.address))?;
            let by_token = elsewhere.send(Method::GET, way.path, None).await?;
            // An access token ends by itself; the session behind it may not have.
            let by_cookie = elsewhere.carrying(None);
            let by_cookie = by_cookie.send(Method::GET, way.path, None).await?;
            works += usize::from(by_token.succeeded() || by_cookie.succeeded());
        }
        kept.push(works);
    }
    Ok(kept)
}

/// Another address of the same network, from the part that no place gives out.
fn fresh(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            IpAddr::from([a, b, c ^ 0b1000_0000, d])
        }
        IpAddr::V6(_) => address,
    }
}

/// From the event that completed a pattern to its finding, and to the first containment of its incident.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Refused`].
pub(crate) async fn promptness(owner: &Actor, incidents: &[Incident]) -> Result<Promptness, Error> {
    let (mut to_finding, mut to_containment) = (Vec::new(), Vec::new());
    for incident in incidents {
        let path = format!("/api/v2/incidents/{}", incident.id);
        let case = owner.must(Method::GET, &path, None).await?;
        let findings = list(&case, "findings");
        to_finding.extend(
            findings
                .iter()
                .filter_map(|f| between(time(f, "last_event_at"), time(f, "detected_at"))),
        );
        let first = findings
            .iter()
            .filter_map(|f| time(f, "last_event_at"))
            .min();
        to_containment.extend(between(first, incident.contained_at));
    }
    Ok(Promptness::of(to_finding, to_containment))
}

/// Takes back the block on a guesser's address, and shows by requests that it was refused before and served after.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Refused`].
pub(crate) async fn release_one(
    cast: &Cast,
    attacks: &[Attack],
    incidents: &[Incident],
) -> Result<Option<Release>, Error> {
    let guessing = |attack: &Attack| {
        matches!(
            attack.spec.kind,
            AttackKind::PasswordSpraying | AttackKind::BruteForce
        )
    };
    let Some(nth) = attacks.iter().position(guessing) else {
        return Ok(None);
    };
    let address = attacks
        .get(nth)
        .and_then(|a| a.with_truth(|truth| truth.addresses.first().copied()));
    let incident = incidents
        .iter()
        .find(|i| judge::attribute(i, attacks) == Some(nth));
    let (Some(address), Some(incident)) = (address, incident) else {
        return Ok(None);
    };
    let path = format!("/api/v2/incidents/{}", incident.id);
    let case = cast.owner.must(Method::GET, &path, None).await?;
    let target = address.to_string();
    let actions = list(&case, "actions");
    let action = actions.iter().find(|action| is_block_of(action, &target));
    let Some(id) = action.and_then(|action| action.get("id")?.as_str()) else {
        return Ok(None);
    };
    let prober = Actor::attacker(&cast.stage, address, "prober")?;
    let probe = json!({"tenant": cast.tenant, "username": "nobody", "password": "not a password"});
    let knock = || prober.send(Method::POST, "/api/v2/login", Some(probe.clone()));
    let before = knock().await?;
    let reason = json!({"reason": "shown to be reversible by the emulation"});
    let release = format!("{path}/actions/{id}/release");
    cast.owner
        .must(Method::POST, &release, Some(reason))
        .await?;
    let after = knock().await?;
    Ok(Some(Release {
        incident: incident.number,
        action: "block_address".into(),
        target,
        status_before: before.status,
        status_after: after.status,
    }))
}

fn is_block_of(action: &Value, address: &str) -> bool {
    let is = |name: &str, wanted: &str| action.get(name).and_then(Value::as_str) == Some(wanted);
    let value = action.pointer("/target/value").and_then(Value::as_str);
    is("kind", "block_address") && is("state", "applied") && value == Some(address)
}
