use hub_base::SystemClock;
use hub_store::survey::Overseer;
use hub_testkit::TestDb;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::decide::What;
use super::merge::LeftOut;
use super::*;

/// Two tenants with the same people; what was copied of one; and what happened since.
struct House {
    database: TestDb,
    owner: Store,
    acme: TenantId,
    other: TenantId,
}

const PEOPLE: &str = "
  with p as (insert into app_user (tenant_id, id, username, email, display_name, password_phc, password_changed_at, created_at)
    select '{t}', gen_random_uuid(), name, name || '@example.org', name, 'argon2 ' || name, now(), now()
    from unnest(array['ada', 'bob', 'eve']) name returning tenant_id, id, username),
  s as (insert into session (tenant_id, id, user_id, secret_hash, created_at, last_seen_at, expires_at)
    select '{t}', gen_random_uuid(), id, '\\x00', now(), now(), now() + interval '1 day' from p)
  insert into user_role select '{t}', id, 'auditor', now() from p;
  insert into role values ('{t}', 'auditor', '{users.read}', now());
  insert into api_key (tenant_id, id, name, secret_hash, scopes, created_at)
    values ('{t}', gen_random_uuid(), 'collector', '\\x01', '{}', now());
  insert into named_location values ('{t}', 'a/b', '{10.0.0.0/8}', 'de', 'x', 0, 0, 'office', true);
  insert into incident_counter values ('{t}', 1);
  with i as (insert into incident (tenant_id, id, number, title, severity, status, primary_kind, primary_value, techniques,
      first_activity_at, last_activity_at, detected_at, opened_at)
    values ('{t}', gen_random_uuid(), 1, 'spray', 3, 'new', 'user', 'x', '{}', now(), now(), now(), now()) returning id),
  l as (insert into incident_timeline (tenant_id, incident_id, at, kind, actor, body) select '{t}', id, now(), 'note', 'ada', 'x' from i)
  insert into response_action (tenant_id, id, incident_id, kind, phase, target_kind, target, reason, state, not_before, requested_at)
    select '{t}', gen_random_uuid(), id, 'lock_account', 1, 'user', 'x', 'x', 'pending', now(), now() from i";

impl House {
    async fn new() -> Self {
        let database = hub_testkit::database().await;
        let acme = hub_testkit::tenant(&database.store(), "acme").await;
        let other = hub_testkit::tenant(&database.store(), "other").await;
        let overseer = Overseer::at(&database.url_superuser).unwrap();
        let owner = overseer.as_owner(Arc::new(SystemClock)).await.unwrap();
        let house = Self {
            database,
            owner,
            acme,
            other,
        };
        for tenant in [acme, other] {
            house.sql(&PEOPLE.replace("{t}", &tenant.to_string())).await;
        }
        house
    }

    /// As a superuser, in both tenants or none.
    async fn sql(&self, text: &str) {
        let mut root = PgConnection::connect(&self.database.url_superuser)
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
            .execute(&mut root)
            .await
            .unwrap();
    }

    async fn text(&self, sql: &str) -> String {
        let mut root = PgConnection::connect(&self.database.url_superuser)
            .await
            .unwrap();
        let (text,): (Option<String>,) = sqlx::query_as(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut root)
            .await
            .unwrap();
        text.unwrap_or_default()
    }

    async fn write(&self, tenant: TenantId) -> WriteTx {
        Cx::system(self.owner.clone(), tenant, "test")
            .write()
            .await
            .unwrap()
    }

    /// What an extraction makes, of this very database.
    async fn copy(&self) -> Copied {
        let (mut from, mut to) = (self.write(self.acme).await, self.write(self.acme).await);
        let copied = Copied {
            name: "restored_acme_1".to_owned(),
            tenant: "acme".to_owned(),
            id: self.acme,
            backup: "backup".to_owned(),
            point: "latest".to_owned(),
            at: to.now(),
            operation: OperationId::new(&SystemClock),
            rows: 0,
            ledger_size: 0,
            ledger_root: String::new(),
            migrations: migrations(&mut from).await.unwrap().1,
            bytes: 0,
        };
        let about = serde_json::to_string(&copied).unwrap();
        repo::create(&mut to, &copied.name, &about).await.unwrap();
        for table in repo::tables(&mut from).await.unwrap() {
            repo::make(&mut to, &copied.name, &table).await.unwrap();
            repo::stream(&mut from, &mut to, &copied.name, &table, self.acme)
                .await
                .unwrap();
            repo::index(&mut to, &copied.name, &table).await.unwrap();
        }
        to.commit_progress().await.unwrap();
        let mut tx = self.write(self.acme).await;
        let found = find(&mut tx, None).await.unwrap();
        assert!(found.bytes > 0);
        assert_eq!((found.id, &found.name), (copied.id, &copied.name));
        copied
    }

