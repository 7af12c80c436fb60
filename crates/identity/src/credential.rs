//! The text forms of credentials: which tenant, which thing, and the secret, in base64url.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hub_base::{ApiKeyId, SessionId, TenantId};
use hub_vault::Secret32;
use uuid::Uuid;

/// What an API key begins with.
pub const API_KEY_PREFIX: &str = "shk_";
/// What a refresh token begins with.
pub const REFRESH_PREFIX: &str = "shr_";
/// What a password-reset token begins with.
pub const RESET_PREFIX: &str = "shp_";

/// A parsed credential: 86 characters of base64url for tenant, id and secret.
#[derive(Debug, Clone)]
pub struct Parts {
    pub tenant: TenantId,
    pub id: Uuid,
    pub secret: Secret32,
}

/// A session's cookie value.
pub fn cookie(tenant: TenantId, session: SessionId, secret: &Secret32) -> String {
    encode("", tenant, session.uuid(), secret)
}

pub fn api_key(tenant: TenantId, key: ApiKeyId, secret: &Secret32) -> String {
    encode(API_KEY_PREFIX, tenant, key.uuid(), secret)
}

pub fn refresh(tenant: TenantId, session: SessionId, secret: &Secret32) -> String {
    encode(REFRESH_PREFIX, tenant, session.uuid(), secret)
}

pub(crate) fn reset(tenant: TenantId, user: Uuid, secret: &Secret32) -> String {
    encode(RESET_PREFIX, tenant, user, secret)
}

pub(crate) fn encode(prefix: &str, tenant: TenantId, id: Uuid, secret: &Secret32) -> String {
    let mut bytes = [0_u8; 64];
    let (head, tail) = bytes.split_at_mut(32);
    let (first, second) = head.split_at_mut(16);
    first.copy_from_slice(tenant.uuid().as_bytes());
    second.copy_from_slice(id.as_bytes());
    tail.copy_from_slice(secret.expose());
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads a credential with that prefix; `None` for anything else.
pub fn parse(text: &str, prefix: &str) -> Option<Parts> {
    let bytes: [u8; 64] = URL_SAFE_NO_PAD
        .decode(text.strip_prefix(prefix)?)
        .ok()?
        .try_into()
        .ok()?;
    let (tenant, rest) = bytes.split_first_chunk::<16>()?;
    let (id, secret) = rest.split_first_chunk::<16>()?;
    Some(Parts {
        tenant: TenantId::from_uuid(Uuid::from_bytes(*tenant)),
        id: Uuid::from_bytes(*id),
        secret: Secret32::from_bytes(secret.try_into().ok()?),
    })
}

/// The tenant that any credential names, without checking it: enough to refuse a blocked address early.
pub fn tenant_of(text: &str) -> Option<TenantId> {
    [API_KEY_PREFIX, REFRESH_PREFIX, RESET_PREFIX, ""]
        .into_iter()
        .find_map(|prefix| parse(text, prefix))
        .map(|parts| parts.tenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_credential_prints_and_parses_back(bytes in any::<[u8; 64]>()) {
            let tenant = TenantId::from_uuid(Uuid::from_slice(&bytes[..16]).unwrap());
            let id = Uuid::from_slice(&bytes[16..32]).unwrap();
            let secret = Secret32::from_bytes(bytes[32..].try_into().unwrap());
            let text = api_key(tenant, ApiKeyId::from_uuid(id), &secret);
            let parts = parse(&text, API_KEY_PREFIX).unwrap();
            prop_assert_eq!((parts.tenant, parts.id), (tenant, id));
            prop_assert!(parts.secret.hash().matches(&secret));
            prop_assert_eq!(tenant_of(&text), Some(tenant));
            prop_assert!(parse(&text, REFRESH_PREFIX).is_none());
        }

        #[test]
        fn each_kind_is_read_as_its_own_kind_only(bytes in any::<[u8; 64]>()) {
            let tenant = TenantId::from_uuid(Uuid::from_slice(&bytes[..16]).unwrap());
            let id = Uuid::from_slice(&bytes[16..32]).unwrap();
            let secret = Secret32::from_bytes(bytes[32..].try_into().unwrap());
            let session = SessionId::from_uuid(id);
            let forms = [
                (cookie(tenant, session, &secret), ""),
                (refresh(tenant, session, &secret), REFRESH_PREFIX),
                (reset(tenant, id, &secret), RESET_PREFIX),
            ];
            for (text, own) in &forms {
                for prefix in ["", API_KEY_PREFIX, REFRESH_PREFIX, RESET_PREFIX] {
                    prop_assert_eq!(parse(text, prefix).is_some(), prefix == *own);
                }
                let parts = parse(text, own).unwrap();
                prop_assert_eq!(encode(own, parts.tenant, parts.id, &parts.secret), text.as_str());
                prop_assert_eq!(tenant_of(text), Some(tenant));
            }
        }

        #[test]
        fn a_credential_has_one_text_form_only(text in "(shk_)?[A-Za-z0-9_-]{85,87}=?") {
            for prefix in ["", API_KEY_PREFIX] {
                if let Some(parts) = parse(&text, prefix) {
                    prop_assert_eq!(&encode(prefix, parts.tenant, parts.id, &parts.secret), &text);
                }
            }
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,120}") {
            let _ = tenant_of(&text);
        }
    }
}
