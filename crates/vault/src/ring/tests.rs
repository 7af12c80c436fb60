use super::*;
use hub_base::{ManualClock, Timestamp};

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_seconds(1))
}

#[test]
fn a_ring_is_made_once_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let made = KeyRing::load_or_create(&path, &clock()).unwrap();
    let read = KeyRing::load_or_create(&path, &clock()).unwrap();
    assert_eq!(format!("{made:?}"), format!("{read:?}"));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::load_or_create(&path, &clock()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = KeyRing::load(&path).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_truncated_or_strange_file_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::load_or_create(&path, &clock()).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    for text in [
        &whole[..whole.len() / 2],
        "",
        "{}",
        r#"{"version":2,"keys":[]}"#,
        r#"{"version":1,"keys":[]}"#,
    ] {
        fs::write(&path, text).unwrap();
        assert!(
            matches!(
                KeyRing::load_or_create(&path, &clock()),
                Err(Error::Damaged { .. })
            ),
            "{text}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn nothing_printed_shows_a_seed() {
    let ring = KeyRing::generate(&clock()).unwrap();
    let seed = STANDARD_NO_PAD.encode(*ring.primary(Purpose::Device).unwrap().seed);
    assert!(!format!("{ring:?}").contains(&seed));
}

#[test]
fn device_tags_verify_only_for_their_text() {
    let ring = KeyRing::generate(&clock()).unwrap();
    let tag = ring.device_tag("d1").unwrap();
    assert!(ring.device_tag_verifies("d1", &tag));
    assert!(!ring.device_tag_verifies("d2", &tag));
    assert!(!ring.device_tag_verifies("d1", "zz"));
}
