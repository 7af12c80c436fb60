//! What every request pays in process: the token check and the authorization decision, against their 100 µs and beside
//! a bare signature check and a bare Cedar decision.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use cedar_policy::{
    Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
};
use hub_access::{Action, Authorizer, Resource, roles};
use hub_base::{Actor, Clock as _, Principal, SessionId, TenantId};
use hub_benches::{Target, quantile, report, size};
use hub_identity::users::NewUser;
use hub_identity::{Authenticator, HashPool, Revocations, tenants};
use hub_store::Cx;
use hub_testkit::TestDb;
use hub_vault::{Claims, KeyRing, TokenVerifier};

const GRANTS: usize = 1000;
const POLICIES: &str = include_str!("../../content/policies/hub.cedar");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let checks = size("HUB_BENCH_CHECKS", 40_000)?;
    let db = hub_testkit::try_database().await?;
    let principal = person(&db).await?;
    tokens(&db, &principal, checks)?;
    decisions(&db, &principal, checks).await
}

/// The owner of a tenant, with a thousand more permissions from a role of the tenant's own.
async fn person(db: &TestDb) -> anyhow::Result<Principal> {
    let cx = Cx::system(db.store(), TenantId::SYSTEM, "bench");
    let owner = NewUser {
        username: "ada".to_owned(),
        email: "ada@acme.example".to_owned(),
        display_name: "Ada".to_owned(),
        password: "correct horse battery staple".to_owned(),
    };
    let pool = HashPool::start(1, 8)?;
    let own = BTreeSet::from(["owner".to_owned()]);
    let made = tenants::create(&cx, "acme", "Acme", owner, &pool, async |tx, user| {
        roles::grant_in(tx, user, "ada", &own).await
    })
    .await?;
    let cx = Cx::system(db.store(), made.tenant, "bench");
    let authorizer = Authorizer::new(db.store())?;
    let permissions = (0..GRANTS).map(|n| format!("document.read-{n}")).collect();
    roles::define(&cx, &authorizer, "librarian", permissions).await?;
    let held = BTreeSet::from(["owner".to_owned(), "librarian".to_owned()]);
    roles::assign(&cx, &authorizer, made.owner, "ada", &held).await?;
    Ok(Principal {
        tenant: made.tenant,
        actor: Actor::User {
            user: made.owner,
            session: SessionId::new(&*db.clock),
            username: "ada".to_owned(),
            authenticated_at: db.clock.now(),
        },
        roles: held.into_iter().collect(),
    })
}

fn tokens(db: &TestDb, principal: &Principal, checks: usize) -> anyhow::Result<()> {
    let verifier = TokenVerifier::new(&KeyRing::generate(&*db.clock)?, "https://hub.example")?;
    let tokens = (0..checks)
        .map(|n| token(db, &verifier, principal, n))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let revocations = Arc::new(Revocations::default());
    let authenticator = Authenticator::new(db.store(), Arc::new(verifier), revocations);
    let check = |token: &String| Ok(authenticator.token(token).map(drop)?);
    let cold = times(tokens.iter(), check)?;
    // Half of what the memory holds, each met a second time.
    let warm = times(tokens.iter().rev().take(20_000), check)?;

    let pair = Ed25519KeyPair::generate()?;
    let message = tokens.first().context("no token")?.as_bytes();
    let signature = pair.sign(message);
    let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
    let bare = times(0..checks.min(10_000), |_| {
        Ok(public.verify(message, signature.as_ref())?)
    })?;
    tell("token check, first sight", &cold, "bare Ed25519", &bare);
    tell("token check, remembered", &warm, "bare Ed25519", &bare);
    Ok(())
}

