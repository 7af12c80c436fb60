//! One tenant out of a backup: what was lost is named and comes back, what was revoked does not, and nobody else's rows move.

use serde_json::{Value, json};

use super::site::{Site, people, words_of};
use super::{first_backup, installed};
use crate::tool::{binary, patiently};
use crate::world::{Actor, PASSWORD, make_tenant, start};

const NOW: &str =
    "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
/// As odd as a slug may be.
const RIVAL: &str = "0--select-1--restored-acme";

/// Everything of a tenant but what its workers do meanwhile, in one digest for each table.
fn digests(site: &Site, slug: &str) -> Vec<String> {
    let tables = "select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
        and not relispartition and relname not in ('worker_lease', 'detect_cursor') and exists (
          select from pg_attribute where attrelid = c.oid and attname = 'tenant_id') order by 1";
    let tables = Site::sql(&site.data(), tables);
    let each = tables.lines().map(|table| {
        format!(
            "select '{table} ' || count(*) || ' ' || md5(coalesce(string_agg(t::text, E'\\n' order by t::text), ''))
             from {table} t where tenant_id = (select id from tenant where slug = '{slug}')"
        )
    });
    let all = each.collect::<Vec<_>>().join(" union all ");
    let text = Site::sql(&site.data(), &all);
    text.lines().map(str::to_owned).collect()
}

