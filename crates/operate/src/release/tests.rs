use super::*;

struct Key;

impl Signer for Key {
    fn name(&self) -> &'static str {
        "release"
    }

    fn public_key(&self) -> [u8; 32] {
        [7; 32]
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, hub_ledger::Error> {
        Ok(vec![0; 64])
    }
}

fn sealed() -> tempfile::TempDir {
    sealed_with(None)
}

fn sealed_with(scan: Option<&str>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    if let Some(report) = scan {
        fs::write(dir.path().join(SCAN), report).unwrap();
    }
    fs::write(dir.path().join(SERVER), "the server").unwrap();
    fs::write(dir.path().join(SBOM), "{}").unwrap();
    let facts = Facts {
        version: "1.2.3".to_owned(),
        commit: "0123abc".to_owned(),
        built: "2026-11-23T00:00:00Z".parse().unwrap(),
    };
    seal(dir.path(), &facts, &Key).unwrap();
    dir
}

#[test]
fn what_was_sealed_opens() {
    let dir = sealed();
    let release = Release::open(dir.path(), None).unwrap();
    assert_eq!(release.version, "1.2.3");
    assert_eq!(release.commit, "0123abc");
    assert!(release.has_sbom && !release.signed);
    assert!(release.name().starts_with("1.2.3-"), "{}", release.name());
}

#[test]
fn a_changed_missing_or_unsigned_file_is_named() {
    let dir = sealed();
    let trust = VerifierKey::of(&Key).unwrap();
    let refused =
        |trust: Option<&VerifierKey>| Release::open(dir.path(), trust).unwrap_err().to_string();
    // The signature above is 64 zero bytes.
    assert!(refused(Some(&trust)).contains("not signed by the trusted key"));
    fs::write(dir.path().join(SERVER), "another").unwrap();
    let changed = refused(None);
    assert!(
        changed.contains("`security-hub` is not the one"),
        "{changed}"
    );
    fs::remove_file(dir.path().join(SERVER)).unwrap();
    assert!(refused(None).contains("`security-hub` cannot be read"));
    fs::write(dir.path().join(MANIFEST), "nonsense\n\n").unwrap();
    assert!(refused(None).contains("does not begin with"));
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let digest = "0".repeat(64);
    for name in ["../x", "/etc/passwd", "..", ""] {
        let text = format!("{FORM}\nversion 1\nfile {digest} {name}");
        assert!(Manifest::parse(&text).is_err(), "{name}");
    }
}

#[test]
fn an_image_is_named_by_its_digest_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let facts = Facts {
        version: "1.2.3".to_owned(),
        commit: "0123abc".to_owned(),
        built: "2026-11-23T00:00:00Z".parse().unwrap(),
    };
    let seal_with = |text: &str| {
        fs::write(dir.path().join(IMAGE), text).unwrap();
        seal(dir.path(), &facts, &Key)
    };
    let digest = "ab".repeat(32);
    seal_with(&format!("registry.example/hub@sha256:{digest}\n")).unwrap();
    let release = Release::open(dir.path(), None).unwrap();
    assert_eq!(
        release.image().unwrap(),
        format!("registry.example/hub@sha256:{digest}")
    );
    assert_eq!(release.digest, digest);
    let lacks = release.server().unwrap_err().to_string();
    assert!(lacks.contains("has no `security-hub`"), "{lacks}");
    for wrong in ["registry.example/hub:latest", "@sha256:00", ""] {
        let refused = seal_with(wrong).unwrap_err().to_string();
        assert!(refused.contains("must be one line"), "{wrong}: {refused}");
    }
    fs::remove_file(dir.path().join(IMAGE)).unwrap();
    let refused = seal(dir.path(), &facts, &Key).unwrap_err().to_string();
    assert!(refused.contains("neither"), "{refused}");
}

#[test]
fn a_scan_counts_what_is_vulnerable_or_is_none() {
    for (report, found) in [
        (None, Ok(None)),
        (Some(r#"{"vulnerabilities": {"count": 0}}"#), Ok(Some(0))),
        (Some(r#"{"vulnerabilities": {"count": 3}}"#), Ok(Some(3))),
        (
            Some(r#"{"vulnerabilities": {"count": "0"}}"#),
            Err("names no `vulnerabilities.count`"),
        ),
        (Some("{}"), Err("names no `vulnerabilities.count`")),
        (Some("nothing was found"), Err("is no JSON")),
    ] {
        let dir = sealed_with(report);
        let said = Release::open(dir.path(), None).unwrap().advisories();
        match (said, found) {
            (Ok(said), Ok(found)) => assert_eq!(said, found, "{report:?}"),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
            other => panic!("{report:?}: {other:?}"),
        }
    }
}
