//! Attacks that guess passwords.

use rand::Rng;
use rand::seq::IndexedRandom;
use tokio::time::sleep;

use super::Means;
use crate::actor::Actor;
use crate::error::Error;

const SEASONS: [&str; 5] = [
    "Summer2026!Summer",
    "Brightwater2026!",
    "Welcome12345678",
    "Passw0rd!Passw0rd",
    "Autumn2026!Autumn",
];

/// One sign-in attempt, noted in the attack's truth.
async fn attempt(
    means: &Means,
    actor: &mut Actor,
    name: &str,
    password: &str,
) -> Result<bool, Error> {
    let reply = actor.sign_in(&means.tenant, name, password).await?;
    means.attack.shot(&reply);
    Ok(reply.succeeded())
}

/// A few passwords on many people, from one address.
pub(super) async fn spray(means: Means) -> Result<(), Error> {
    let mut actor = means.attacker(0, "python-requests/2.32")?;
    means.came_from(std::slice::from_ref(&actor));
    means.attack.begin();
    let spec = means.attack.spec.clone();
    for n in 0..spec.attempts {
        let name = means
            .names
            .get(n % means.names.len().max(1))
            .cloned()
            .unwrap_or_default();
        let password = SEASONS
            .get(n / means.names.len().max(1) % SEASONS.len())
            .copied()
            .unwrap_or_default();
        attempt(&means, &mut actor, &name, password).await?;
        sleep(spec.pause.0).await;
    }
    Ok(())
}

/// Many passwords on one person, from one address.
pub(super) async fn brute_force(means: Means) -> Result<(), Error> {
    let mut actor = means.attacker(0, "Hydra/9.5")?;
    means.came_from(std::slice::from_ref(&actor));
    let Some(victim) = means.victims.first().cloned() else {
        return Ok(());
    };
    means.attack.begin();
    let spec = means.attack.spec.clone();
    for n in 0..spec.attempts {
        attempt(
            &means,
            &mut actor,
            &victim.username,
            &format!("{}-{n:04}-guess", victim.username),
        )
        .await?;
        sleep(spec.pause.0).await;
    }
    Ok(())
}

/// Leaked pairs, a few from each of many addresses, with ever-changing browsers; the right ones come late.
pub(super) async fn stuffing(mut means: Means) -> Result<(), Error> {
    const AGENTS: [&str; 4] = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0",
        "Mozilla/5.0 (Windows NT 6.1) Firefox/102.0",
        "okhttp/4.11.0",
        "Mozilla/5.0 (Linux; Android 12) Chrome/118.0",
    ];
    let spec = means.attack.spec.clone();
    let mut actors = (0..spec.addresses)
        .map(|n| means.attacker(n, AGENTS.get(n % AGENTS.len()).copied().unwrap_or_default()))
        .collect::<Result<Vec<_>, _>>()?;
    means.came_from(&actors);
    means.attack.begin();
    // The first right pair is the first that its address tries, once the campaign is well under way.
    let right_every = (spec.attempts / (means.victims.len() + 1)).max(1);
    let mut right = means.victims.clone().into_iter();
    for n in 0..spec.attempts {
        let turn = n % actors.len();
        let leaked = n % right_every == right_every * 2 / 3;
        let pair = if leaked {
            right
                .next()
                .map(|person| (person.username, person.password))
        } else {
            None
        };
        let (name, password) = match pair {
            Some(pair) => pair,
            None if means.rng.random_bool(0.3) => {
                let name = means
                    .names
                    .choose(&mut means.rng)
                    .cloned()
                    .unwrap_or_default();
                (name, format!("leaked-{n:05}-elsewhere"))
            }
            None => (
                format!("{}{n}@mail.example", means.rng.random_range(100..999)),
                format!("leaked-{n:05}-pair"),
            ),
        };
        let Some(actor) = actors.get_mut(turn) else {
            break;
        };
        // A bot starts each attempt anew.
        (actor.device, actor.session, actor.bearer) = (None, None, None);
        if attempt(&means, actor, &name, &password).await? {
            // What a bot does with an account that opened: look around.
            means.attack.is_in(actor, "/api/v2/me");
            for _ in 0..3 {
                let reply = actor.send(reqwest::Method::GET, "/api/v2/me", None).await?;
                means.attack.shot(&reply);
                sleep(spec.pause.0 * 4).await;
            }
        }
        sleep(spec.pause.0).await;
    }
    Ok(())
}
