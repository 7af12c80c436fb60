//! Up, down, up equals up; many replicas at once; a changed past is noticed.

use std::collections::BTreeMap;

use hub_store::{Error, migrate};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::rows::{TABLES, column, columns, planted};

/// Everything in the schema that a migration can make, as text.
async fn catalogue(url: &str) -> Vec<String> {
    let mut db = PgConnection::connect(url).await.unwrap();
    let rows: Vec<(String,)> = sqlx::query_as(
        "select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' '
           || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || c.relrowsecurity || c.relforcerowsecurity
           || coalesce(c.relacl::text, '')
         from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
         where c.relnamespace = 'public'::regnamespace
         union all select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
         from pg_constraint where connamespace = 'public'::regnamespace
         union all select 'index ' || indexdef from pg_indexes where schemaname = 'public'
         union all select 'policy ' || polrelid::regclass || ' ' || polname || ' ' || pg_get_expr(polqual, polrelid)
         from pg_policy
         union all select 'function ' || proname || ' ' || md5(prosrc) || coalesce(proacl::text, '')
         from pg_proc where pronamespace = 'public'::regnamespace
         union all select 'trigger ' || tgrelid::regclass || ' ' || tgname from pg_trigger where not tgisinternal
         union all select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')
         union all select 'rows of tenant ' || id || slug from tenant
         order by 1",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    rows.into_iter().map(|(line,)| line).collect()
}

#[tokio::test]
async fn up_down_up_equals_up() {
    let db = hub_testkit::database().await;
    let endpoints = db.endpoints();
    let before = catalogue(&db.url_owner).await;
    // One by one, so that each way back is tried on the state that it finds in life.
    for target in (0..migrate::MIGRATIONS.len()).rev() {
        let undone = migrate::revert(
            &endpoints,
            i32::try_from(target).unwrap(),
            migrate::Loss::Accepted,
        )
        .await
        .unwrap();
        assert_eq!(undone, [migrate::MIGRATIONS[target].name]);
    }
    assert!(
        migrate::status(&endpoints)
            .await
            .unwrap()
            .iter()
            .all(|step| !step.applied)
    );
    let mut owner = PgConnection::connect(&db.url_owner).await.unwrap();
    let (left,): (i64,) = sqlx::query_as(
        "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relname not like 'hub_migration%'",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!(left, 0, "the way back leaves something behind");
    assert_eq!(
        migrate::run(&endpoints).await.unwrap().len(),
        migrate::MIGRATIONS.len()
    );
    assert_eq!(catalogue(&db.url_owner).await, before);
}

/// What each table with rows holds: how many, and their digest.
async fn held(db: &mut PgConnection) -> BTreeMap<String, (i64, String)> {
    let mut held = BTreeMap::new();
    for table in column(db, TABLES).await {
        if table.starts_with("hub_migration") {
            continue;
        }
        let sql = format!(
            "select count(*), coalesce(md5(string_agg(r::text, '|' order by r::text)), '') from \"{table}\" r"
        );
        let (rows, digest): (i64, String) = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_one(&mut *db)
            .await
            .unwrap();
        if rows > 0 {
            held.insert(table, (rows, digest));
        }
    }
    held
}

#[tokio::test]
async fn a_way_back_and_up_again_keeps_what_earlier_migrations_hold() {
    let db = hub_testkit::database().await;
    let endpoints = db.endpoints();
    let tenant = hub_testkit::tenant(&db.store(), "acme").await;
    let mut root = PgConnection::connect(&db.url_superuser).await.unwrap();
    // A row in every table, whatever it refers to.
    root.execute("set session_replication_role = replica")
        .await
        .unwrap();
    let mut refused = Vec::new();
    for table in column(&mut root, TABLES).await {
        let columns = columns(&mut root, &table).await;
        let row = planted(&table, &columns, tenant);
        if let Err(error) = root.execute(sqlx::raw_sql(AssertSqlSafe(row))).await {
            refused.push(format!("{table}: {error}"));
        }
    }
    let all = held(&mut root).await;
    println!("{} tables have rows; refused: {refused:#?}", all.len());
    assert!(all.len() >= 25, "{all:?}");
    let before = catalogue(&db.url_owner).await;
    let newest = migrate::MIGRATIONS.len();
    for target in (1..newest).rev() {
        let number = i32::try_from(target).unwrap();
        migrate::revert(&endpoints, number, migrate::Loss::Accepted)
            .await
            .unwrap();
        // What was there at that migration is there still, and nothing of it is lost on the way up.
        let kept = held(&mut root).await;
        let there = column(&mut root, TABLES).await;
        let wanted = || all.iter().filter(|(table, _)| there.contains(table));
        for (table, (rows, _)) in wanted() {
            let left = kept.get(table).map(|(rows, _)| rows);
            assert_eq!(left, Some(rows), "{table}, back to {target}");
        }
        assert!(kept.contains_key("tenant"), "back to {target}");
        let up = migrate::run(&endpoints).await.unwrap();
        assert_eq!(up.len(), newest - target);
        let now = held(&mut root).await;
        for (table, was) in wanted() {
            assert_eq!(
                now.get(table),
                Some(was),
                "{table}, back to {target} and up"
            );
        }
    }
    assert_eq!(catalogue(&db.url_owner).await, before);
}

#[tokio::test]
async fn eight_replicas_start_at_once_and_one_of_them_migrates() {
    let db = hub_testkit::database().await;
    let endpoints = db.endpoints();
    migrate::revert(&endpoints, 0, migrate::Loss::Accepted)
        .await
        .unwrap();
    let replicas: Vec<_> = (0..8)
        .map(|_| {
            let endpoints = endpoints.clone();
            tokio::spawn(async move { migrate::run(&endpoints).await.unwrap().len() })
        })
        .collect();
    let mut applied = 0;
    for replica in replicas {
        applied += replica.await.unwrap();
    }
    assert_eq!(applied, migrate::MIGRATIONS.len());
}

#[tokio::test]
async fn a_changed_past_and_a_newer_database_are_refused() {
    let db = hub_testkit::database().await;
    let mut owner = PgConnection::connect(&db.url_owner).await.unwrap();
    owner
        .execute("update hub_migration set checksum = 'x' where number = 2")
        .await
        .unwrap();
    let fault = migrate::run(&db.endpoints()).await.unwrap_err();
    assert!(matches!(fault, Error::MigrationChanged { .. }), "{fault}");
    assert!(migrate::status(&db.endpoints()).await.unwrap()[1].changed);
    owner
        .execute("update hub_migration set number = 99 where number = 2")
        .await
        .unwrap();
    let fault = migrate::run(&db.endpoints()).await.unwrap_err();
    assert!(
        matches!(
            fault,
            Error::Ahead {
                found: 99,
                known: 10
            }
        ),
        "{fault}"
    );
}

#[tokio::test]
async fn a_release_that_is_too_old_for_a_contract_is_refused() {
    let db = hub_testkit::database().await;
    let mut owner = PgConnection::connect(&db.url_owner).await.unwrap();
    migrate::fits(&db.endpoints()).await.unwrap();
    // A newer release took away what this one does not use, and then what it does.
    for (needs, fits) in [(5, true), (42, false)] {
        let contract = format!(
            "insert into hub_migration (number, name, checksum, needs) values (90 + {needs}, 'less', 'x', {needs})"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(contract))
            .execute(&mut owner)
            .await
            .unwrap();
        let said = migrate::fits(&db.endpoints()).await;
        assert_eq!(said.is_ok(), fits, "{said:?}");
    }
    let fault = migrate::fits(&db.endpoints()).await.unwrap_err();
    assert!(matches!(fault, Error::TooOld { needs: 42, .. }), "{fault}");
    // One that only older releases have migrated knows no contract.
    owner
        .execute("alter table hub_migration drop column needs")
        .await
        .unwrap();
    migrate::fits(&db.endpoints()).await.unwrap();
}

#[tokio::test]
async fn a_broken_step_names_file_and_line_and_leaves_nothing() {
    let db = hub_testkit::database().await;
    let endpoints = db.endpoints();
    migrate::revert(&endpoints, 5, migrate::Loss::Accepted)
        .await
        .unwrap();
    let mut owner = PgConnection::connect(&db.url_owner).await.unwrap();
    // Something already stands where the migration wants to build.
    owner
        .execute("create table respond_in_the_way (a int)")
        .await
        .unwrap();
    let tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace";
    let (before,): (i64,) = sqlx::query_as(tables).fetch_one(&mut owner).await.unwrap();
    owner
        .execute("alter table tenant rename to tenant_gone")
        .await
        .unwrap();
    let fault = migrate::run(&endpoints).await.unwrap_err();
    let text = fault.to_string();
    assert!(
        text.contains("0006_respond") && text.contains("line "),
        "{text}"
    );
    let (after,): (i64,) = sqlx::query_as(tables).fetch_one(&mut owner).await.unwrap();
    assert_eq!(before, after);
}

/// Somebody's transaction stands in the way: servers do not queue up behind a migration that waits for it, and who waits is told why.
#[tokio::test]
async fn a_step_that_waits_for_a_lock_gives_up_and_leaves_nothing() {
    let db = hub_testkit::database().await;
    let endpoints = db.endpoints();
    // Its tables refer to `tenant`.
    let refers = "0010_runbook_runs";
    migrate::revert(&endpoints, 9, migrate::Loss::Accepted)
        .await
        .unwrap();
    let before = catalogue(&db.url_owner).await;
    let mut holder = PgConnection::connect(&db.url_owner).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    held.execute("lock table tenant in access exclusive mode")
        .await
        .unwrap();
    let began = std::time::Instant::now();
    let fault = migrate::run(&endpoints).await.unwrap_err().to_string();
    let waited = began.elapsed().as_secs();
    assert!(
        fault.contains(refers) && fault.contains("lock timeout"),
        "{fault}"
    );
    assert!((10..60).contains(&waited), "gave up after {waited} s");
    // What is ended from outside while it waits, as a statement's own limit ends it, names the file too.
    let migrating = tokio::spawn({
        let endpoints = endpoints.clone();
        async move { migrate::run(&endpoints).await }
    });
    let mut root = PgConnection::connect(&db.url_superuser).await.unwrap();
    let waiting = "select count(pg_cancel_backend(pid)) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'relation'";
    loop {
        let (ended,): (i64,) = sqlx::query_as(waiting).fetch_one(&mut root).await.unwrap();
        if ended > 0 {
            break;
        }
        assert!(!migrating.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    let fault = migrating.await.unwrap().unwrap_err().to_string();
    assert!(
        fault.contains(refers) && fault.contains("canceling statement"),
        "{fault}"
    );
    held.rollback().await.unwrap();
    assert_eq!(catalogue(&db.url_owner).await, before);
    assert_eq!(migrate::run(&endpoints).await.unwrap()[0], refers);
}
