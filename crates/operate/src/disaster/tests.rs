use super::*;

#[test]
fn the_built_in_scenarios_are_sound_and_every_file_is_built_in() {
    let scenarios = Scenarios::load(None).unwrap();
    let names: Vec<&str> = scenarios.iter().map(|one| &*one.name).collect();
    assert_eq!(names.len(), BUILT_IN.len());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../content/disasters");
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let files = files.map(|file| file.file_name().into_string().unwrap());
    for file in files.filter(|file| file.rsplit('.').next() == Some("yaml")) {
        assert!(BUILT_IN.iter().any(|(name, _)| *name == file), "{file}");
    }
    assert_eq!(
        scenarios.named("ransomware").unwrap().subject(),
        "scenario ransomware"
    );
    let unknown = scenarios.named("flood").unwrap_err().to_string();
    assert!(unknown.contains("table-dropped"), "{unknown}");
}

/// The schema that editors use is what the program reads.
#[test]
fn the_published_schema_is_the_programs() {
    let made = serde_json::to_string_pretty(&schemars::schema_for!(Scenario)).unwrap() + "\n";
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../content/disasters/schema.json"
    );
    if std::env::var_os("INSTA_UPDATE").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), made);
}

#[test]
fn what_makes_no_sense_is_said_with_its_line() {
    let (file, text) = BUILT_IN
        .iter()
        .find(|(file, _)| *file == "table-dropped.yaml")
        .unwrap();
    for (from, to, line, said) in [
        (
            "name: table-dropped",
            "name: other",
            2,
            "must be `table-dropped`",
        ),
        (
            "title: A table dropped by mistake",
            "title: ' '",
            3,
            "1 to 100 characters",
        ),
        ("rto: 5m", "rto: 0s", 8, "is met by nobody"),
        ("rto: 5m", "rto: soon", 8, "not a duration"),
        (
            "do: drop_table",
            "do: drop_everything",
            10,
            "unknown variant",
        ),
        (
            "table: session }",
            "table: 'session; drop database hub' }",
            9,
            "no name of a table",
        ),
        ("  - do: stop_hub\n", "", 14, "under a hub that runs"),
        ("  - do: start_hub\n", "", 14, "no hub runs in the end"),
        ("to: before", "to: last_proven", 14, "needs ledger_verify"),
        ("[health, sign_in]", "[]", 11, "nobody would notice"),
        ("[health, sign_in]", "[redis]", 0, "redis: true is missing"),
        ("[answers, ledgers, ", "[answers, ", 18, "without `ledgers`"),
        ("signs_in, ", "entry_is_back, ", 18, "no entry is altered"),
        ("signs_in, ", "kept_unharmed, ", 18, "needs write_once"),
        (
            "story: >",
            "hurry: yes\nstory: >",
            4,
            "unknown field `hurry`",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let faults = Scenario::parse(file, &text.replacen(from, to, 1)).unwrap_err();
        let told = faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(told.contains(said), "{to}: {told}");
        let found = faults
            .iter()
            .find(|fault| fault.what.contains(said))
            .unwrap();
        assert_eq!(found.line, line, "{to}: {told}");
    }
}

#[test]
fn a_folder_of_ones_own_replaces_and_joins_and_every_fault_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = BUILT_IN
        .iter()
        .find(|(file, _)| *file == "redis-lost.yaml")
        .unwrap()
        .1;
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put(
        "redis-lost.yaml",
        &text.replace("Redis is lost", "Redis is away"),
    );
    put(
        "redis-again.yaml",
        &text.replace("name: redis-lost", "name: redis-again"),
    );
    put("notes.txt", "no scenario");
    let scenarios = Scenarios::load(Some(folder.path())).unwrap();
    assert_eq!(scenarios.iter().count(), BUILT_IN.len() + 1);
    assert_eq!(
        scenarios.named("redis-lost").unwrap().title,
        "Redis is away"
    );
    put("one.yaml", "name: one\n");
    put("two.yaml", text);
    let Err(Error::Scenarios(faults)) = Scenarios::load(Some(folder.path())) else {
        panic!("two files are wrong");
    };
    let files: Vec<&str> = faults.iter().map(|fault| &*fault.file).collect();
    assert_eq!(files, ["one.yaml", "two.yaml"], "{faults:?}");
}