    async fn merge(&self, copy: &Copied, decisions: &Decisions) -> Result<Report, Error> {
        let mut tx = self.write(self.acme).await;
        let report = merge::take(&mut tx, copy, decisions).await?;
        tx.commit(merge::act(copy, copy.operation, &report)).await?;
        Ok(report)
    }

    /// Everything of the other tenant.
    async fn neighbour(&self) -> String {
        let mut tx = self.write(self.other).await;
        let mut all = Vec::new();
        for table in repo::tables(&mut tx).await.unwrap() {
            all.push((
                table.name.clone(),
                repo::sum(&mut tx, "public", &table, self.other)
                    .await
                    .unwrap(),
            ));
        }
        format!("{all:?}")
    }
}

fn why<'a>(report: &'a Report, table: &str) -> Vec<&'a str> {
    let of = |out: &&LeftOut| out.table == table;
    report
        .left_out
        .iter()
        .filter(of)
        .map(|out| &*out.why)
        .collect()
}

#[tokio::test]
async fn every_table_of_tenants_has_a_rule() {
    let house = House::new().await;
    let mut tx = house.write(house.acme).await;
    let tables = repo::tables(&mut tx).await.unwrap();
    let open: Vec<&str> = tables
        .iter()
        .filter(|table| rules::of(&table.name).is_none())
        .map(|table| &*table.name)
        .collect();
    assert!(
        open.is_empty(),
        "say in repo/rules.rs what a merge may take of {open:?}"
    );
    assert!(tables.len() > 30, "{}", tables.len());
    assert!(tables.iter().all(|table| table.name != "hub_migration"));
}

#[tokio::test]
async fn a_whole_tenant_emptied_is_filled_again_and_the_neighbour_stays_as_it_was() {
    let house = House::new().await;
    let copy = house.copy().await;
    let before = house.neighbour().await;
    // Everything that the owner may remove of one tenant.
    let mut tx = house.write(house.acme).await;
    let mut tables = shape::in_order(repo::tables(&mut tx).await.unwrap());
    drop(tx);
    tables.reverse();
    let tenant = house.acme;
    for table in tables
        .iter()
        .filter(|table| table.name != "tenant" && !table.name.starts_with("ledger_"))
    {
        house
            .sql(&format!(
                "delete from {} where tenant_id = '{tenant}'",
                table.name
            ))
            .await;
    }
    let report = house
        .merge(&copy, &Decisions::all(What::Backup))
        .await
        .unwrap();
    let added: Vec<String> = report
        .tables
        .iter()
        .map(|(name, counts)| format!("{name} {}/{}", counts.added, counts.left))
        .collect();
    assert_eq!(
        added,
        [
            "api_key 0/1",
            "app_user 3/0",
            "incident 1/0",
            "incident_counter 1/0",
            "incident_timeline 1/0",
            "named_location 1/0",
            "response_action 0/1",
            "role 1/0",
            "user_role 3/0"
        ],
        "{report:?}"
    );
    assert_eq!(house.neighbour().await, before);
    assert_eq!(
        house
            .text(&format!(
                "select count(*)::text from session where tenant_id = '{tenant}'"
            ))
            .await,
        "0"
    );
    let again = house
        .merge(&copy, &Decisions::all(What::Backup))
        .await
        .unwrap();
    assert!(
        again
            .tables
            .values()
            .all(|counts| counts.added + counts.changed == 0),
        "{again:?}"
    );
}