/// The rows of a table that a comparison names: label and side.
fn named(compared: &Value, table: &str) -> Vec<(String, String)> {
    let tables = compared["tables"].as_array().unwrap();
    let table = tables.iter().find(|one| one["name"] == table).unwrap();
    let rows = table["rows"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<_> = rows
        .map(|row| (text(&row["label"]), text(&row["side"])))
        .collect();
    rows.sort();
    rows
}

fn side(rows: &[(String, String)], side: &str) -> Vec<String> {
    let rows = rows.iter().filter(|(_, of)| of == side);
    rows.map(|(label, _)| label.clone()).collect()
}

async fn key_of(owner: &Actor, name: &str) -> (String, String) {
    let wish = json!({"name": name, "scopes": ["users.read"]});
    let made = owner.post("/api/v2/api-keys", wish).await;
    (
        made.expect(201).text("id").to_owned(),
        made.text("key").to_owned(),
    )
}

async fn ledger_is_sound(owner: &Actor) {
    let Value::String(export) = owner
        .get("/api/v2/ledger/export")
        .await
        .expect(200)
        .body
        .clone()
    else {
        panic!("an export is text");
    };
    let report =
        hub_ledger::export::verify(export.as_bytes(), &hub_ledger::export::Expect::default());
    assert!(report.is_whole(), "{report:?}");
}

async fn restored(owner: &Actor) -> Value {
    patiently("the act in the ledger", || async {
        let found = owner
            .get("/api/v2/ledger/entries?operation=tenant.restore")
            .await;

        found.expect(200).body["items"].as_array()?.first().cloned()
    })
    .await
}

#[tokio::test]
async fn people_who_were_deleted_by_mistake_come_back_and_what_was_revoked_does_not() {
    if !installed("people_who_were_deleted_by_mistake_come_back_and_what_was_revoked_does_not") {
        return;
    }
    let site = Site::new().await;
    let hub = site.hub.as_ref().unwrap();
    make_tenant(&site.operator, RIVAL).await;
    for name in ["bob", "eve", "carol"] {
        site.person(name).await;
    }
    let bob = Actor::anonymous(hub).signed_in("acme", "bob").await;
    let role = json!({"permissions": ["incidents.read"]});
    let put = site
        .owner
        .send(reqwest::Method::PUT, "/api/v2/roles/checker", role)
        .await;
    assert!(put.status < 300, "{}", put.body);
    let (stolen, secret) = key_of(&site.owner, "stolen").await;
    let settled = || async {
        let waiting = "select count(*) from ledger_outbox";
        (Site::sql(&site.data(), waiting) == "0").then_some(())
    };
    patiently("the ledger", settled).await;
    first_backup(&site).await;
    let minute_before = Site::sql(&site.data(), NOW);

    // The mistake, and what was done on purpose since.
    Site::sql(
        &site.data(),
        "with gone as (select tenant_id, id from app_user where username in ('bob', 'eve') and tenant_id =
             (select id from tenant where slug = 'acme')),
           r as (delete from user_role u using gone where u.user_id = gone.id),
           t as (delete from refresh_token k using session s, gone where k.session_id = s.id and s.user_id = gone.id),
           s as (delete from session s using gone where s.user_id = gone.id),
           o as (delete from role where name = 'checker')
         delete from app_user u using gone where u.id = gone.id",
    );
    let carol = "select id from app_user where username = 'carol'";
    let carol = Site::sql(&site.data(), carol);
    let lock = json!({"reason": "left the company"});
    site.owner
        .post(&format!("/api/v2/users/{carol}/lock"), lock)
        .await;
    let key = format!("/api/v2/api-keys/{stolen}");
    site.owner
        .send(reqwest::Method::DELETE, &key, json!({}))
        .await
        .expect(204);
    site.person("later").await;
    site.archived().await;
    let rival = digests(&site, RIVAL);

    let scratch = site.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    super::open(&scratch);
    let room = ["--scratch", scratch.to_str().unwrap()];
    let extract = ["restore", "tenant", "extract", "--to", &minute_before];
    let told = site
        .json(&[&extract[..], &["--tenant", "acme"], &room].concat())
        .await;
    let copy = told["copy"]["name"].as_str().unwrap().to_owned();
    assert!(copy.starts_with("restored_acme_"), "{told}");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "{told}");
    let may = format!(
        "select has_schema_privilege('hub_app', '{copy}', 'usage')
        or has_table_privilege('hub_app', '{copy}.app_user', 'select')"
    );
    assert_eq!(Site::sql(&site.data(), &may), "f");
    let strange = format!(
        "select count(*) from {copy}.app_user where tenant_id <> '{}'",
        told["copy"]["id"].as_str().unwrap()
    );
    assert_eq!(Site::sql(&site.data(), &strange), "0");

    let compare = ["restore", "tenant", "compare"];
    let file = site.path("decide.toml");
    let compared = site
        .json(&[&compare[..], &["--write", file.to_str().unwrap()]].concat())
        .await;
    let users = named(&compared, "app_user");
    assert_eq!(side(&users, "backup"), ["bob", "eve"], "{users:?}");
    assert_eq!(side(&users, "differs"), ["carol"], "{users:?}");
    assert_eq!(side(&users, "live"), ["later"], "{users:?}");
    assert_eq!(side(&named(&compared, "role"), "backup"), ["checker"]);
    assert_eq!(side(&named(&compared, "api_key"), "differs"), ["stolen"]);
    let text = format!("{}{compared}", std::fs::read_to_string(&file).unwrap());
    assert!(!text.contains("argon2"), "{text}");

    let merge = ["restore", "tenant", "merge", &copy];
    let dry = [&merge[..], &["--take", "backup", "--dry-run"]].concat();
    let would = site.json(&dry).await;
    assert_eq!(people(&site.owner).await, ["ada", "carol", "later"]);
    let done = site
        .json(&[&merge[..], &["--take", "backup"]].concat())
        .await;
    assert_eq!(would["report"], done["report"]);
    assert_eq!(done["report"]["tables"]["app_user"]["added"], 2, "{done}");
    assert_eq!(done["report"]["tables"]["user_role"]["added"], 2, "{done}");
    assert_eq!(done["report"]["tables"]["role"]["added"], 1, "{done}");
    assert_eq!(done["report"]["revived"], json!([]), "{done}");
    let left = done["report"]["left_out"].to_string();
    assert!(
        left.contains(&stolen) && left.contains("needs a decision of its own"),
        "{left}"
    );

    // They are back, and sign in; nothing that was ended lives again.
    assert_eq!(
        people(&site.owner).await,
        ["ada", "bob", "carol", "eve", "later"]
    );
    let hub = site.hub.as_ref().unwrap();
    Actor::anonymous(hub).signed_in("acme", "eve").await;
    let locked = "select locked_at is not null from app_user where username = 'carol'";
    assert_eq!(Site::sql(&site.data(), locked), "t");
    let dead = format!("select revoked_at is not null from api_key where id = '{stolen}'");
    assert_eq!(Site::sql(&site.data(), &dead), "t");
    assert_eq!(bob.with(&secret).get("/api/v2/users").await.status, 401);
    let sessions = "select count(*) from session s join app_user u on u.id = s.user_id where u.username = 'bob'";
    assert_eq!(Site::sql(&site.data(), sessions), "0");
    assert_eq!(digests(&site, RIVAL), rival);
    let entry = restored(&site.owner).await;
    assert!(entry.to_string().contains("app_user"), "{entry}");
    ledger_is_sound(&site.owner).await;

    // What is decided of a row by its name is done, and said.
    let text = std::fs::read_to_string(&file).unwrap();
    let line = format!("\"{stolen}\" = \"live\"");
    assert!(text.contains(&line), "{text}");
    std::fs::write(&file, text.replace(&line, &line.replace("live", "backup"))).unwrap();
    let decided = [&merge[..], &["--decide", file.to_str().unwrap()]].concat();
    let done = site.json(&decided).await;
    assert_eq!(
        done["report"]["revived"],
        json!([format!("api_key/{stolen}")]),
        "{done}"
    );
    assert_eq!(Site::sql(&site.data(), &dead), "f");
    let wrong = format!("copy = \"{copy}\"\n[tables]\nsession = \"missing\"\nnothing = \"live\"\n");
    std::fs::write(&file, wrong).unwrap();
    site.refused(&decided, "session: is only compared").await;
    site.refused(&decided, "nothing: there is no such table")
        .await;

    let operations = site.operator.get("/api/v2/operations").await;
    let operations = operations.expect(200).body["items"]
        .as_array()
        .unwrap()
        .clone();
    let restores = operations.iter().filter(|one| one["kind"] == "restore");
    assert_eq!(restores.count(), 3, "{operations:?}");
    site.done(&["restore", "tenant", "drop"]).await;
    let left = "select count(*) from pg_namespace where nspname like 'restored%'";
    assert_eq!(Site::sql(&site.data(), left), "0");
    site.refused(&compare, "there is none").await;
}

