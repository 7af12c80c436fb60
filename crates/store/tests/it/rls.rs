//! The wall between tenants, tried with hand-written SQL on every table that the catalogue knows.

use hub_base::TenantId;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::rows::{Column, TABLES, column, columns, planted};

async fn open(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

#[tokio::test]
async fn every_table_of_tenants_is_walled_in() {
    let db = hub_testkit::database().await;
    let store = db.store();
    // A batch makes the day's partitions: they must be walled in too.
    let cx = hub_store::Cx::system(store, TenantId::SYSTEM, "test");
    hub_store::ingest::append(&cx, hub_store::ingest::Batch::default())
        .await
        .unwrap();
    let mut owner = open(&db.url_owner).await;
    let faults = column(
        &mut owner,
        "select c.relname || ': ' || concat_ws(', ',
           case when not c.relrowsecurity then 'row-level security is off' end,
           case when not c.relforcerowsecurity then 'not forced on the owner' end,
           case when p.polname is null then 'no policy' end,
           case when (select count(*) from pg_policy x where x.polrelid = c.oid) > 1 then 'more than one policy' end,
           case when p.polcmd <> '*' then 'the policy is not for all commands' end,
           case when pg_get_expr(p.polqual, p.polrelid) not like
             '%tenant_id = ( SELECT (NULLIF(current_setting(''app.tenant''%' then 'USING is odd' end,
           case when p.polwithcheck is null then 'no WITH CHECK' end,
           case when pg_get_expr(p.polwithcheck, p.polrelid) <> pg_get_expr(p.polqual, p.polrelid)
             then 'WITH CHECK differs' end,
           case when not a.attnotnull then 'tenant_id may be null' end,
           case when (select i.indkey[0] from pg_index i where i.indrelid = c.oid and i.indisprimary)
             is distinct from a.attnum then 'the primary key does not begin with tenant_id' end)
         from pg_class c
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
         left join pg_policy p on p.polrelid = c.oid
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
           and not (c.relrowsecurity and c.relforcerowsecurity and p.polname is not null and p.polcmd = '*'
             and (select count(*) from pg_policy x where x.polrelid = c.oid) = 1
             and pg_get_expr(p.polqual, p.polrelid) like
               '%tenant_id = ( SELECT (NULLIF(current_setting(''app.tenant''%'
             and pg_get_expr(p.polwithcheck, p.polrelid) = pg_get_expr(p.polqual, p.polrelid)
             and a.attnotnull
             and (select i.indkey[0] from pg_index i where i.indrelid = c.oid and i.indisprimary) = a.attnum)",
    )
    .await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let open_tables = column(
        &mut owner,
        "select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace
           and c.relkind in ('r', 'p') and not c.relrowsecurity order by 1",
    )
    .await;
    assert_eq!(open_tables, ["hub_migration", "tenant"]);
    let leaky_views = column(
        &mut owner,
        "select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace
           and c.relkind in ('v', 'm') and not coalesce(c.reloptions::text like '%security_invoker=true%', false)",
    )
    .await;
    assert!(
        leaky_views.is_empty(),
        "not security_invoker: {leaky_views:?}"
    );
    let blind_keys = column(
        &mut owner,
        "select conname::text from pg_constraint k where k.contype = 'f'
           and k.connamespace = 'public'::regnamespace and k.confrelid <> 'tenant'::regclass
           and not (select a.attnum from pg_attribute a where a.attrelid = k.conrelid and a.attname = 'tenant_id')
             = any (k.conkey)",
    )
    .await;
    assert!(
        blind_keys.is_empty(),
        "foreign keys without the tenant: {blind_keys:?}"
    );
}