fn token(
    db: &TestDb,
    signer: &TokenVerifier,
    principal: &Principal,
    n: usize,
) -> anyhow::Result<String> {
    let now = db.clock.now().unix_seconds();
    Ok(signer.sign(&Claims {
        iss: signer.issuer().to_owned(),
        aud: signer.issuer().to_owned(),
        sub: principal.user().context("a person")?,
        sid: principal.session().context("a session")?,
        tid: principal.tenant,
        name: "ada".to_owned(),
        roles: principal.roles.clone(),
        auth_time: now,
        iat: now,
        exp: now + 300,
        jti: n.to_string(),
    })?)
}

async fn decisions(db: &TestDb, principal: &Principal, checks: usize) -> anyhow::Result<()> {
    let authorizer = Authorizer::new(db.store())?;
    let resource = Resource::of(principal.tenant);
    let held = authorizer.permissions(principal).await?;
    ensure!(held.len() > GRANTS, "only {} permissions", held.len());
    let mut ours = Vec::with_capacity(checks);
    for action in Action::ALL.iter().copied().cycle().take(checks) {
        let started = Instant::now();
        let decision = authorizer.decide(principal, action, resource).await?;
        ours.push(started.elapsed());
        ensure!(
            decision.allowed == held.contains(action.name()),
            "{action:?}"
        );
    }
    ours.sort_unstable();
    let bare = cedar(held, checks)?;
    tell("decision, 1,000 grants", &ours, "bare Cedar", &bare);
    Ok(())
}

/// The engine alone, with the same policies and as many grants, each request made beforehand.
fn cedar(permissions: BTreeSet<String>, checks: usize) -> anyhow::Result<Vec<Duration>> {
    let policies = PolicySet::from_str(POLICIES)?;
    let engine = cedar_policy::Authorizer::new();
    let user: EntityUid = r#"Hub::User::"ada""#.parse()?;
    let tenant: EntityUid = r#"Hub::Tenant::"acme""#.parse()?;
    let set = permissions
        .into_iter()
        .map(RestrictedExpression::new_string);
    let attributes = HashMap::from([
        (
            "tenant".to_owned(),
            RestrictedExpression::new_entity_uid(tenant.clone()),
        ),
        ("permissions".to_owned(), RestrictedExpression::new_set(set)),
    ]);
    let entity = Entity::new(user.clone(), attributes, HashSet::new())?;
    let entities = Entities::from_entities([entity], None)?;
    let context = Context::from_pairs([
        (
            "permission".to_owned(),
            RestrictedExpression::new_string("users.read".to_owned()),
        ),
        (
            "tenant".to_owned(),
            RestrictedExpression::new_entity_uid(tenant),
        ),
        ("system".to_owned(), RestrictedExpression::new_bool(false)),
        ("own".to_owned(), RestrictedExpression::new_bool(false)),
    ])?;
    let (call, thing) = (
        r#"Hub::Action::"call""#.parse()?,
        r#"Hub::Thing::"thing""#.parse()?,
    );
    let request = Request::new(user, call, thing, context, None)?;
    times(0..checks, |_| {
        let response = engine.is_authorized(&request, &policies, &entities);
        ensure!(response.decision() == Decision::Allow, "refused");
        Ok(())
    })
}

/// How long each took, sorted.
fn times<T>(
    of: impl Iterator<Item = T>,
    run: impl Fn(T) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for item in of {
        let started = Instant::now();
        run(item)?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn tell(name: &str, ours: &[Duration], reference: &str, bare: &[Duration]) {
    let micros = |times: &[Duration], share| quantile(times, share).as_secs_f64() * 1e6;
    let (p50, p99) = (micros(ours, 0.5), micros(ours, 0.99));
    let details = format!(
        "{}; p50 {p50:.1} µs, p99 {p99:.1} µs; p50 is {:.2} of {reference}'s {:.1} µs",
        ours.len(),
        p50 / micros(bare, 0.5),
        micros(bare, 0.5),
    );
    let target = Some(Target::AtMost(1.0));
    report(name, p99 / 100.0, "100 µs at p99", target, &details);
}