/// As somebody does it who has the database's superuser and no idea.
const DELETED: &str = "do $$ declare part text; begin
    set local session_replication_role = replica;
    for part in select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
      and not relispartition and exists (select from pg_attribute where attrelid = c.oid and attname = 'tenant_id')
    loop execute format('delete from %I where tenant_id = (select id from tenant where slug = ''acme'')', part); end loop;
    delete from tenant where slug = 'acme';
  end $$";

#[tokio::test]
async fn a_tenant_that_was_deleted_comes_back_with_its_ledger_from_a_backup_of_the_release_before()
{
    if !installed(
        "a_tenant_that_was_deleted_comes_back_with_its_ledger_from_a_backup_of_the_release_before",
    ) {
        return;
    }
    let mut site = Site::new().await;
    site.person("bob").await;
    let back = include_str!("../../../../migrations/0010_runbook_runs.down.sql");
    Site::sql(
        &site.data(),
        &format!("{back}; delete from hub_migration where number >= 10"),
    );
    first_backup(&site).await;
    let minute_before = Site::sql(&site.data(), NOW);
    site.stop().await;
    site.hub = Some(start(hub_testkit::hub::Setting::default(), &site.data()).await);
    let hub = site.hub.as_ref().unwrap();
    site.operator = Actor::anonymous(hub).signed_in("system", "root").await;
    Site::sql(&site.data(), DELETED);
    assert_eq!(
        Actor::anonymous(hub)
            .sign_in("acme", "ada", PASSWORD)
            .await
            .status,
        401
    );
    site.archived().await;

    let scratch = site.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    super::open(&scratch);
    let extract = [
        "restore",
        "tenant",
        "extract",
        "--to",
        &minute_before,
        "--scratch",
        scratch.to_str().unwrap(),
        "--tenant",
    ];
    let hostile = "acme'; drop table session; --";
    site.refused(&[&extract[..], &[hostile]].concat(), "it has acme, system")
        .await;
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);

    // Killed while its own database runs: the next one takes that away, and there is no half copy.
    let mut command = std::process::Command::new(binary());
    let data = site.data();
    command
        .args(extract)
        .args(["acme", "--data-dir"])
        .arg(&data);
    let mut child = command.spawn().unwrap();
    patiently("the scratch database", || async {
        let mut places = std::fs::read_dir(&scratch).unwrap().flatten();
        places.find(|place| place.path().join("postgres/data/postmaster.pid").exists())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let list = site.json(&["restore", "tenant", "list"]).await;
    assert_eq!(list["copies"], json!([]));
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);

    let told = site.json(&[&extract[..], &["acme"]].concat()).await;
    assert!(
        told["operation"]
            .to_string()
            .contains("migrated: 0010_runbook_runs"),
        "{told}"
    );
    let merge = ["restore", "tenant", "merge", "--take", "missing"];
    let shown = words_of(&site.hubctl(&["restore", "tenant", "compare"]).await);
    assert!(shown.contains("is not there any more"), "{shown}");
    let done = site.json(&merge).await;
    assert!(
        done["report"]["ledger_entries"].as_u64().unwrap() > 0,
        "{done}"
    );
    assert!(done["report"]["tables"].get("session").is_none(), "{done}");
    let owner = Actor::anonymous(site.hub.as_ref().unwrap())
        .signed_in("acme", "ada")
        .await;
    assert_eq!(people(&owner).await, ["ada", "bob"]);
    restored(&owner).await;
    ledger_is_sound(&owner).await;

    // The schema goes on, the copy does not.
    let newer = "insert into hub_migration (number, name, checksum) values (9999, 'later', '')";
    Site::sql(&site.data(), newer);
    site.refused(&merge, "was migrated to 9999 since").await;
    site.done(&["restore", "tenant", "drop"]).await;
}
