use super::*;
use crate::error::Error;
use crate::merkle::root_of;
use crate::note::Signer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use proptest::prelude::*;

struct TestKey(Ed25519KeyPair);

impl TestKey {
    fn new() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
    }
}

impl Signer for TestKey {
    fn name(&self) -> &'static str {
        "test"
    }
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

fn bodies(n: u64) -> Vec<String> {
    (0..n)
        .map(|i| format!("{{\"id\":\"id-{i}\",\"what\":\"entry {i}\"}}"))
        .collect()
}

fn export(bodies: &[String]) -> String {
    let leaves: Vec<Hash> = bodies.iter().map(|b| leaf_hash(b.as_bytes())).collect();
    let checkpoint = Checkpoint {
        origin: "security-hub/test".into(),
        size: bodies.len() as u64,
        root: root_of(&leaves),
    };
    let header = Header {
        format: FORMAT.into(),
        tenant: "test".into(),
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        key: VerifierKey::of(&TestKey::new()).unwrap().to_string(),
        checkpoint: checkpoint.sign(&TestKey::new()).unwrap(),
        successions: Vec::new(),
    };
    let mut text = serde_json::to_string(&header).unwrap() + "\n";
    for (index, (body, leaf)) in bodies.iter().zip(&leaves).enumerate() {
        let line = Line {
            index: index as u64,
            id: format!("id-{index}").into(),
            leaf: leaf.to_string().into(),
            body: body.as_str().into(),
        };
        text += &(serde_json::to_string(&line).unwrap() + "\n");
    }
    text
}

fn check(text: &str) -> Report {
    verify(text.as_bytes(), &Expect::default())
}

#[test]
fn a_whole_export_verifies() {
    for n in [0, 1, 2, 3, 255, 256, 257] {
        let report = check(&export(&bodies(n)));
        assert!(report.is_whole(), "{n}: {:?}", report.faults);
        assert_eq!(report.entries, n);
    }
}

#[test]
fn the_checkpoint_is_read_by_a_foreign_verifier() {
    let key = TestKey::new();
    let checkpoint = Checkpoint {
        origin: "o".into(),
        size: 3,
        root: leaf_hash(b"x"),
    };
    let note = checkpoint.sign(&key).unwrap();
    let foreign =
        signed_note::StandardVerifier::new(&VerifierKey::of(&key).unwrap().to_string()).unwrap();
    let parsed = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, _) = parsed
        .verify(&signed_note::VerifierList::new(vec![Box::new(foreign)]))
        .unwrap();
    assert_eq!(verified.len(), 1);
}

#[test]
fn a_removed_entry_is_named() {
    let text = export(&bodies(5));
    let without: String = text
        .lines()
        .enumerate()
        .filter(|(n, _)| *n != 3)
        .fold(String::new(), |text, (_, line)| text + line + "\n");
    let report = check(&without);
    assert_eq!(report.faults[0].index, Some(2));
}

#[test]
fn an_entry_rewritten_with_its_leaf_is_found_by_the_root() {
    let text = export(&bodies(4));
    let forged = "{\"id\":\"id-1\",\"what\":\"forged\"}";
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut line: Line<'_> = serde_json::from_str(&lines[2]).unwrap();
    line.body = forged.into();
    line.leaf = leaf_hash(forged.as_bytes()).to_string().into();
    lines[2] = serde_json::to_string(&line).unwrap();
    let report = check(&(lines.join("\n") + "\n"));
    assert!(
        report.faults.iter().any(|f| f.what.contains("root")),
        "{:?}",
        report.faults
    );
}

#[test]
fn an_earlier_checkpoint_must_be_the_beginning() {
    let all = bodies(9);
    let root = |n: usize| {
        root_of(
            &all[..n]
                .iter()
                .map(|b| leaf_hash(b.as_bytes()))
                .collect::<Vec<_>>(),
        )
    };
    let earlier = |n: usize, root| Expect {
        key: None,
        earlier: Some(Checkpoint {
            origin: "o".into(),
            size: n as u64,
            root,
        }),
    };
    assert!(verify(export(&all).as_bytes(), &earlier(4, root(4))).is_whole());
    assert!(!verify(export(&all).as_bytes(), &earlier(4, root(5))).is_whole());
    assert!(!verify(export(&all).as_bytes(), &earlier(12, root(5))).is_whole());
}

#[test]
fn another_key_is_refused_when_one_is_pinned() {
    let pinned = VerifierKey::new("test", [1; 32]).unwrap();
    let report = verify(
        export(&bodies(1)).as_bytes(),
        &Expect {
            key: Some(pinned),
            earlier: None,
        },
    );
    assert!(report.faults[0].what.contains("expected"));
}

proptest! {
    #[test]
    fn a_flipped_byte_is_always_found_and_named_by_its_entry(n in 1_u64..12, at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let text = export(&bodies(n));
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let report = verify(bytes.as_slice(), &Expect::default());
        // A flip inside the header's JSON spacing or the tenant's name is not covered by the log.
        let header_end = text.find('\n').unwrap();
        if at > header_end && bytes[at] != b'\n' && text.as_bytes()[at] != b'\n' {
            let line = text[..at].matches('\n').count() as u64;
            prop_assert!(!report.is_whole());
            prop_assert_eq!(report.faults[0].index, Some(line - 1));
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(!verify(bytes.as_slice(), &Expect::default()).is_whole());
    }

    #[test]
    fn any_text_is_refused_as_a_key_or_note(text in ".{0,200}") {
        let _ = VerifierKey::parse(&text);
        let _ = Checkpoint::parse(&text);
    }
}