#[tokio::test]
async fn the_application_owns_nothing_and_cannot_climb() {
    let db = hub_testkit::database().await;
    let mut app = open(&db.url_app).await;
    let (user, privileged, owned): (String, bool, i64) = sqlx::query_as(
        "select current_user::text, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb,
           (select count(*) from pg_class where relowner = r.oid) + (select count(*) from pg_proc where proowner = r.oid)
         from pg_roles r where rolname = current_user",
    )
    .fetch_one(&mut app)
    .await
    .unwrap();
    assert_eq!((user.as_str(), privileged, owned), ("hub_app", false, 0));
    for attempt in [
        "set role hub_owner",
        "create table public.mine (a int)",
        "alter table event disable row level security",
        "drop policy tenant on event",
        "truncate event_batch",
        "delete from tenant",
        "update hub_migration set checksum = ''",
        "call hub_protect('tenant')",
        "set session_replication_role = replica",
        "copy event to stdout",
    ] {
        let refused = sqlx::raw_sql(attempt).execute(&mut app).await;
        assert!(
            refused.is_err() || attempt.starts_with("copy"),
            "`{attempt}` was not refused"
        );
    }
}

#[tokio::test]
async fn another_tenants_rows_cannot_be_read_written_or_moved() {
    let db = hub_testkit::database().await;
    let store = db.store();
    let victim = hub_testkit::tenant(&store, "victim").await;
    let thief = hub_testkit::tenant(&store, "thief").await;
    let mut root = open(&db.url_superuser).await;
    let mut app = open(&db.url_app).await;
    let mut tried = 0;
    for table in column(&mut root, TABLES).await {
        let columns = columns(&mut root, &table).await;
        if columns.iter().all(|(name, _, _)| name != "tenant_id") {
            continue;
        }
        plant(&mut root, &table, &columns, victim).await;
        cross(&mut app, &table, &columns, victim, thief).await;
        tried += 1;
    }
    assert!(tried >= 6, "only {tried} tables were tried");
}

/// The superuser puts a row in the way; checks that hinder it are dropped, this database is thrown away anyway.
async fn plant(root: &mut PgConnection, table: &str, columns: &[Column], tenant: TenantId) {
    root.execute("set session_replication_role = replica")
        .await
        .unwrap();
    let checks: Vec<(String,)> = sqlx::query_as(
        "select conname::text from pg_constraint where conrelid = to_regclass(quote_ident($1)) and contype = 'c' and coninhcount = 0",
    )
    .bind(table)
    .fetch_all(&mut *root)
    .await
    .unwrap();
    for (check,) in checks {
        let drop = format!("alter table \"{table}\" drop constraint \"{check}\"");
        root.execute(sqlx::raw_sql(AssertSqlSafe(drop)))
            .await
            .unwrap();
    }
    let sql = planted(table, columns, tenant);
    let inserted = root
        .execute(sqlx::raw_sql(AssertSqlSafe(sql.clone())))
        .await;
    // A partition refuses rows of another day: its parent has had its own.
    if let Err(error) = inserted {
        assert!(error.to_string().contains("partition"), "{sql}: {error}");
    }
}

async fn cross(
    app: &mut PgConnection,
    table: &str,
    columns: &[Column],
    victim: TenantId,
    thief: TenantId,
) {
    let attempts = [
        format!("select * from \"{table}\" where tenant_id = '{victim}'"),
        format!("update \"{table}\" set tenant_id = '{thief}' where tenant_id = '{victim}'"),
        format!("delete from \"{table}\" where tenant_id = '{victim}'"),
        planted(table, columns, victim),
        format!("select * from \"{table}\""),
        format!("delete from \"{table}\""),
    ];
    for acting in [Some(thief), None] {
        for sql in &attempts {
            let mut tx = app.begin().await.unwrap();
            if let Some(acting) = acting {
                let set = format!("set local app.tenant = '{acting}'");
                tx.execute(sqlx::raw_sql(AssertSqlSafe(set))).await.unwrap();
            }
            // Refused, or nothing touched.
            if sql.starts_with("select") {
                let rows = tx
                    .fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.clone())))
                    .await;
                assert!(
                    rows.map_or(0, |rows| rows.len()) == 0,
                    "{sql} as {acting:?} reads"
                );
            } else {
                let done = tx.execute(sqlx::raw_sql(AssertSqlSafe(sql.clone()))).await;
                assert!(
                    done.map_or(0, |done| done.rows_affected()) == 0,
                    "{sql} as {acting:?} writes"
                );
            }
            tx.rollback().await.unwrap();
        }
    }
}
