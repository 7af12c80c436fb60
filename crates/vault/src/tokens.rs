//! Access tokens: EdDSA JWTs (RFC 8037, RFC 9068) of a few minutes. The algorithm is pinned, never read from the token.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use hub_base::{SessionId, TenantId, Timestamp, UserId};

use crate::error::Error;
use crate::ring::{KeyRing, Purpose};

/// RFC 9068's token type.
const TYPE: &str = "at+jwt";

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: UserId,
    pub sid: SessionId,
    pub tid: TenantId,
    pub name: String,
    pub roles: Vec<String>,
    /// When the password was proven, Unix seconds.
    pub auth_time: i64,
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
}

/// Signs and checks access tokens of one issuer.
pub struct TokenVerifier {
    issuer: String,
    keys: RwLock<Arc<Keys>>,
    validation: Validation,
}

/// The keys of one moment.
struct Keys {
    primary: String,
    signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    /// Public keys in base64url, by key id.
    public: BTreeMap<String, String>,
}

impl Keys {
    fn of(ring: &KeyRing) -> Result<Arc<Self>, Error> {
        let primary = ring.primary(Purpose::AccessToken)?;
        let pair = primary.ed25519()?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| Error::Key)?;
        let (mut verifying, mut public) = (HashMap::new(), BTreeMap::new());
        for key in ring.all(Purpose::AccessToken) {
            let pair = key.ed25519()?;
            let bytes = pair.public_key().as_ref();
            verifying.insert(key.id.clone(), DecodingKey::from_ed_der(bytes));
            public.insert(key.id.clone(), URL_SAFE_NO_PAD.encode(bytes));
        }
        Ok(Arc::new(Self {
            primary: primary.id.clone(),
            signing: EncodingKey::from_ed_der(pkcs8.as_ref()),
            verifying,
            public,
        }))
    }
}

