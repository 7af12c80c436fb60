//! A password as PostgreSQL keeps it (SCRAM-SHA-256, RFC 7677), so that the password itself is in no statement and no log.

use std::num::NonZeroU32;

use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::digest;

/// PostgreSQL's own number.
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4096) {
    Some(iterations) => iterations,
    None => NonZeroU32::MIN,
};

/// What `alter role … password` takes instead of an ASCII password, under a random salt.
///
/// # Errors
/// [`Error::Randomness`].
pub fn verifier(password: &str) -> Result<String, Error> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| Error::Randomness)?;
    Ok(with(password, &salt))
}

fn with(password: &str, salt: &[u8]) -> String {
    let mut salted = Zeroizing::new([0; 32]);
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(
        algorithm,
        ITERATIONS,
        salt,
        password.as_bytes(),
        &mut *salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client = hmac::sign(&key, b"Client Key");
    let server = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(digest(client.as_ref())),
        STANDARD.encode(server.as_ref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677's example: user `user`, password `pencil`.
    #[test]
    fn the_rfcs_example() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            with("pencil", &salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn the_same_password_is_never_kept_alike() {
        assert_ne!(verifier("pencil").unwrap(), verifier("pencil").unwrap());
    }
}
