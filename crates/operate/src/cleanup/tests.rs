use std::time::Duration;

use hub_base::{Clock as _, OperationId, SessionId, SystemClock, UserId};
use hub_events::{Event, LogSource};
use hub_ledger::VerifierKey;
use hub_store::ingest::{self, Quarantined};
use hub_testkit::TestDb;
use hub_vault::{Checkpoints, KeyRing};

use super::*;
use crate::holds::Covers;

const DAY: Duration = Duration::from_hours(24);

struct House {
    database: TestDb,
    acme: TenantId,
    other: TenantId,
    policy: Policy,
    signer: Checkpoints,
}

impl House {
    async fn new() -> Self {
        let database = hub_testkit::database().await;
        let acme = hub_testkit::tenant(&database.store(), "acme").await;
        let other = hub_testkit::tenant(&database.store(), "other").await;
        let ring = KeyRing::generate(&SystemClock).unwrap();
        let house = Self {
            database,
            acme,
            other,
            policy: Policy::built_in().unwrap(),
            signer: Checkpoints::new(&ring).unwrap(),
        };
        for tenant in [acme, other] {
            house.furnish(tenant).await;
        }
        house
    }

    fn cx(&self, tenant: TenantId) -> Cx {
        Cx::system(self.database.store(), tenant, "test")
    }

