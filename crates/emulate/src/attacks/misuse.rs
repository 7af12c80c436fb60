//! Attacks that use what was stolen: passwords, sessions, keys, or rights that one lacks.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Means;
use crate::actor::Actor;
use crate::error::Error;
use crate::population::Person;

async fn shoot(
    means: &Means,
    actor: &Actor,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<bool, Error> {
    let reply = actor.send(method, path, body).await?;
    means.attack.shot(&reply);
    sleep(means.attack.spec.pause.0).await;
    Ok(reply.succeeded())
}

fn victim(means: &Means) -> Result<Person, Error> {
    let missing = || Error::Content {
        file: "scenario".into(),
        what: "an attack has nobody to aim at".into(),
    };
    means.victims.first().cloned().ok_or_else(missing)
}

/// The right password from far away on an unknown device, then reading; a new sign-in when thrown out.
pub(super) async fn takeover(means: Means) -> Result<(), Error> {
    let victim = victim(&means)?;
    let mut actor = means.attacker(
        0,
        "Mozilla/5.0 (X11; Linux x86_64) Chrome/119.0 Safari/537.36",
    )?;
    means.came_from(std::slice::from_ref(&actor));
    means.attack.begin();
    let mut inside = false;
    for _ in 0..means.attack.spec.attempts {
        if inside {
            inside = shoot(&means, &actor, Method::GET, "/api/v2/me", None).await?;
        } else {
            let reply = actor
                .sign_in(&means.tenant, &victim.username, &victim.password)
                .await?;
            means.attack.shot(&reply);
            inside = reply.succeeded();
            if inside {
                means.attack.is_in(&actor, "/api/v2/me");
            }
            sleep(means.attack.spec.pause.0).await;
        }
    }
    Ok(())
}

/// A stolen session cookie on another device at another address.
pub(super) async fn replay(means: Means) -> Result<(), Error> {
    let victim = victim(&means)?;
    let mut actor = means.attacker(0, "curl/8.9.1")?;
    actor.session = victim.actor.session.clone();
    means.came_from(std::slice::from_ref(&actor));
    means.attack.begin();
    means.attack.is_in(&actor, "/api/v2/me");
    for _ in 0..means.attack.spec.attempts {
        shoot(&means, &actor, Method::GET, "/api/v2/me", None).await?;
    }
    Ok(())
}

/// A person of few rights tries what only administrators may, from their own desk.
pub(super) async fn escalation(means: Means) -> Result<(), Error> {
    let insider = victim(&means)?;
    let mut actor = Actor::attacker(&means.stage, insider.actor.address, &insider.actor.agent)?;
    actor.device.clone_from(&insider.actor.device);
    let reply = actor
        .sign_in(&means.tenant, &insider.username, &insider.password)
        .await?;
    if !reply.succeeded() {
        let what = format!("the insider could not sign in ({})", reply.status);
        return Err(Error::Unexpected {
            path: "/api/v2/login".into(),
            what,
        });
    }
    means.attack.is_in(&actor, "/api/v2/me");
    // The insider's own address is not hostile by itself; the person is.
    means.attack.begin();
    let id = &insider.id;
    let tries: [(Method, String, Option<Value>); 10] = [
        (Method::GET, "/api/v2/users".into(), None),
        (
            Method::PUT,
            format!("/api/v2/users/{id}/roles"),
            Some(json!({"roles": ["owner"]})),
        ),
        (Method::GET, "/api/v2/api-keys".into(), None),
        (
            Method::POST,
            "/api/v2/api-keys".into(),
            Some(json!({"name": "mine", "scopes": ["users.read"]})),
        ),
        (Method::GET, "/api/v2/ledger/entries".into(), None),
        (Method::GET, "/api/v2/incidents".into(), None),
        (
            Method::PUT,
            "/api/v2/roles/trader".into(),
            Some(json!({"permissions": ["users.read"]})),
        ),
        (Method::GET, "/api/v2/protected".into(), None),
        (
            Method::PUT,
            "/api/v2/locations".into(),
            Some(json!({"locations": []})),
        ),
        (Method::GET, "/api/v2/blocks".into(), None),
    ];
    for n in 0..means.attack.spec.attempts {
        if let Some((method, path, body)) = tries.get(n % tries.len()) {
            shoot(&means, &actor, method.clone(), path, body.clone()).await?;
        }
    }
    Ok(())
}

/// A stolen API key, used from elsewhere to read everything.
pub(super) async fn bulk_read(means: Means) -> Result<(), Error> {
    let mut actor = means.attacker(0, "Go-http-client/2.0")?;
    actor.bearer = means.robbed.actor.bearer.clone();
    means.came_from(std::slice::from_ref(&actor));
    means
        .attack
        .with_truth(|truth| truth.keys = vec![means.robbed.key_id.clone()]);
    means.attack.is_in(&actor, "/api/v2/users?limit=1");
    means.attack.begin();
    for n in 0..means.attack.spec.attempts {
        let letter = char::from(b'a' + (n % 26) as u8);
        shoot(
            &means,
            &actor,
            Method::GET,
            &format!("/api/v2/users?limit=50&after={letter}"),
            None,
        )
        .await?;
    }
    Ok(())
}

/// An administrator's password, used nearby on a new device: a key to come back with, an accomplice made strong.
pub(super) async fn manipulation(means: Means) -> Result<(), Error> {
    let admin = victim(&means)?;
    let mut actor = means.attacker(0, "Mozilla/5.0 (Windows NT 10.0) Edg/121.0")?;
    means.came_from(std::slice::from_ref(&actor));
    means.attack.begin();
    let mut inside = false;
    for n in 0..means.attack.spec.attempts {
        if !inside {
            let reply = actor
                .sign_in(&means.tenant, &admin.username, &admin.password)
                .await?;
            means.attack.shot(&reply);
            inside = reply.succeeded();
            if inside {
                means.attack.is_in(&actor, "/api/v2/me");
            }
            sleep(means.attack.spec.pause.0).await;
            continue;
        }
        let raised = json!({"roles": ["admin", "member"]});
        inside = match (n % 3, &means.accomplice) {
            (1, _) => back_door(&means, &actor, n).await?,
            (2, Some(accomplice)) => {
                let path = format!("/api/v2/users/{}/roles", accomplice.id);
                shoot(&means, &actor, Method::PUT, &path, Some(raised)).await?
            }
            _ => shoot(&means, &actor, Method::GET, "/api/v2/users?limit=50", None).await?,
        };
    }
    Ok(())
}

/// Makes a key to come back with.
async fn back_door(means: &Means, actor: &Actor, n: usize) -> Result<bool, Error> {
    let body = json!({"name": format!("backup-{n}"), "scopes": ["users.read"]});
    let reply = actor
        .send(Method::POST, "/api/v2/api-keys", Some(body))
        .await?;
    means.attack.shot(&reply);
    if let Some(key) = reply.body.get("key").and_then(Value::as_str) {
        let returning = actor.signed_out().carrying(Some(key.to_owned()));
        means.attack.is_in(&returning, "/api/v2/users?limit=1");
    }
    sleep(means.attack.spec.pause.0).await;
    Ok(reply.succeeded())
}