#[tokio::test]
async fn what_was_taken_from_somebody_since_is_not_given_back_with_a_table() {
    let house = House::new().await;
    let copy = house.copy().await;
    let tenant = house.acme;
    // By the hub, as its ledger says; then by mistake.
    let bob = house
        .text(&format!(
            "select id::text from app_user where username = 'bob' and tenant_id = '{tenant}'"
        ))
        .await;
    let mut tx = house.write(tenant).await;
    let act =
        Act::new("user.lock", Class::AccountChange, 9, "admin").on(Subject::new("user", &bob));
    tx.record(act).await.unwrap();
    tx.commit_progress().await.unwrap();
    house.sql(&format!(
        "delete from session where tenant_id = '{tenant}';
         delete from user_role where tenant_id = '{tenant}';
         delete from app_user where tenant_id = '{tenant}' and username in ('bob', 'eve');
         update role set permissions = '{{}}' where tenant_id = '{tenant}';
         update app_user set locked_at = now(), password_phc = 'new', display_name = 'Countess'
           where tenant_id = '{tenant}' and username = 'ada';
         insert into app_user (tenant_id, id, username, email, display_name, password_phc, password_changed_at, created_at)
           values ('{tenant}', gen_random_uuid(), 'eve', 'e@x.example', 'another', 'x', now(), now())"
    )).await;
    let report = house
        .merge(&copy, &Decisions::all(What::Backup))
        .await
        .unwrap();
    assert_eq!(
        why(&report, "app_user"),
        [
            "needs a decision of its own: locked, or given another password, since the backup",
            "another row has its username now",
        ]
    );
    // Bob's and Eve's have nobody; Ada's was taken from her.
    let grants = why(&report, "user_role");
    assert_eq!(grants.len(), 3, "{report:?}");
    assert_eq!(
        grants
            .iter()
            .filter(|why| why.contains("of app_user that it belongs to is missing"))
            .count(),
        2,
        "{grants:?}"
    );
    assert_eq!(
        why(&report, "role"),
        ["needs a decision of its own: its permissions were changed since the backup"]
    );
    let ada = format!(
        "select display_name || ' ' || password_phc || ' ' || (locked_at is not null)
        from app_user where username = 'ada' and tenant_id = '{tenant}'"
    );
    assert_eq!(house.text(&ada).await, "ada new true");

    // By its own decision everything of it; a fault of one is a fault of all.
    let key = house
        .text(&format!(
            "select id::text from app_user where username = 'ada' and tenant_id = '{tenant}'"
        ))
        .await;
    let mut decisions = Decisions::default();
    decisions
        .rows
        .push(("app_user".to_owned(), key.clone(), What::Backup));
    decisions
        .rows
        .push(("app_user".to_owned(), bob.clone(), What::Missing));
    let mut wrong = decisions.clone();
    wrong
        .rows
        .push(("app_user".to_owned(), "nobody".to_owned(), What::Backup));
    wrong
        .rows
        .push(("session".to_owned(), "x".to_owned(), What::Missing));
    wrong.tables.insert("legal_hold".to_owned(), What::Backup);
    let faults = house.merge(&copy, &wrong).await.unwrap_err().to_string();
    assert!(
        faults.contains("session x: is only compared")
            && faults.contains("legal_hold: use `missing`"),
        "{faults}"
    );
    wrong.rows.pop();
    wrong.tables.clear();
    wrong.rows.push((
        "user_role".to_owned(),
        format!("{bob}/auditor"),
        What::Missing,
    ));
    let faults = house.merge(&copy, &wrong).await.unwrap_err().to_string();
    assert_eq!(
        faults,
        "app_user nobody: there is no such row, neither live nor in the backup"
    );
    assert_eq!(house.text(&ada).await, "ada new true");
    let report = house.merge(&copy, &decisions).await.unwrap();
    let mut revived = [format!("app_user/{bob}"), format!("app_user/{key}")];
    revived.sort();
    assert_eq!(report.revived, revived);
    assert_eq!(house.text(&ada).await, "ada argon2 ada false");
}

#[tokio::test]
async fn a_comparison_tells_columns_and_no_secret() {
    let house = House::new().await;
    let copy = house.copy().await;
    house.sql(&format!(
        "update app_user set password_phc = 'hunter2', email = 'new@example.org' where username = 'ada' and tenant_id = '{}'",
        house.acme
    )).await;
    let compared = compare::all(&mut house.write(house.acme).await, &copy, 10)
        .await
        .unwrap();
    let different: Vec<_> = compared
        .tables
        .iter()
        .filter(|table| table.is_different())
        .collect();
    assert_eq!(different.len(), 1, "{different:?}");
    let row = &different[0].rows[0];
    let changed = serde_json::to_string(&row.changed).unwrap();
    assert_eq!(
        changed,
        r#"{"email":["ada@example.org","new@example.org"],"password_phc":"differs"}"#
    );
    let text = decide::template(&compared);
    assert!(
        !text.contains("hunter2") && !text.contains("argon2"),
        "{text}"
    );
    assert!(
        text.contains("app_user\" = \"live\"  # 0 only in the backup, 1 differ, 0 only live"),
        "{text}"
    );
    // The hub can neither read nor enter it.
    let mut tx = Cx::system(house.database.store(), house.acme, "test")
        .write()
        .await
        .unwrap();
    let read = sqlx::query("select from restored_acme_1.app_user")
        .execute(tx.conn())
        .await;
    assert!(read.unwrap_err().to_string().contains("permission denied"));
}
