use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

struct Key(Ed25519KeyPair);

impl Key {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn verifier(&self) -> VerifierKey {
        VerifierKey::of(self).unwrap()
    }
}

impl Signer for Key {
    fn name(&self) -> &'static str {
        "hub"
    }

    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

#[test]
fn a_chain_of_statements_leads_from_the_first_key_to_the_last_and_never_back() {
    let keys: Vec<Key> = (1..=4).map(Key::new).collect();
    let named = |i: usize| keys[i].verifier();
    let statements: Vec<String> = (0..3)
        .map(|i| sign(&named(i + 1), &keys[i]).unwrap())
        .collect();
    for from in 0..4 {
        for to in 0..4 {
            assert_eq!(leads(&named(from), &named(to), &statements), to >= from);
        }
    }
    assert!(!leads(&named(0), &named(3), &statements[..2]));
}

#[test]
fn keys_that_name_each_other_end_the_search() {
    let (one, two, other) = (Key::new(1), Key::new(2), Key::new(3));
    let circle = [
        sign(&two.verifier(), &one).unwrap(),
        sign(&one.verifier(), &two).unwrap(),
    ];
    assert!(leads(&two.verifier(), &one.verifier(), &circle));
    assert!(!leads(&one.verifier(), &other.verifier(), &circle));
}

#[test]
fn anothers_word_and_a_changed_one_count_for_nothing() {
    let (one, two, thief) = (Key::new(1), Key::new(2), Key::new(3));
    let own = sign(&two.verifier(), &one).unwrap();
    let to_thief = own.replace(&two.verifier().to_string(), &thief.verifier().to_string());
    assert!(matches!(open(&to_thief), Err(Error::Signature(_))));
    let text = format!("{HEADING}\n{}\n{}\n", one.verifier(), thief.verifier());
    let forged = note::sign(&text, &thief).unwrap();
    assert!(!leads(
        &one.verifier(),
        &thief.verifier(),
        &[to_thief, forged]
    ));
    for end in 0..own.len() - 1 {
        if let Some(cut) = own.get(..end) {
            assert!(open(cut).is_err(), "{cut}");
        }
    }
}
