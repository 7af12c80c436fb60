use secrecy::ExposeSecret as _;

use super::*;

fn load_toml(text: &str) -> Loaded {
    load(Inputs {
        file: Some(("hub.toml".into(), text.to_owned())),
        ..Inputs::default()
    })
}

fn faults(loaded: Loaded) -> Vec<String> {
    loaded
        .config
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn nothing_configured_is_a_configuration() {
    let config = load(Inputs::default()).config.unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8005");
    assert!(
        config.trusted_proxies.is_empty() && config.database.url.is_none() && config.tls.is_none()
    );
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest() {
    let told = faults(load_toml(
        "listen = \"127.0.0.1:1\"\n\n[limits]\nbodi = 3\n",
    ));
    let expected = "hub.toml:4: unknown key `limits.bodi`; did you mean `limits.body`";
    assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
}

#[test]
fn an_unknown_variable_is_a_fault_too() {
    let environment = vec![
        ("HUB_LISTNE".to_owned(), "x".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ];
    let told = faults(load(Inputs {
        environment,
        ..Inputs::default()
    }));
    assert!(
        told[0].starts_with(
            "environment HUB_LISTNE: unknown variable `HUB_LISTNE`; did you mean `HUB_LISTEN`"
        ),
        "{told:?}"
    );
}

#[test]
fn every_fault_is_told_at_once_with_its_origin() {
    let told = faults(load_toml(
        "listen = \"here\"\ntrusted_proxies = [\"10.0.0.0/8\", \"nonsense\"]\n[limits]\nbody = 1\nheader_timeout = \"5\"\n[tls]\ncert = \"a.pem\"\n",
    ));
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(
        told.iter().all(|fault| fault.starts_with("hub.toml:")),
        "{told:#?}"
    );
}

#[test]
fn a_file_that_is_not_toml_says_where() {
    assert!(faults(load_toml("listen = 1\n= 3\n"))[0].starts_with("hub.toml:2: "));
}

#[test]
fn flags_win_over_environment_over_file() {
    let loaded = load(Inputs {
        file: Some((
            "hub.toml".into(),
            "listen = \"127.0.0.1:1\"\n[database]\npool = 5\n".to_owned(),
        )),
        environment: vec![
            ("HUB_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("HUB_DATABASE_POOL".to_owned(), "6".to_owned()),
        ],
        flags: vec![("listen", "127.0.0.1:3".to_owned(), "--listen")],
    });
    let line = loaded
        .lines
        .iter()
        .find(|line| line.key == "listen")
        .unwrap();
    assert_eq!(
        (line.value.as_str(), line.source.to_string().as_str()),
        ("127.0.0.1:3", "flag --listen")
    );
    let config = loaded.config.unwrap();
    assert_eq!((config.listen.port(), config.database.pool), (3, 6));
}

#[test]
fn secrets_are_not_printed() {
    let environment = vec![(
        "DATABASE_URL".to_owned(),
        "postgres://hub_app:hunter2@db/hub".to_owned(),
    )];
    let loaded = load(Inputs {
        environment,
        ..Inputs::default()
    });
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let line = loaded
        .lines
        .iter()
        .find(|line| line.key == "database.url")
        .unwrap();
    assert_eq!(
        (line.value.as_str(), line.source.to_string().as_str()),
        ("***", "environment DATABASE_URL")
    );
}

#[test]
fn a_secret_may_stand_in_a_file_and_in_one_place_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, "postgres://hub_app:hunter2@db/hub\n").unwrap();
    let file = path.display().to_string();
    let read = |variables: &[(&str, &str)]| {
        load(Inputs {
            environment: variables
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            ..Inputs::default()
        })
    };
    for name in ["DATABASE_URL_FILE", "HUB_DATABASE_URL_FILE"] {
        let config = read(&[(name, &file)]).config.unwrap();
        let url = config.database.url.unwrap();
        assert_eq!(url.expose_secret(), "postgres://hub_app:hunter2@db/hub");
    }
    let told = faults(read(&[
        ("DATABASE_URL", "postgres://db/other"),
        ("HUB_DATABASE_URL_FILE", &file),
    ]));
    assert!(
        told[0].contains("is set by DATABASE_URL as well"),
        "{told:?}"
    );
    let told = faults(read(&[("HUB_DATABASE_URL_FILE", "/nowhere/at/all")]));
    assert!(
        told[0].starts_with("environment HUB_DATABASE_URL_FILE: database.url: `/nowhere/at/all`"),
        "{told:?}"
    );
    // Only secrets may: a file for `listen` is a typing error.
    let told = faults(read(&[("HUB_LISTEN_FILE", &file)]));
    assert!(told[0].contains("unknown variable"), "{told:?}");
}

#[test]
fn the_respond_section_is_checked_by_its_room() {
    let told = faults(load_toml(
        "[respond.webhook]\nurl = \"http://x.example/\"\nsecret = \"0123456789abcdef\"\n",
    ));
    assert!(
        told[0].starts_with("hub.toml:2: respond.webhook.url: must be https"),
        "{told:?}"
    );
}

#[test]
fn every_default_in_the_table_parses_and_every_variable_is_its_own() {
    let mut names: Vec<String> = keys::KEYS.iter().map(keys::Key::env).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(load(Inputs::default()).config.is_ok());
}
