//! People and programs at work, until the working time is over.

use std::sync::Arc;
use std::time::Duration;

use hub_base::{Clock, SystemClock, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::population::{Cast, Person, Program};
use crate::scenario::Scenario;

/// Who plays a part of their own among the people; everybody else just works. Victims are chosen behind them.
pub(crate) const CLUMSY: usize = 0;
pub(crate) const TRAVELLER: usize = 1;
pub(crate) const FORGETFUL: usize = 2;

/// One person at work: small things with pauses between.
async fn work(mut person: Person, mut rng: StdRng, pause: Duration, until: Timestamp) {
    loop {
        let wait = pause.mul_f64(rng.random_range(0.5..1.5));
        if SystemClock.now().plus(wait) >= until {
            return;
        }
        sleep(wait).await;
        let done = match rng.random_range(0..100) {
            0..40 => {
                let body = json!({"subject": {"type": "user", "id": person.id}, "action": {"name": "read"},
                    "resource": {"type": "order", "id": rng.random_range(1..5000).to_string()}});
                person
                    .actor
                    .send(Method::POST, "/access/v1/evaluation", Some(body))
                    .await
            }
            40..80 => person.actor.send(Method::GET, "/api/v2/me", None).await,
            80..95 => person.actor.renew().await,
            95..99 => {
                person
                    .actor
                    .send(Method::GET, "/api/v2/sessions", None)
                    .await
            }
            // Somebody clicks where they may not; it happens.
            _ => person.actor.send(Method::GET, "/api/v2/users", None).await,
        };
        if done.is_err() {
            // The server is gone; the run will say so itself.
            return;
        }
    }
}

async fn program(program: Program, mut rng: StdRng, until: Timestamp) {
    loop {
        let wait = Duration::from_millis(rng.random_range(1500..4000));
        if SystemClock.now().plus(wait) >= until {
            return;
        }
        sleep(wait).await;
        if program
            .actor
            .send(Method::GET, "/api/v2/users?limit=10", None)
            .await
            .is_err()
        {
            return;
        }
    }
}

/// The nightly batch: much reading at once, by its own key from its own address.
async fn batch(program: Program, reads: usize) {
    sleep(Duration::from_secs(6)).await;
    for page in 0..reads.div_ceil(20) {
        let path = format!(
            "/api/v2/users?limit=20&after={}",
            char::from(b'a' + (page % 26) as u8)
        );
        if program.actor.send(Method::GET, &path, None).await.is_err() {
            return;
        }
    }
}

async fn clumsy(mut person: Person, tenant: Arc<str>, mistypes: usize) {
    sleep(Duration::from_secs(3)).await;
    for n in 0..mistypes {
        let wrong = format!("{}{n}", person.password.chars().rev().collect::<String>());
        if person
            .actor
            .sign_in(&tenant, &person.username, &wrong)
            .await
            .is_err()
        {
            return;
        }
        sleep(Duration::from_millis(1800)).await;
    }
    let password = person.password.clone();
    // What comes of it is judged at the end by a real request.
    let _seen = person
        .actor
        .sign_in(&tenant, &person.username, &password)
        .await;
}

async fn traveller(
    person: Person,
    tenant: Arc<str>,
    address: std::net::IpAddr,
    stage: crate::actor::Stage,
) {
    sleep(Duration::from_secs(9)).await;
    let Ok(mut abroad) = crate::actor::Actor::new(&stage, address, &person.actor.agent) else {
        return;
    };
    abroad.device.clone_from(&person.actor.device);
    for _ in 0..2 {
        if abroad
            .sign_in(&tenant, &person.username, &person.password)
            .await
            .is_err()
        {
            return;
        }
        for _ in 0..5 {
            sleep(Duration::from_secs(2)).await;
            let _seen = abroad.send(Method::GET, "/api/v2/me", None).await;
        }
    }
}

async fn forgetful(person: Person, tenant: Arc<str>, after: Duration) {
    sleep(after).await;
    let body = json!({"tenant": &*tenant, "username": person.username});
    let stranger = person.actor.signed_out();
    let _seen = stranger
        .send(Method::POST, "/api/v2/password/forgot", Some(body))
        .await;
}

/// A part that takes its own time, ended with the working time.
async fn no_longer_than(until: Timestamp, part: impl Future<Output = ()>) {
    let left = until.since(SystemClock.now());
    // Whoever is not done by then goes home all the same.
    let _in_time = tokio::time::timeout(left, part).await;
}

/// Sets everybody to work; the tasks end by themselves at `until`.
pub(crate) fn begin(
    scenario: &Scenario,
    cast: &Cast,
    until: Timestamp,
) -> Vec<tokio::task::JoinHandle<()>> {
    let population = &scenario.population;
    let tenant: Arc<str> = cast.tenant.as_str().into();
    let pause = population.pause.0;
    let mut tasks = Vec::new();
    for (n, person) in cast.people.iter().enumerate() {
        let rng = StdRng::seed_from_u64(scenario.seed.wrapping_add(n as u64));
        let (person, tenant) = (person.clone(), Arc::clone(&tenant));
        if n == CLUMSY {
            let part = clumsy(person, tenant, population.mistypes);
            tasks.push(tokio::spawn(no_longer_than(until, part)));
        } else if n == TRAVELLER {
            let place = scenario.place(&population.traveller_at);
            let address = place.map_or(person.actor.address, |place| place.address(n).into());
            let part = traveller(person, tenant, address, cast.stage.clone());
            tasks.push(tokio::spawn(no_longer_than(until, part)));
        } else {
            if (FORGETFUL..FORGETFUL + population.forgetful).contains(&n) {
                let after = Duration::from_secs(2 + n as u64 * 3);
                let part = forgetful(person.clone(), tenant, after);
                tasks.push(tokio::spawn(no_longer_than(until, part)));
            }
            tasks.push(tokio::spawn(work(person, rng, pause, until)));
        }
    }
    for (n, part) in cast.programs.iter().chain([&cast.robbed]).enumerate() {
        let rng = StdRng::seed_from_u64(scenario.seed.wrapping_add(90_000 + n as u64));
        tasks.push(tokio::spawn(program(part.clone(), rng, until)));
    }
    let part = batch(cast.batch.clone(), population.batch_reads);
    tasks.push(tokio::spawn(no_longer_than(until, part)));
    tasks
}
