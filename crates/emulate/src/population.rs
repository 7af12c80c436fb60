//! Who is there: a tenant with people, roles, places and programs, made through the API as an administrator would.

use std::collections::HashMap;
use std::net::IpAddr;

use futures_util::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::actor::{Actor, Stage};
use crate::error::Error;
use crate::progress::{Listener, Progress};
use crate::scenario::Scenario;

/// A person with a workplace and a browser.
#[derive(Debug, Clone)]
pub struct Person {
    pub username: String,
    pub password: String,
    pub id: String,
    pub roles: Vec<String>,
    pub actor: Actor,
}

/// A program with a key and an address.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    pub key_id: String,
    pub actor: Actor,
}

/// Everybody of the run.
#[derive(Debug)]
pub struct Cast {
    pub tenant: String,
    pub owner: Actor,
    pub people: Vec<Person>,
    pub programs: Vec<Program>,
    /// The nightly batch.
    pub batch: Program,
    /// A program whose key will be stolen.
    pub robbed: Program,
    /// The password of the owner, who can sign in to the console.
    pub owner_password: String,
    pub stage: Stage,
}

const FIRST: [&str; 20] = [
    "ada", "bruno", "carla", "dinis", "elena", "felix", "greta", "hugo", "ines", "jonas", "karin",
    "luis", "maria", "nuno", "olga", "pedro", "rita", "sven", "tania", "uwe",
];
const LAST: [&str; 20] = [
    "almeida", "becker", "costa", "dias", "engel", "faria", "gomes", "huber", "iversen", "jansen",
    "krause", "lopes", "moreira", "neves", "oliveira", "peters", "ramos", "santos", "teixeira",
    "vogel",
];
const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/155.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
];
/// Where whoever runs the emulation sits, and will open the console.
pub(crate) const OPERATIONS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// API calls under way at once while the population is made.
const AT_ONCE: usize = 8;

fn word(rng: &mut StdRng, length: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789";
    (0..length)
        .map(|_| {
            char::from(
                LETTERS
                    .get(rng.random_range(0..LETTERS.len()))
                    .copied()
                    .unwrap_or(b'x'),
            )
        })
        .collect()
}

