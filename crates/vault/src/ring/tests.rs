use std::fs;

use super::*;
use hub_base::{ManualClock, Timestamp};

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_seconds(1))
}

/// A new key that signs at once.
fn rotate(ring: &mut KeyRing, purpose: Purpose) {
    let id = ring.stage(purpose, &clock()).unwrap();
    ring.promote(&id).unwrap();
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
fn a_mounted_ring_may_be_read_by_its_group_but_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::load_or_create(&path, &clock()).unwrap();
    let with = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        KeyRing::load_mounted(&path)
    };
    with(0o440).unwrap();
    with(0o400).unwrap();
    for mode in [0o444, 0o460, 0o604] {
        assert!(matches!(with(mode), Err(Error::Open { .. })), "{mode:o}");
    }
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

/// A file with one thing changed in it, and the fault's text.
fn faulty(change: impl Fn(&mut serde_json::Value)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::load_or_create(&path, &clock()).unwrap();
    let mut file = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut file);
    fs::write(&path, file.to_string()).unwrap();
    KeyRing::load(&path).unwrap_err().to_string()
}

#[test]
fn a_fault_in_the_file_is_named() {
    let check = |change: &dyn Fn(&mut serde_json::Value), expected: &str| {
        let text = faulty(change);
        assert!(text.contains(expected), "`{text}` lacks `{expected}`");
    };
    check(
        &|file| file["keys"][0]["purpose"] = "espionage".into(),
        "is unknown to this program",
    );
    check(
        &|file| file["keys"][0]["purpose"] = "device".into(),
        "no primary key for access-token",
    );
    check(
        &|file| file["keys"][1]["primary"] = false.into(),
        "no primary key for checkpoint",
    );
    check(
        &|file| file["keys"][2]["seed"] = "c2hvcnQ".into(),
        "is not 32 bytes",
    );
    check(
        &|file| file["keys"][2]["seed"] = STANDARD_NO_PAD.encode([7; 32]).into(),
        "is not its own",
    );
    check(
        &|file| {
            let first = file["keys"][0].clone();
            file["keys"].as_array_mut().unwrap().push(first);
        },
        "is in it twice",
    );
    check(&|file| file["extra"] = 1.into(), "line 1, column");
}

#[test]
fn two_primary_keys_for_one_purpose_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mut ring = KeyRing::generate(&clock()).unwrap();
    rotate(&mut ring, Purpose::Device);
    ring.save(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("\"primary\": false", "\"primary\": true"),
    )
    .unwrap();
    let error = KeyRing::load(&path).unwrap_err().to_string();
    assert!(error.contains("2 keys are primary for device"), "{error}");
}

#[test]
fn processes_that_start_at_once_read_the_same_ring() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let start = std::sync::Barrier::new(8);
    let rings: Vec<String> = std::thread::scope(|scope| {
        let racer = || {
            start.wait();
            format!("{:?}", KeyRing::load_or_create(&path, &clock()).unwrap())
        };
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(racer)).collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    });
    assert!(rings.iter().all(|ring| *ring == rings[0]), "{rings:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn saving_over_a_ring_keeps_it_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mut ring = KeyRing::load_or_create(&path, &clock()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    rotate(&mut ring, Purpose::Checkpoint);
    ring.save(&path).unwrap();
    let read = KeyRing::load(&path).unwrap();
    assert_eq!(format!("{read:?}"), format!("{ring:?}"));
    assert_eq!(read.all(Purpose::Checkpoint).count(), 2);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let nowhere = Path::new("/nonexistent/folder/keys.json");
    let error = KeyRing::load_or_create(nowhere, &clock()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::File {
                what: "written",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_device_cookie_outlives_a_rotation() {
    let mut ring = KeyRing::generate(&clock()).unwrap();
    let tag = ring.device_tag("d1").unwrap();
    rotate(&mut ring, Purpose::Device);
    assert!(ring.device_tag_verifies("d1", &tag));
    assert_ne!(ring.device_tag("d1").unwrap(), tag);
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

#[test]
fn the_key_that_signs_cannot_go_and_a_strange_one_cannot_sign() {
    let mut ring = KeyRing::generate(&clock()).unwrap();
    let signs = ring.primary(Purpose::Device).unwrap().id.clone();
    let before = ring.info();
    assert!(matches!(ring.remove(&signs), Err(Error::Signs(id)) if id == signs));
    assert!(matches!(ring.promote("strange"), Err(Error::NoKey(_))));
    ring.remove("strange").unwrap();
    ring.promote(&signs).unwrap();
    assert_eq!(ring.info(), before);
}

#[test]
fn every_step_of_a_rotation_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mut ring = KeyRing::load_or_create(&path, &clock()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    for &purpose in Purpose::SERVER {
        let former = ring.primary(purpose).unwrap().id.clone();
        let fresh = ring.stage(purpose, &clock()).unwrap();
        for step in 0..3 {
            match step {
                0 => {}
                1 => ring.promote(&fresh).unwrap(),
                _ => ring.remove(&former).unwrap(),
            }
            ring.save(&path).unwrap();
            let read = KeyRing::load_mounted(&path).unwrap();
            assert_eq!(read.info(), ring.info());
            assert_eq!(read.successions(), ring.successions());
        }
    }
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o440, "whoever could read it still can");
}

#[test]
fn an_old_checkpoint_is_checked_when_its_key_is_gone() {
    use hub_ledger::{Checkpoint, Hash};
    let mut ring = KeyRing::generate(&clock()).unwrap();
    let checkpoints = crate::Checkpoints::new(&ring).unwrap();
    let first = checkpoints.key().unwrap();
    let checkpoint = Checkpoint {
        origin: "security-hub/test".to_owned(),
        size: 1,
        root: Hash([1; 32]),
    };
    let old = checkpoint.sign(&checkpoints).unwrap();
    for _ in 0..2 {
        let former = ring.primary(Purpose::Checkpoint).unwrap().id.clone();
        rotate(&mut ring, Purpose::Checkpoint);
        ring.remove(&former).unwrap();
        checkpoints.renew(&ring).unwrap();
    }
    let now = checkpoints.key().unwrap();
    assert_eq!(checkpoints.key_of(&old), Some(first.clone()));
    let new = checkpoint.sign(&checkpoints).unwrap();
    assert_eq!(checkpoints.key_of(&new), Some(now.clone()));
    let words = checkpoints.successions();
    assert!(hub_ledger::succession::leads(&first, &now, &words));
    assert!(!hub_ledger::succession::leads(&now, &first, &words));
}

#[test]
fn a_ring_with_a_forged_succession_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mut ring = KeyRing::load_or_create(&path, &clock()).unwrap();
    rotate(&mut ring, Purpose::Checkpoint);
    ring.successions[0] = ring.successions[0].replace('+', "-");
    ring.save(&path).unwrap();
    assert!(matches!(KeyRing::load(&path), Err(Error::Damaged { .. })));
}