impl std::fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// # Errors
    /// [`Error::NoPrimary`], [`Error::Key`].
    pub fn new(ring: &KeyRing, issuer: &str) -> Result<Self, Error> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Expiry is judged against the caller's clock below, not the machine's.
        validation.validate_exp = false;
        validation.leeway = 0;
        Ok(Self {
            issuer: issuer.to_owned(),
            keys: RwLock::new(Keys::of(ring)?),
            validation,
        })
    }

    /// Goes over to what the ring says now, in one moment.
    ///
    /// # Errors
    /// As [`TokenVerifier::new`]; then it stays as it was.
    pub fn renew(&self, ring: &KeyRing) -> Result<(), Error> {
        let keys = Keys::of(ring)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The public keys as a JWK set (RFC 7517, RFC 8037), for programs that check our tokens themselves.
    pub fn jwks(&self) -> serde_json::Value {
        let key = |(id, x): (&String, &String)| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x});
        serde_json::json!({"keys": self.keys().public.iter().map(key).collect::<Vec<_>>()})
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// # Errors
    /// [`Error::Key`] if the key cannot be used.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let keys = self.keys();
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(keys.primary.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, claims, &keys.signing).map_err(|_| Error::Key)
    }

    /// # Errors
    /// [`Error::Token`] with a reason fit for a log, never for an attacker.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Error> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| Error::Token("its header does not parse"))?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(Error::Token("its type is not at+jwt"));
        }
        let kid = header.kid.ok_or(Error::Token("it names no key"))?;
        let keys = self.keys();
        let key = keys
            .verifying
            .get(&kid)
            .ok_or(Error::Token("its key is unknown"))?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|_| Error::Token("its signature or claims do not hold"))?
            .claims;
        let now = now.unix_seconds();
        if claims.exp <= now {
            return Err(Error::Token("it has expired"));
        }
        if claims.iat > now + 60 {
            return Err(Error::Token("it is from the future"));
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub_base::{Clock, ManualClock};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    fn setting() -> (KeyRing, TokenVerifier, Claims) {
        let clock = ManualClock::at(NOW);
        let ring = KeyRing::generate(&clock).unwrap();
        let verifier = TokenVerifier::new(&ring, "https://hub.test").unwrap();
        let claims = Claims {
            iss: "https://hub.test".into(),
            aud: "https://hub.test".into(),
            sub: UserId::new(&clock),
            sid: SessionId::new(&clock),
            tid: TenantId::SYSTEM,
            name: "ada".into(),
            roles: vec!["member".into()],
            auth_time: clock.now().unix_seconds(),
            iat: NOW.unix_seconds(),
            exp: NOW.unix_seconds() + 300,
            jti: "1".into(),
        };
        (ring, verifier, claims)
    }

    fn rotate(ring: &mut KeyRing) -> String {
        let clock = ManualClock::at(NOW);
        let id = ring.stage(Purpose::AccessToken, &clock).unwrap();
        ring.promote(&id).unwrap();
        id
    }

    fn part(value: &serde_json::Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn a_token_verifies_until_it_expires() {
        let (_, verifier, claims) = setting();
        let token = verifier.sign(&claims).unwrap();
        assert_eq!(verifier.verify(&token, NOW).unwrap(), claims);
        assert!(
            verifier
                .verify(&token, Timestamp::from_unix_seconds(1_000_300))
                .is_err()
        );
        assert!(
            verifier
                .verify(&token, Timestamp::from_unix_seconds(900_000))
                .is_err()
        );
    }

    #[test]
    fn forged_tokens_are_refused() {
        let (ring, verifier, claims) = setting();
        let kid = &ring.primary(Purpose::AccessToken).unwrap().id;
        let token = verifier.sign(&claims).unwrap();
        let mut parts = token.split('.');
        let (header, body, signature) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );
        let mut admin = serde_json::to_value(&claims).unwrap();
        admin["roles"] = serde_json::json!(["owner"]);
        let none = part(&serde_json::json!({"alg": "none", "typ": TYPE, "kid": kid}));
        let public = ring
            .primary(Purpose::AccessToken)
            .unwrap()
            .public()
            .unwrap();
        let hs256 = jsonwebtoken::encode(
            &Header {
                typ: Some(TYPE.into()),
                kid: Some(kid.clone()),
                ..Header::new(Algorithm::HS256)
            },
            &claims,
            &EncodingKey::from_secret(&public),
        )
        .unwrap();
        let wrong_kid = part(&serde_json::json!({"alg": "EdDSA", "typ": TYPE, "kid": "other"}));
        let wrong_type = part(&serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}));
        let mut elsewhere = claims.clone();
        elsewhere.aud = "https://other.test".into();
        let mut stranger = claims.clone();
        stranger.iss = "https://other.test".into();
        let untyped = part(&serde_json::json!({"alg": "EdDSA", "kid": kid}));
        let unnamed = part(&serde_json::json!({"alg": "EdDSA", "typ": TYPE}));
        let forged = [
            verifier.sign(&stranger).unwrap(),
            format!("{untyped}.{body}.{signature}"),
            format!("{unnamed}.{body}.{signature}"),
            format!("{header}.{body}.{}", &signature[1..]),
            format!("{header}.{body}.{signature}.{signature}"),
            format!("{token} "),
            format!("{none}.{body}."),
            format!("{none}.{body}.{signature}"),
            format!("{header}.{}.{signature}", part(&admin)),
            format!("{wrong_kid}.{body}.{signature}"),
            format!("{wrong_type}.{body}.{signature}"),
            hs256,
            verifier.sign(&elsewhere).unwrap(),
            TokenVerifier::new(
                &KeyRing::generate(&ManualClock::at(NOW)).unwrap(),
                "https://hub.test",
            )
            .unwrap()
            .sign(&claims)
            .unwrap(),
            String::new(),
            "..".into(),
        ];
        for token in forged {
            assert!(verifier.verify(&token, NOW).is_err(), "{token}");
        }
    }

    #[test]
    fn after_a_rotation_old_tokens_still_verify() {
        let (mut ring, verifier, claims) = setting();
        let token = verifier.sign(&claims).unwrap();
        rotate(&mut ring);
        let rotated = TokenVerifier::new(&ring, "https://hub.test").unwrap();
        assert!(rotated.verify(&token, NOW).is_ok());
        assert!(
            verifier
                .verify(&rotated.sign(&claims).unwrap(), NOW)
                .is_err()
        );
    }

    /// The order of a rotation: whoever knows the new key takes its tokens before anybody signs with it.
    #[test]
    fn a_staged_key_verifies_before_it_signs_and_a_removed_one_no_longer() {
        let (mut ring, replica, claims) = setting();
        let former = ring.primary(Purpose::AccessToken).unwrap().id.clone();
        let fresh = ring
            .stage(Purpose::AccessToken, &ManualClock::at(NOW))
            .unwrap();
        replica.renew(&ring).unwrap();
        let signs = |verifier: &TokenVerifier| {
            let token = verifier.sign(&claims).unwrap();
            (jsonwebtoken::decode_header(&token).unwrap().kid, token)
        };
        let (kid, old) = signs(&replica);
        assert_eq!(kid.as_deref(), Some(former.as_str()));
        ring.promote(&fresh).unwrap();
        let other = TokenVerifier::new(&ring, "https://hub.test").unwrap();
        let (kid, new) = signs(&other);
        assert_eq!(kid.as_deref(), Some(fresh.as_str()));
        // The replica has not read the ring again, and takes it all the same.
        assert!(replica.verify(&new, NOW).is_ok());
        replica.renew(&ring).unwrap();
        assert!(replica.verify(&old, NOW).is_ok());
        ring.remove(&former).unwrap();
        replica.renew(&ring).unwrap();
        assert!(replica.verify(&old, NOW).is_err());
        assert!(replica.verify(&new, NOW).is_ok());
    }

    #[test]
    fn others_check_our_tokens_with_the_published_keys_alone() {
        let (mut ring, _, claims) = setting();
        rotate(&mut ring);
        let verifier = TokenVerifier::new(&ring, "https://hub.test").unwrap();
        let token = verifier.sign(&claims).unwrap();
        let jwks = verifier.jwks();
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        let named = |key: &&serde_json::Value| key["kid"] == verifier.keys().primary.as_str();
        let x = keys.iter().find(named).unwrap()["x"].as_str().unwrap();
        let key = DecodingKey::from_ed_components(x).unwrap();
        let read = jsonwebtoken::decode::<Claims>(&token, &key, &verifier.validation).unwrap();
        assert_eq!(read.claims, claims);
        assert!(!jwks.to_string().contains("\"d\""), "no private part");
    }

    proptest! {
        #[test]
        fn a_changed_character_is_always_found(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let (_, verifier, claims) = setting();
            let token = verifier.sign(&claims).unwrap();
            let at = at.index(token.len());
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            prop_assert!(verifier.verify(&changed, NOW).is_err());
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".{0,300}") {
            prop_assert!(setting().1.verify(&text, NOW).is_err());
        }
    }
}