    /// Three events, a line in quarantine, a session with its token, a reset token: all of now.
    async fn furnish(&self, tenant: TenantId) {
        let cx = self.cx(tenant);
        let body = serde_json::json!({"class_uid": 0, "metadata": {"version": "1.8.0"}});
        let event = Event {
            time: cx.now(),
            source: LogSource::new("linux", "sshd"),
            body: body.as_object().cloned().unwrap(),
        };
        for quarantined in [Vec::new(), vec![line()]] {
            let batch = ingest::Batch {
                source: "sshd".to_owned(),
                events: vec![event.clone(), event.clone(), event.clone()],
                quarantined,
                idempotency_key: None,
            };
            ingest::append(&cx, batch).await.unwrap();
        }
        let mut tx = cx.write().await.unwrap();
        let now = tx.now().to_offset();
        let (user, session) = (UserId::new(&SystemClock), SessionId::new(&SystemClock));
        sqlx::query(
            "with person as (
               insert into app_user (tenant_id, id, username, email, display_name, password_phc, password_changed_at, created_at)
               values ($1, $2, 'ada', 'ada@example.org', 'Ada', 'x', $4, $4)),
             visit as (
               insert into session (tenant_id, id, user_id, secret_hash, created_at, last_seen_at, expires_at)
               values ($1, $3, $2, '\\x00', $4, $4, $4)),
             token as (
               insert into refresh_token (tenant_id, hash, session_id, issued_at) values ($1, '\\x01', $3, $4))
             insert into password_reset (tenant_id, hash, user_id, issued_at, expires_at) values ($1, '\\x02', $2, $4, $4)",
        )
        .bind(tenant.uuid())
        .bind(user.uuid())
        .bind(session.uuid())
        .bind(now)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit_progress().await.unwrap();
    }

    async fn due(&self) -> Vec<(TenantId, String, i64)> {
        let due = plan(&self.database.store(), &self.policy).await.unwrap();
        let one = |due: Due| (due.tenant, due.class.to_string(), due.count);
        due.into_iter().map(one).collect()
    }

    /// Batch after batch, as the tool asks for them.
    async fn clean(&self) -> Vec<Removed> {
        let store = self.database.store();
        let operation = OperationId::new(&SystemClock);
        let mut all = Vec::new();
        loop {
            let some = remove(&store, &self.policy, operation, &self.signer).await;
            let some = some.unwrap();
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    /// Rows of a table in a tenant.
    async fn rows(&self, tenant: TenantId, table: &str) -> i64 {
        let mut tx = self.cx(tenant).read().await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let (count,): (i64,) = sqlx::query_as(sql).fetch_one(tx.conn()).await.unwrap();
        count
    }
}

fn line() -> Quarantined {
    Quarantined {
        line: 4,
        reason: "it is no line of sshd".to_owned(),
        raw: "?".to_owned(),
    }
}

fn named(tenant: TenantId, wanted: &[(&str, i64)]) -> Vec<(TenantId, String, i64)> {
    let one = |(class, count): &(&str, i64)| (tenant, (*class).to_owned(), *count);
    wanted.iter().map(one).collect()
}

#[tokio::test]
async fn what_the_policy_says_goes_and_nothing_else() {
    let house = House::new().await;
    let (acme, other) = (house.acme, house.other);
    assert_eq!(house.due().await, []);
    assert_eq!(house.clean().await, []);

    house.database.clock.advance(DAY * 31);
    let wanted = [("reset-tokens", 1), ("quarantine", 1)];
    let both = [named(acme, &wanted), named(other, &wanted)].concat();
    assert_eq!(house.due().await, both);
    assert_eq!(house.due().await, both, "looking removes nothing");
    house.clean().await;
    assert_eq!(house.due().await, []);
    for (table, left) in [
        ("quarantine", 0),
        ("password_reset", 0),
        ("session", 1),
        ("event", 6),
        ("event_batch", 2),
    ] {
        assert_eq!(house.rows(acme, table).await, left, "{table}");
    }

    house.database.clock.advance(DAY * 60);
    assert_eq!(
        house.due().await,
        [
            named(acme, &[("sessions", 1)]),
            named(other, &[("sessions", 1)])
        ]
        .concat()
    );
    house.clean().await;
    assert_eq!(
        house.rows(acme, "session").await + house.rows(acme, "refresh_token").await,
        0
    );

    house.database.clock.advance(DAY * 310);
    let removed = house.clean().await;
    for table in ["event", "event_batch"] {
        assert_eq!(house.rows(acme, table).await, 0, "{table}");
    }
    for table in ["app_user", "tenant"] {
        assert!(house.rows(acme, table).await > 0, "{table}");
    }
    // Six events and two receipts, and the hub's word for it.
    let of_acme = removed.iter().find(|one| one.tenant == acme).unwrap();
    assert_eq!((of_acme.class, of_acme.count), (Class::Events, 8));
    let key = VerifierKey::of(&house.signer).unwrap();
    let text = note::open(of_acme.certificate.as_ref().unwrap(), &key).unwrap();
    for words in [
        format!("tenant {acme}\nclass events\ncount 8\n"),
        format!("ids-sha256 {}\n", of_acme.ids_sha256),
        format!("policy-sha256 {}\n", house.policy.digest()),
    ] {
        assert!(text.contains(&words), "{text}");
    }
    // Each batch has its act: two ingests, and one for each class.
    let mut tx = house.cx(acme).read().await.unwrap();
    let acts = hub_store::sequence::backlog(&mut tx).await.unwrap();
    assert_eq!(acts, 2 + 4);
}

#[tokio::test]
async fn nothing_that_a_hold_covers_goes_until_it_is_released() {
    let house = House::new().await;
    let (acme, other) = (house.acme, house.other);
    house.database.clock.advance(DAY * 500);
    let system = house.cx(TenantId::SYSTEM);
    let everything = holds::place(&system, Covers::Everything, "case 1")
        .await
        .unwrap();
    assert_eq!(house.clean().await, []);
    let own = holds::place(&house.cx(other), Covers::Tenant(other), "case 2")
        .await
        .unwrap();
    holds::release(&system, everything.id, "settled")
        .await
        .unwrap();
    assert!(house.clean().await.iter().all(|one| one.tenant == acme));
    assert_eq!(house.due().await.len(), 4, "what is held is shown");
    let shown = plan(&house.database.store(), &house.policy).await.unwrap();
    assert!(
        shown
            .iter()
            .all(|due| due.tenant == other && due.held.as_deref() == Some("case 2"))
    );
    assert_eq!(house.rows(other, "event").await, 6);
    holds::release(&house.cx(other), own.id, "settled")
        .await
        .unwrap();
    holds::release(&house.cx(other), own.id, "again")
        .await
        .unwrap();
    assert!(house.clean().await.iter().all(|one| one.tenant == other));
    assert_eq!(house.due().await, []);
}

#[tokio::test]
async fn a_tenant_holds_only_its_own() {
    let house = House::new().await;
    let cx = house.cx(house.acme);
    for covers in [Covers::Everything, Covers::Tenant(house.other)] {
        let refused = holds::place(&cx, covers, "curiosity").await.unwrap_err();
        assert!(refused.to_string().starts_with("covers: "), "{refused}");
    }
    let refused = holds::place(&cx, Covers::Tenant(house.acme), "")
        .await
        .unwrap_err();
    assert!(refused.to_string().starts_with("reason: "), "{refused}");
    let system = house.cx(TenantId::SYSTEM);
    let hold = holds::place(&system, Covers::Tenant(house.acme), "case")
        .await
        .unwrap();
    let unknown = holds::release(&cx, hold.id, "mine").await.unwrap_err();
    assert!(matches!(unknown, Error::UnknownHold(_)), "{unknown}");
}

#[test]
fn a_policy_that_would_remove_what_is_needed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("retention.toml");
    let whole = include_str!("../../../../content/retention/default.toml");
    for (from, to, said) in [
        (
            "keep = \"90d\"",
            "keep = \"1h\"",
            "sessions.keep must be at least 24h",
        ),
        (
            "newest = 3",
            "newest = 1",
            "releases.newest must be at least 2",
        ),
        (
            "[reports]",
            "[reports]\ncertificate = true",
            "reports.certificate",
        ),
        ("[events]", "[happenings]", "happenings"),
        ("keep = \"7d\"", "keep = \"7\"", "line "),
    ] {
        std::fs::write(&path, whole.replace(from, to)).unwrap();
        let refused = Policy::load(Some(&path)).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
}

/// The schema that editors use is what the program reads.
#[test]
fn the_published_schema_is_the_programs() {
    let made = serde_json::to_string_pretty(&schemars::schema_for!(Policy)).unwrap() + "\n";
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../content/retention/schema.json"
    );
    if std::env::var_os("INSTA_UPDATE").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), made);
}

