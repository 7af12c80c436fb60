//! Up, down, up equals up; many replicas at once; a changed past is noticed.

use hub_store::{Error, migrate};
use sqlx::{Connection as _, Executor as _, PgConnection};

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

#[tokio::test]
async fn a_way_back_and_up_again_keeps_what_earlier_migrations_hold() {
    let db = hub_testkit::database().await;
    let endpoints = db.endpoints();
    for slug in ["brightwater", "acme"] {
        hub_testkit::tenant(&db.store(), slug).await;
    }
    let mut owner = PgConnection::connect(&db.url_superuser).await.unwrap();
    let before = catalogue(&db.url_owner).await;
    let newest = migrate::MIGRATIONS.len();
    for target in (1..newest).rev() {
        migrate::revert(
            &endpoints,
            i32::try_from(target).unwrap(),
            migrate::Loss::Accepted,
        )
        .await
        .unwrap();
        let up = migrate::run(&endpoints).await.unwrap();
        assert_eq!(up.len(), newest - target);
        let tenants: Vec<(String,)> = sqlx::query_as("select slug from tenant order by slug")
            .fetch_all(&mut owner)
            .await
            .unwrap();
        let tenants: Vec<&str> = tenants.iter().map(|(slug,)| slug.as_str()).collect();
        assert_eq!(
            tenants,
            ["acme", "brightwater", "system"],
            "back to {target}"
        );
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