/// Makes the tenant and everybody in it. `operator` may make tenants.
///
/// # Errors
/// [`Error::Refused`] if the API refuses, [`Error::Unreachable`].
pub async fn make(
    scenario: &Scenario,
    operator: &Actor,
    stage: &Stage,
    tell: &Listener,
) -> Result<Cast, Error> {
    let mut rng = StdRng::seed_from_u64(scenario.seed);
    // Passwords must not be guessable from a published seed.
    let mut secret = StdRng::from_os_rng();
    let users = scenario.population.users;
    tell(Progress::Stage {
        name: "making the tenant and its people",
        steps: users as u64 + 12,
    });
    let owner_password = word(&mut secret, 24);
    let tenant = tenant(scenario, operator, &owner_password).await?;
    let home = scenario
        .population
        .homes
        .first()
        .and_then(|name| scenario.place(name));
    let home = home.map_or(OPERATIONS, |place| place.address(60_000 / 250).into());
    let mut owner = Actor::new(stage, home, BROWSERS[0])?;
    let reply = owner.sign_in(&tenant, "owner", &owner_password).await?;
    expect_status(&reply, "/api/v2/login", 200)?;
    tell(Progress::Step);
    owner
        .must(Method::PUT, "/api/v2/locations", Some(locations(scenario)))
        .await?;
    let permissions = json!({"permissions": ["order.read", "order.write", "invoice.read"]});
    owner
        .must(Method::PUT, "/api/v2/roles/trader", Some(permissions))
        .await?;
    tell(Progress::Step);
    let mut people = Vec::with_capacity(users);
    for n in 0..users {
        people.push(person(scenario, stage, n, &mut rng, &mut secret)?);
    }
    let made: HashMap<usize, String> = stream::iter(people.iter().enumerate())
        .map(|(n, person)| {
            let owner = &owner;
            async move {
                let body = json!({"username": person.username, "email": format!("{}@brightwater.example", person.username),
                    "display_name": person.username, "password": person.password, "roles": person.roles});
                let made = owner.must(Method::POST, "/api/v2/users", Some(body)).await?;
                tell(Progress::Step);
                Ok::<_, Error>((n, text(&made, &["id", "user_id"], "/api/v2/users")?))
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for (n, person) in people.iter_mut().enumerate() {
        person.id = made.get(&n).cloned().unwrap_or_default();
    }
    let (programs, batch, robbed) = programs(scenario, &owner, stage, tell).await?;
    Ok(Cast {
        tenant,
        owner,
        people,
        programs,
        batch,
        robbed,
        owner_password,
        stage: stage.clone(),
    })
}

async fn tenant(
    scenario: &Scenario,
    operator: &Actor,
    owner_password: &str,
) -> Result<String, Error> {
    for n in 1..50 {
        let slug = if n == 1 {
            scenario.tenant.slug.clone()
        } else {
            format!("{}-{n}", scenario.tenant.slug)
        };
        let body = json!({"slug": slug, "name": scenario.tenant.name,
            "owner": {"username": "owner", "email": "owner@brightwater.example", "password": owner_password}});
        match operator
            .must(Method::POST, "/api/v2/tenants", Some(body))
            .await
        {
            Ok(_) => return Ok(slug),
            Err(Error::Refused { status: 409, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Unexpected {
        path: "/api/v2/tenants".into(),
        what: "fifty slugs are taken".into(),
    })
}

fn locations(scenario: &Scenario) -> Value {
    let known = scenario
        .places
        .iter()
        .filter(|place| !place.known_as.is_empty());
    let list: Vec<Value> = known
        .map(|place| {
            json!({"name": place.name, "cidrs": [place.network()], "country": place.country, "city": place.city,
                "latitude": place.latitude, "longitude": place.longitude, "kind": place.known_as, "trusted": place.trusted})
        })
        .collect();
    json!({ "locations": list })
}

fn person(
    scenario: &Scenario,
    stage: &Stage,
    n: usize,
    rng: &mut StdRng,
    secret: &mut StdRng,
) -> Result<Person, Error> {
    let pick = |list: &[&'static str], n: usize| list.get(n % list.len()).copied().unwrap_or("x");
    let mut username = format!("{}.{}", pick(&FIRST, n), pick(&LAST, n / FIRST.len()));
    if n >= FIRST.len() * LAST.len() {
        username = format!("{username}{n}");
    }
    let homes = &scenario.population.homes;
    let home = homes
        .get(n % homes.len())
        .and_then(|name| scenario.place(name));
    let address = home.map_or(IpAddr::from([127, 0, 0, 1]), |place| {
        place.address(n).into()
    });
    let agent = pick(&BROWSERS, rng.random_range(0..BROWSERS.len()));
    // One in forty administers, one in forty analyses, the rest trade.
    let roles: Vec<String> = match n % 40 {
        17 => vec!["admin".into(), "member".into()],
        23 => vec!["analyst".into(), "member".into()],
        _ => vec!["member".into(), "trader".into()],
    };
    Ok(Person {
        username,
        password: word(secret, 20),
        id: String::new(),
        roles,
        actor: Actor::new(stage, address, agent)?,
    })
}

async fn programs(
    scenario: &Scenario,
    owner: &Actor,
    stage: &Stage,
    tell: &Listener,
) -> Result<(Vec<Program>, Program, Program), Error> {
    let centre = scenario.place("data-centre").or(scenario.places.first());
    let mut made = Vec::new();
    for n in 0..scenario.population.programs + 2 {
        let name = match n {
            0 => "nightly-batch".to_owned(),
            1 => "partner-sync".to_owned(),
            n => format!("service-{}", n - 1),
        };
        let body = json!({"name": name, "scopes": ["users.read"]});
        let key = owner
            .must(Method::POST, "/api/v2/api-keys", Some(body))
            .await?;
        let address = centre.map_or(IpAddr::from([127, 0, 0, 1]), |place| {
            place.address(n).into()
        });
        let mut actor = Actor::new(stage, address, "brightwater-service/2.3")?;
        actor.bearer = Some(text(&key, &["key"], "/api/v2/api-keys")?);
        made.push(Program {
            name,
            key_id: text(&key, &["id"], "/api/v2/api-keys")?,
            actor,
        });
        tell(Progress::Step);
    }
    let mut made = made.into_iter();
    match (made.next(), made.next()) {
        (Some(batch), Some(robbed)) => Ok((made.collect(), batch, robbed)),
        _ => Err(Error::Unexpected {
            path: "/api/v2/api-keys".into(),
            what: "no keys were made".into(),
        }),
    }
}

/// The first of the fields that is there.
fn text(body: &Value, names: &[&str], path: &str) -> Result<String, Error> {
    names
        .iter()
        .find_map(|name| body.get(*name)?.as_str())
        .map(str::to_owned)
        .ok_or_else(|| Error::Unexpected {
            path: path.to_owned(),
            what: format!("no `{}`", names.join("` or `")),
        })
}

fn expect_status(reply: &crate::actor::Reply, path: &str, status: u16) -> Result<(), Error> {
    if reply.status == status {
        return Ok(());
    }
    Err(Error::Unexpected {
        path: path.to_owned(),
        what: format!("status {} instead of {status}", reply.status),
    })
}

/// Everybody signs in once from where they work, so that their ordinary places and devices are known.
///
/// # Errors
/// [`Error::Unexpected`] if somebody cannot sign in.
pub async fn warm_up(cast: &mut Cast, tell: &Listener) -> Result<(), Error> {
    tell(Progress::Stage {
        name: "everybody signs in from where they work",
        steps: cast.people.len() as u64,
    });
    let tenant = cast.tenant.clone();
    let results: Vec<Result<(), Error>> = stream::iter(cast.people.iter_mut())
        .map(|person| {
            let tenant = &tenant;
            async move {
                let reply = person
                    .actor
                    .sign_in(tenant, &person.username, &person.password)
                    .await?;
                tell(Progress::Step);
                expect_status(&reply, "/api/v2/login", 200)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect::<Result<(), Error>>()?;
    for program in cast.programs.iter().chain([&cast.batch, &cast.robbed]) {
        program
            .actor
            .must(Method::GET, "/api/v2/users?limit=5", None)
            .await?;
    }
    Ok(())
}