#[test]
fn reports_go_by_age_and_nothing_in_folders() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::built_in().unwrap();
    std::fs::create_dir(folder.path().join("kept")).unwrap();
    std::fs::write(folder.path().join("report.html"), "12345").unwrap();
    let now = SystemClock.now();
    let old = |now| hosts::reports(folder.path(), &policy, now).unwrap();
    assert_eq!(old(now), []);
    let found = old(now.plus(DAY * 401));
    assert_eq!((found.len(), found[0].bytes), (1, 5));
    hosts::remove(&found[0]).unwrap();
    hosts::remove(&found[0]).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

const BOOK: &str = "---\npurpose: A test.\nseverity: low\nroles: [on-call]\ntime_limit: 10m\n---\n# A test\n\n## 1. Look\n\n\
    - [ ] seen\n\n## Checks\n\n- [ ] all is well\n\n## Roll back\n\nNothing.\n";

/// With what people said in it; the application itself can take nothing of it away.
#[tokio::test]
async fn a_run_that_ended_long_ago_goes_whole_and_others_stay() {
    use crate::runbook::shared::{self, Beginning};
    use crate::runbook::{Event as Happened, Line, Told};
    let house = House::new().await;
    let cx = house.cx(house.acme);
    let mut old = None;
    for days in [500, 3] {
        let (id, at) = (OperationId::new(&SystemClock), cx.now().minus(DAY * days));
        let begins = Beginning {
            id,
            runbook: "test".to_owned(),
            text: BOOK.to_owned(),
            by: "ada".to_owned(),
            began: at,
            incident: None,
        };
        shared::begin(&cx, &begins).await.unwrap();
        let wish = shared::Wish::default();
        shared::answer(&cx, id, wish).await.unwrap();
        shared::note(&cx, id, "it rains").await.unwrap();
        let (outcome, why) = ("done".to_owned(), None);
        let what = Happened::Closed { outcome, why };
        let by = "ada".to_owned();
        let line = Line { at, by, what };
        let told = Told {
            number: 0,
            line,
            output: None,
        };
        shared::tell(&cx, id, vec![told]).await.unwrap();
        // Whatever it says of its own time, it was told now.
        assert_eq!(house.due().await, []);
        if days > 100 {
            old = Some(id);
        }
    }
    let mut tx = cx.write().await.unwrap();
    let told = "update runbook_run set told_at = told_at - interval '500 days' where id = $1";
    let ago = sqlx::query(told).bind(old.unwrap().uuid());
    ago.execute(tx.conn()).await.unwrap();
    tx.commit_progress().await.unwrap();
    assert_eq!(house.due().await, named(house.acme, &[("runbook-runs", 1)]));
    let mut tx = cx.write().await.unwrap();
    let denied = sqlx::query("delete from runbook_run").execute(tx.conn());
    assert!(denied.await.is_err());
    drop(tx);
    house.clean().await;
    assert_eq!(house.due().await, []);
    for table in [
        "runbook_run",
        "runbook_line",
        "runbook_answer",
        "runbook_note",
    ] {
        assert_eq!(house.rows(house.acme, table).await, 1, "{table}");
    }
}
