//! Migrations expand: the release before runs on the schema that the next one makes, and no lock holds people up.

use std::collections::BTreeMap;
use std::path::Path;

use hub_store::migrate::{MIGRATIONS, contracts};
use squawk_linter::{Linter, Rule};
use squawk_syntax::SourceFile;

/// What the release before would trip over, and what holds a lock for as long as a table is large.
const RULES: &[Rule] = &[
    Rule::BanDropTable,
    Rule::BanDropColumn,
    Rule::BanDropDatabase,
    Rule::BanDropSchema,
    Rule::BanDropFunction,
    Rule::BanTruncateCascade,
    Rule::RenamingTable,
    Rule::RenamingColumn,
    Rule::ChangingColumnType,
    Rule::AddingRequiredField,
    Rule::AddingNotNullableField,
    Rule::AddingForeignKeyConstraint,
    Rule::ConstraintMissingNotValid,
    Rule::DisallowedUniqueConstraint,
    Rule::RequireConcurrentIndexCreation,
    Rule::RequireConcurrentIndexDeletion,
    Rule::BanConcurrentIndexCreationInTransaction,
    Rule::TransactionNesting,
    Rule::PreferTimestampTz,
    Rule::IdentifierTooLong,
];

/// What a migration may do that says which releases can live with it. That the last one can is for the test that runs it.
const CONTRACT: &[Rule] = &[
    Rule::BanDropTable,
    Rule::BanDropColumn,
    Rule::BanDropFunction,
];

fn faults(name: &str, sql: &str) -> Vec<String> {
    let needs = contracts(sql);
    if sql.contains("-- contract") && needs.is_none() {
        return vec![format!(
            "{name}, line 1: a contract says so in its first line: `-- contract: NNNN`, the newest migration of the oldest release \
             that can live with it"
        )];
    }
    let number: i32 = name.get(..4).and_then(|text| text.parse().ok()).unwrap();
    if needs.is_some_and(|needs| needs < 1 || needs >= number) {
        return vec![format!(
            "{name}, line 1: a contract comes in a later release than what it takes away became unused by: name a migration before it"
        )];
    }
    let rules = RULES.iter().copied();
    let rules = rules.filter(|rule| needs.is_none() || !CONTRACT.contains(rule));
    let file = SourceFile::parse(sql);
    let line = |at: usize| sql.get(..at).unwrap_or(sql).lines().count().max(1);
    let mut linter = Linter::from(rules.collect::<Vec<_>>());
    linter.settings.assume_in_transaction = true;
    linter
        .lint(&file, sql)
        .iter()
        .map(|found| {
            let line = line(usize::from(found.text_range.start()) + 1);
            format!("{name}, line {line}: {:?}: {}", found.code, found.message)
        })
        .collect()
}

#[test]
fn every_migration_expands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut read = 0;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".up.sql") {
            found.extend(faults(&name, &std::fs::read_to_string(&path).unwrap()));
            read += 1;
        }
    }
    assert_eq!(read, MIGRATIONS.len());
    // What a release carries, for `hubctl deploy` to look at.
    if let Some(path) = std::env::var_os("HUB_MIGRATIONS_REPORT") {
        let names: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.name).collect();
        let needs: BTreeMap<&str, i32> = MIGRATIONS
            .iter()
            .filter_map(|migration| Some((migration.name, migration.contracts()?)))
            .collect();
        let report = serde_json::json!({"migrations": names, "faults": found, "needs": needs});
        std::fs::write(path, format!("{report:#}\n")).unwrap();
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_does_not_expand_is_found() {
    for (sql, rule) in [
        ("drop table session;", "BanDropTable"),
        ("alter table session drop column device;", "BanDropColumn"),
        (
            "alter table session rename column device to gadget;",
            "RenamingColumn",
        ),
        (
            "alter table session alter column device type bytea;",
            "ChangingColumnType",
        ),
        (
            "alter table session add column a int not null;",
            "AddingRequiredField",
        ),
        (
            "create index late on session (device);",
            "RequireConcurrentIndexCreation",
        ),
    ] {
        let found = faults("9999_bad", sql).join("\n");
        assert!(found.contains(rule), "{sql}: {found}");
        assert!(found.starts_with("9999_bad, line 1: "), "{found}");
    }
}

#[test]
fn a_contract_names_the_oldest_release_that_can_live_with_it() {
    let drop =
        "-- contract: 0005 (0005 moved it to `gadget`)\nalter table session drop column device;";
    assert!(faults("0009_less", drop).is_empty());
    for (sql, words) in [
        ("-- contract: 0009\ndrop table session;", "before it"),
        ("-- contract\ndrop table session;", "`-- contract: NNNN`"),
        (
            "-- why\n-- contract: 0005\ndrop table session;",
            "first line",
        ),
        (
            "-- contract: 0005\nalter table session rename column device to gadget;",
            "RenamingColumn",
        ),
    ] {
        let found = faults("0009_less", sql).join("\n");
        assert!(found.contains(words), "{sql}: {found}");
    }
}
